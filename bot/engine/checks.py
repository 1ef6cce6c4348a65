"""What an engine refuses before the model sees it.

A CUDA device does not survive an id or a position beyond its table. No torch here.
"""

from collections.abc import Sequence

from bot.engine.request import Passage
from bot.errors import ContextTooLongError


def check_prompt(ids: Sequence[int], num_ids: int, window: int) -> None:
    """Raise ContextTooLongError where no room is left for a reply, ValueError for a wrong id."""
    _check_ids(ids, num_ids)
    if len(ids) >= window:
        raise ContextTooLongError(num_tokens=len(ids), limit=window - 1)


def check_passages(passages: Sequence[Passage], num_ids: int, window: int) -> None:
    """Raise ContextTooLongError or ValueError for passages that the network could not read."""
    for passage in passages:
        _check_ids(passage.prompt_ids, num_ids)
        _check_ids(passage.ids, num_ids)
        num_tokens = len(passage.prompt_ids) + len(passage.ids)
        if num_tokens > window:
            raise ContextTooLongError(num_tokens=num_tokens, limit=window)


def _check_ids(ids: Sequence[int], num_ids: int) -> None:
    if not ids or min(ids) < 0 or max(ids) >= num_ids:
        raise ValueError(f"prompt ids must be 1 or more, each in 0..{num_ids - 1}")
