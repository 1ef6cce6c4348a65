"""How much an engine takes at once, and what it refuses before the model sees it.

A CUDA device does not survive an id or a position beyond its table. No torch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.engine.protocol import Passage
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


CUDA_ROWS = 64  # at once on a GPU, where a step of many costs little more than a step of one


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """`num_rows`: candidates made at once; `cache_bytes`: for the keys and values of all."""

    num_rows: int = 16
    cache_bytes: int = 512 * 2**20

    @property
    def runs_of_a_member(self) -> int:
        """How many requests of one member run at once: the next member finds a place."""
        return max(1, self.num_rows // 4)
