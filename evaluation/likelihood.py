"""What a model finds of given words: their log-probabilities, and whether it would say them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.dialogue.prompt import Tokenizer


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of each wanted token: natural logarithm of its probability, and whether it is likeliest.

    `logprobs`, `is_first`: shape (num_wanted,).
    """

    logprobs: tuple[float, ...]
    is_first: tuple[bool, ...]


class Reader(Protocol):
    """A model that reads; `window` is in tokens."""

    tokenizer: Tokenizer
    window: int

    def read(self, prompt_ids: Sequence[int], wanted_ids: Sequence[int]) -> Likelihood:
        """How likely `wanted_ids` are after `prompt_ids`, one after another.

        Both have at least one id; what is more than the window is cut from the prompt's start.
        """
        ...
