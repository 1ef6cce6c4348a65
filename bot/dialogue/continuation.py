"""What a text goes on with, token by token, and what the model might have said instead."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that may come next.

    `text`: a byte that is no letter by itself stands as a surrogate (`surrogateescape`).
    `probability` is the model's own, before every rule, temperature, top-k and top-p.
    `allowed`: whether the rules (repeated n-grams, too early an end) leave it to be drawn.
    """

    token_id: int
    text: str
    probability: float
    allowed: bool


@dataclass(frozen=True, slots=True)
class Survivors:
    """How many tokens are left to draw from after each cut; the later cut sees the earlier one."""

    top_k: int
    top_p: int
    min_p: int


@dataclass(frozen=True, slots=True)
class ContinuationStep:
    """One new token, and what stood to choose from; `likeliest` begins with the likeliest."""

    drawn: Likely
    likeliest: tuple[Likely, ...]
    survivors: Survivors


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text and what the model added to it.

    `text` and `ids` hold both, without the token that ended it; `added` is the end of `text` that
    is the model's. `steps` are the new tokens, the ending one included. `seed` draws the same
    again on the same device and dtype.
    """

    text: str
    added: str
    ids: tuple[int, ...]
    num_text_tokens: int
    steps: tuple[ContinuationStep, ...]
    ended: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Attention:
    """How much each token (a row) looks at itself and at those before it: a row's sum is 1.

    The mean over the heads of `layer`, which counts from 1. `tokens` are texts as in Likely; the
    first `num_text_tokens` were given.
    """

    layer: int
    num_layers: int
    num_text_tokens: int
    tokens: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
