"""Next-word prediction: a text's continuation, and why each token of it was drawn.

A text is no dialogue: its tokens go in as they are, and the rules look at all of it, as those of
transformers' `generate` do. Simple rather than fast. Importing this module imports torch and
transformers (4 s).
"""

import random
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from bot.dialogue.continuation import Attention, Continuation, Likely, Step, Survivors
from bot.dialogue.sampling import SamplingParams
from bot.engine.faults import is_memory_fault
from bot.engine.interruption import layers
from bot.engine.loader import LoadedModel, load_model
from bot.engine.logits import Said, apply_rules
from bot.engine.opening import spare_cores
from bot.engine.sampler import Choice, draw
from bot.engine.soundness import sentences_for_faults
from bot.engine.token_text import token_text
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from bot.errors import (
    ContextTooLongError,
    EngineMemoryError,
    NumericError,
    UnavailableError,
    WrongSettingsError,
)

NUM_LIKELIEST = 5
_NUM_SEEDS = 2**31


def open_predictor(folder: Path, device: str, dtype: str, num_threads: int | None) -> "Predictor":
    """Load the checkpoint in `folder`; `device`, `dtype` and `num_threads` are the settings.

    Raises ModelError and WrongSettingsError.
    """
    torch.set_num_threads(num_threads or spare_cores())
    loaded = load_model(folder, device, dtype)
    with sentences_for_faults(folder):
        loaded.network.set_attn_implementation("eager")  # the others do not show their attention
    return Predictor(loaded, load_tokenizer(folder))


class Predictor:
    """Continues texts with a model that is its own; for one thread."""

    def __init__(self, loaded: LoadedModel, tokenizer: ModelTokenizer) -> None:
        self._loaded = loaded
        self._tokenizer = tokenizer

    def layer(self, wished: int | None) -> int:
        """The layer that is meant, counted from 1: the last one without a wish.

        Raises WrongSettingsError.
        """
        num_layers = len(layers(self._loaded.network))
        layer = num_layers if wished is None else wished
        if not 1 <= layer <= num_layers:
            raise WrongSettingsError(
                "This model has the layers 1 to {num_layers}: there is no layer {layer}.",
                num_layers=num_layers,
                layer=layer,
            )
        return layer

    def continue_text(self, text: str, params: SamplingParams, length: int) -> Continuation:
        """Add up to `length` tokens to `text`; a token that ends texts ends it sooner.

        Of `params`, `max_new_tokens` and `num_candidates` do not count.
        Raises ContextTooLongError, WrongSettingsError for another `length` than there is room
        for, NumericError and EngineMemoryError.
        """
        text_ids = self._tokenizer.encode(text)
        self._check_room(len(text_ids), length)
        seed = params.seed if params.seed is not None else secrets.randbelow(_NUM_SEEDS)
        numbers = random.Random(seed)  # noqa: S311 - words are no secret
        ids, steps = list(text_ids), list[Step]()
        with _sentence_for_memory(), torch.inference_mode():
            for logits in self._logits(ids):
                num_left = params.min_new_tokens - len(steps)
                ruled = self._ruled(logits, ids, params, num_left)
                (drawn,) = draw(ruled, [Choice(params, numbers.random())])
                steps.append(self._step(logits[0], ruled[0], drawn, params))
                if drawn in self._loaded.end_ids:
                    break
                ids.append(drawn)
                if len(steps) == length:
                    break
        return Continuation(
            text=self._tokenizer.decode(ids),
            ids=tuple(ids),
            num_text_tokens=len(text_ids),
            steps=tuple(steps),
            ended=steps[-1].drawn.token_id in self._loaded.end_ids,
            seed=seed,
        )

    def attention(self, continuation: Continuation, layer: int) -> Attention:
        """What `layer`, counted from 1, looks at in the whole text: the mean over its heads.

        Raises UnavailableError for a model that does not show it, and EngineMemoryError.
        """
        ids = self._as_tensor(continuation.ids)
        with _sentence_for_memory(), torch.inference_mode():
            output = self._loaded.network(ids, output_attentions=True, use_cache=False)
            shown = output.get("attentions") or ()
            # of shape (1, num_heads, num_tokens, num_tokens)
            heads = shown[layer - 1] if layer <= len(shown) else None
            if heads is None:
                raise UnavailableError(
                    "Layer {layer} of this model does not show what it looks at: choose another "
                    "one, or another MODEL.",
                    layer=layer,
                )
            weights = heads[0].float().mean(dim=0).tolist()
        return Attention(
            layer=layer,
            num_layers=len(shown),
            num_text_tokens=continuation.num_text_tokens,
            tokens=tuple(token_text(self._tokenizer, token_id) for token_id in continuation.ids),
            weights=tuple(tuple(row) for row in weights),
        )

    def _check_room(self, num_tokens: int, length: int) -> None:
        if num_tokens == 0:
            raise WrongSettingsError("The model knows no letter of this text: write another one.")
        window = self._loaded.window
        room = window - num_tokens
        if room < 1:
            raise ContextTooLongError(num_tokens=num_tokens, limit=window - 1)
        if not 1 <= length <= room:
            raise WrongSettingsError(
                "After this text there is room for 1 to {room} more tokens in the model's window "
                "of {window}: --length cannot be {length}.",
                window=window,
                room=room,
                length=length,
            )

    def _logits(self, ids: Sequence[int]) -> Iterator[Tensor]:
        """The model's logits after `ids`, which grow by a token each time: (1, num_ids)."""
        cache, num_seen = None, 0
        while True:
            output = self._loaded.network(
                self._as_tensor(ids[num_seen:]), past_key_values=cache, use_cache=True
            )
            cache, num_seen = output.past_key_values, len(ids)
            logits = output.logits[:, -1].float()
            if not bool(torch.isfinite(logits.logsumexp(dim=-1)).all()):
                raise NumericError
            yield logits

    def _as_tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([ids], device=self._loaded.placement.device)

    def _ruled(
        self, logits: Tensor, ids: Sequence[int], params: SamplingParams, num_left: int
    ) -> Tensor:
        """What is drawn from, (1, num_ids); the text may not end for `num_left` more tokens."""
        ruled = apply_rules(logits, [Said(ids, params)], end_ids=())
        if num_left > 0:
            ruled[:, list(self._loaded.end_ids)] = -torch.inf
        if not bool((ruled > -torch.inf).any()):
            raise NumericError  # a tiny vocabulary of which every token is forbidden
        return ruled

    def _step(self, logits: Tensor, ruled: Tensor, drawn: int, params: SamplingParams) -> Step:
        shares = logits.softmax(dim=-1)

        def likely(token_id: int) -> Likely:
            return Likely(
                token_id=token_id,
                text=token_text(self._tokenizer, token_id),
                probability=float(shares[token_id]),
                allowed=bool(ruled[token_id] > -torch.inf),
            )

        likeliest: list[int] = shares.topk(min(NUM_LIKELIEST, len(shares))).indices.tolist()
        return Step(likely(drawn), tuple(map(likely, likeliest)), count_survivors(ruled, params))


def count_survivors(ruled: Tensor, params: SamplingParams) -> Survivors:
    """How many tokens of `ruled` (num_ids,) bot.engine.sampler draws from, cut by cut."""
    values = ruled[ruled > -torch.inf].sort(descending=True).values
    values = values[: params.top_k or None] / params.temperature
    shares = values.softmax(dim=-1)
    before = shares.cumsum(dim=-1) - shares
    num_top_p = len(shares) if params.top_p == 1 else int((before < params.top_p).sum())
    num_min_p = int((shares[:num_top_p] >= shares[0] * params.min_p).sum())
    return Survivors(len(values), num_top_p, num_min_p)


@contextmanager
def _sentence_for_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_memory_fault(error):
            raise EngineMemoryError from error
        raise
