"""Whole letters by slow, obvious code: Python's own decoder, asked about every token."""

import codecs
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from transformers import LogitsProcessor

from bot.engine.tokenizer import ModelTokenizer


def unended(spelt: bytes) -> bytes | None:
    """What is there of its last letter; None where it is the beginning of no whole letters."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(spelt)
    except UnicodeDecodeError:
        return None
    return None if "\ufffd" in text else decoder.getstate()[0]


class SlowLetters:
    """The bytes of a vocabulary's tokens, and what follows from them."""

    def __init__(self, spelling: Sequence[bytes]) -> None:
        self._spelling = spelling
        self._can_end = cache(self._looks_for_an_end)

    def may_come(self, ids: Sequence[int], token_id: int, num_left: int) -> bool:
        """Whether the token may follow `ids`, as one of at most `num_left`."""
        begun = unended(b"".join(self._spelling[i] for i in ids))
        assert begun is not None
        return self._may_follow(begun, self._spelling[token_id], num_left)

    def _may_follow(self, begun: bytes, spelt: bytes, num_left: int) -> bool:
        if not spelt:
            return not begun
        after = unended(begun + spelt)
        return after is not None and self._can_end(after, num_left - 1)

    def _looks_for_an_end(self, begun: bytes, num_left: int) -> bool:
        if not begun or not num_left:
            return not begun
        # no letter has more than four bytes
        return any(self._may_follow(begun, one, min(num_left, 4)) for one in self._spelling)


class WholeLettersByPython(LogitsProcessor):
    """For transformers' `generate`: the reply of `num_new` tokens at most begins after a prompt."""

    def __init__(self, slow: SlowLetters, num_prompt_tokens: int, num_new: int) -> None:
        self._slow = slow
        self._num_prompt_tokens = num_prompt_tokens
        self._num_new = num_new

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        rows = []
        for ids in input_ids.tolist():
            reply = ids[self._num_prompt_tokens :]
            left = self._num_new - len(reply)
            rows.append([self._slow.may_come(reply, i, left) for i in range(scores.shape[1])])
        return scores.masked_fill(~torch.tensor(rows), -torch.inf)


def slow_letters(tokenizer: ModelTokenizer, num_ids: int) -> SlowLetters:
    """Those of a byte-level vocabulary with one special token."""
    spelling = [tokenizer.token_text(i).encode("utf-8", "surrogateescape") for i in range(num_ids)]
    spelling[tokenizer.end_of_text_id] = b""
    return SlowLetters(spelling)
