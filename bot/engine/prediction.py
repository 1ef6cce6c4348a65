"""Next-word prediction: what a text goes on with, and what else might have come.

A text is no dialogue: its tokens go in as they are, and the rules look at all of it, as those of
transformers' `generate` do. Simple rather than fast. Importing this module imports torch.
"""

import random
import secrets
import time
from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from bot.dialogue.continuation import Survivors
from bot.dialogue.sampling import SamplingParams
from bot.engine.errands import Steps
from bot.engine.protocol import (
    LAST_LAYER,
    LayerAttention,
    PredictedStep,
    Prediction,
    PredictionRequest,
    Prospect,
)
from bot.engine.sampling.letters import WHOLE, WholeLetters
from bot.engine.sampling.rules import ReplyRow, apply_rules
from bot.engine.sampling.sampler import Choice, draw
from bot.errors import DeadlineError, InvalidSettingError, NumericError

T = TypeVar("T")
NUM_LIKELIEST = 5
_NUM_SEEDS = 2**31


class TextReader(Protocol):
    """A network that reads one text, which grows; `end_ids` are the tokens that end texts."""

    @property
    def letters(self) -> WholeLetters | None:
        """What keeps a text whole letters; None where no token is a part of one."""
        ...

    @property
    def window(self) -> int:
        """The most tokens of a text."""
        ...

    @property
    def end_ids(self) -> Sequence[int]:
        """The tokens that end a text."""
        ...

    @property
    def num_layers(self) -> int:
        """How many layers there are."""
        ...

    def read(self, ids: Sequence[int]) -> Steps[Tensor]:
        """Float32 logits (1, num_ids) after `ids`, which begin with those of the last call."""
        ...

    def attention(self, ids: Sequence[int], layer: int) -> Steps[list[list[float]] | None]:
        """The mean over the heads of `layer`, (num_tokens, num_tokens); None: it is not shown."""
        ...


def predict_steps(reader: TextReader, request: PredictionRequest) -> Steps[Prediction]:
    """See Engine.predict; a step for every token.

    Raises InvalidSettingError, DeadlineError and NumericError.
    """
    layer = reader.num_layers if request.layer == LAST_LAYER else request.layer
    if layer is not None and not 1 <= layer <= reader.num_layers:
        raise InvalidSettingError(name="layer", low=1, high=reader.num_layers, value=layer)
    params, num_text_tokens = request.params, len(request.text_ids)
    length = min(request.length, reader.window - num_text_tokens)
    seed = params.seed if params.seed is not None else secrets.randbelow(_NUM_SEEDS)
    numbers = random.Random(seed)  # noqa: S311 - words are no secret
    ids, steps, ended = list(request.text_ids), list[PredictedStep](), False
    letters = reader.letters
    letter = letters.after(WHOLE, ids) if letters else WHOLE
    while len(steps) < length and not ended:
        logits = yield from _by(request.deadline, reader.read(ids))
        unready = reader.end_ids if len(steps) < params.min_new_tokens else ()
        place = letters.place(letter, length - len(steps)) if letters else WHOLE
        said = ReplyRow(ids, params, place=place)
        steps.append(_step(logits, said, unready, numbers.random(), letters))
        token_id = steps[-1].drawn.token_id
        ended = token_id in reader.end_ids
        if not ended:
            ids.append(token_id)
            letter = letters.after(letter, [token_id]) if letters else WHOLE
        yield
    attention: LayerAttention | None = None
    if layer is not None:
        shown = yield from _by(request.deadline, reader.attention(ids, layer))
        if shown is not None:
            attention = LayerAttention(layer, reader.num_layers, tuple(map(tuple, shown)))
    return Prediction(tuple(ids), num_text_tokens, tuple(steps), ended, seed, attention)


def _by(deadline: float | None, steps: Steps[T]) -> Steps[T]:
    """`steps`, none of which begins after `deadline`, a moment of time.monotonic() in seconds.

    Raises DeadlineError.
    """
    while True:
        if deadline is not None and time.monotonic() > deadline:
            raise DeadlineError
        try:
            next(steps)
        except StopIteration as end:
            outcome: T = end.value
            return outcome
        yield


@torch.inference_mode()
def _step(
    logits: Tensor,
    said: ReplyRow,
    unready: Sequence[int],
    number: float,
    letters: WholeLetters | None,
) -> PredictedStep:
    """Draw the token after `said` by `number`; the tokens in `unready` may not come yet."""
    if not bool(torch.isfinite(logits.logsumexp(dim=-1)).all()):
        raise NumericError
    ruled = apply_rules(logits, [said], (), letters)
    ruled[:, list(unready)] = -torch.inf
    if not bool((ruled > -torch.inf).any()):
        raise NumericError  # a tiny vocabulary of which every token is forbidden
    (drawn,) = draw(ruled, [Choice(said.params, number)])
    shares = logits[0].softmax(dim=-1)

    def prospect(token_id: int) -> Prospect:
        is_allowed = bool(ruled[0, token_id] > -torch.inf)
        return Prospect(token_id, float(shares[token_id]), is_allowed)

    likeliest: list[int] = shares.topk(min(NUM_LIKELIEST, len(shares))).indices.tolist()
    survivors = count_survivors(ruled[0], said.params)
    return PredictedStep(prospect(drawn), tuple(map(prospect, likeliest)), survivors)


def count_survivors(ruled: Tensor, params: SamplingParams) -> Survivors:
    """How many tokens of `ruled` (num_ids,) bot.engine.sampling.sampler draws from, cut by cut."""
    num_kept = min(params.top_k, len(ruled)) or len(ruled)
    values = ruled.topk(num_kept).values  # in order; sorting all of them would take longer
    values = values[values > -torch.inf] / params.temperature
    shares = values.softmax(dim=-1)
    before = shares.cumsum(dim=-1) - shares
    num_top_p = len(shares) if params.top_p == 1 else int((before < params.top_p).sum())
    num_min_p = int((shares[:num_top_p] >= shares[0] * params.min_p).sum())
    return Survivors(len(values), num_top_p, num_min_p)
