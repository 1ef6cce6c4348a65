"""Next-word prediction by transformers' own forward pass: `python -m bot next`, and the oracle.

Importing this module imports torch and transformers (4 s).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bot.dialogue.continuation import Attention, Continuation
from bot.dialogue.sampling import SamplingParams
from bot.engine.errands import Steps, finish
from bot.engine.faults import is_memory_fault
from bot.engine.interruption import layers
from bot.engine.loader import LoadedModel, load_model
from bot.engine.opening import spare_cores
from bot.engine.prediction import predict_steps
from bot.engine.request import LayerAttention, PredictionRequest
from bot.engine.soundness import sentences_for_faults
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from bot.errors import (
    ContextTooLongError,
    EngineMemoryError,
    UnavailableError,
    WrongSettingsError,
)
from bot.spelling import attention_of, continuation_of

_SHOWING = "eager"  # of transformers' ways to attend the only one that shows its shares


class TransformersReader:
    """Implements bot.engine.prediction.TextReader; `loaded` raises where the engine has ended."""

    def __init__(self, loaded: Callable[[], LoadedModel]) -> None:
        self._loaded = loaded
        self._cache: Any = None  # transformers' own
        self._num_read = 0

    @property
    def window(self) -> int:
        """See TextReader."""
        return self._loaded().window

    @property
    def end_ids(self) -> Sequence[int]:
        """See TextReader."""
        return self._loaded().end_ids

    @property
    def num_layers(self) -> int:
        """See TextReader."""
        return len(layers(self._loaded().network))

    def read(self, ids: Sequence[int]) -> Steps[Tensor]:
        """See TextReader; all of a text in one step."""
        with torch.inference_mode():
            output = self._loaded().network(
                self._as_tensor(ids[self._num_read :]), past_key_values=self._cache, use_cache=True
            )
            self._cache, self._num_read = output.past_key_values, len(ids)
            logits: Tensor = output.logits[:, -1].float()
        yield from ()
        return logits

    def attention(self, ids: Sequence[int], layer: int) -> Steps[list[list[float]] | None]:
        """See TextReader; one step."""
        self._cache = None
        network = self._loaded().network
        with _showing(network), torch.inference_mode():
            output = network(self._as_tensor(ids), output_attentions=True, use_cache=False)
            shown = output.get("attentions") or ()
            # of shape (1, num_heads, num_tokens, num_tokens)
            heads = shown[layer - 1] if layer <= len(shown) else None
            rows: list[list[float]] | None = (
                None if heads is None else heads[0].float().mean(dim=0).tolist()
            )
        yield from ()
        return rows

    def _as_tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([ids], device=self._loaded().placement.device)


@contextmanager
def _showing(network: Any) -> Iterator[None]:
    """Let `network` show its attention for the time being, if it can."""
    usual = network.config._attn_implementation  # noqa: SLF001 - no public name tells it
    network.set_attn_implementation(_SHOWING)
    try:
        yield
    finally:
        network.set_attn_implementation(usual)


def open_predictor(folder: Path, device: str, dtype: str, num_threads: int | None) -> "Predictor":
    """Load the checkpoint in `folder`; `device`, `dtype` and `num_threads` are the settings.

    Raises ModelError and WrongSettingsError.
    """
    torch.set_num_threads(num_threads or spare_cores())
    loaded = load_model(folder, device, dtype)
    with sentences_for_faults(folder):
        loaded.network.set_attn_implementation(_SHOWING)
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
        num_layers = self._reader().num_layers
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
        request = PredictionRequest(tuple(text_ids), params, length)
        with _sentence_for_memory():
            prediction = finish(predict_steps(self._reader(), request))
        return continuation_of(prediction, self._tokenizer)

    def attention(self, continuation: Continuation, layer: int) -> Attention:
        """What `layer`, counted from 1, looks at in the whole text: the mean over its heads.

        Raises UnavailableError for a model that does not show it, and EngineMemoryError.
        """
        reader = self._reader()
        with _sentence_for_memory():
            weights = finish(reader.attention(continuation.ids, layer))
        if weights is None:
            raise UnavailableError(
                "Layer {layer} of this model does not show what it looks at: choose another "
                "one, or another MODEL.",
                layer=layer,
            )
        shown = LayerAttention(layer, reader.num_layers, tuple(map(tuple, weights)))
        return attention_of(shown, continuation, self._tokenizer)

    def _reader(self) -> TransformersReader:
        return TransformersReader(lambda: self._loaded)

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


@contextmanager
def _sentence_for_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_memory_fault(error):
            raise EngineMemoryError from error
        raise
