"""What transformers' own forward pass says of given tokens, for every architecture; the oracle.

Importing this module imports torch and transformers (4 s).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bot.engine.errands import Steps
from bot.engine.protocol import Passage
from bot.engine.reference.generation import layers
from bot.engine.reference.loader import LoadedModel
from bot.engine.sampling.logprobs import Logprobs, logprobs_from

_EAGER = "eager"  # the only attention of transformers that returns its weights


class TransformersReader:
    """Implements bot.engine.prediction.TextReader; `loaded` raises where the engine has ended."""

    def __init__(self, loaded: Callable[[], LoadedModel]) -> None:
        self._loaded = loaded
        self.window = loaded().window
        self.end_ids = loaded().end_ids
        self.letters = loaded().letters
        self.num_layers = len(layers(loaded().network))
        self._cache: Any = None  # transformers' own
        self._num_read = 0

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
        usual = network.config._attn_implementation  # noqa: SLF001 - no public name tells it
        network.set_attn_implementation(_EAGER)
        try:
            with torch.inference_mode():
                output = network(self._as_tensor(ids), output_attentions=True, use_cache=False)
        finally:
            network.set_attn_implementation(usual)
        yield from ()
        shown = output.get("attentions") or ()
        if layer > len(shown):
            return None
        # of shape (1, num_heads, num_tokens, num_tokens)
        rows: list[list[float]] = shown[layer - 1][0].float().mean(dim=0).tolist()
        return rows

    def _as_tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([ids], device=self._loaded().placement.device)


def score_steps(
    loaded: Callable[[], LoadedModel], passages: Sequence[Passage]
) -> Steps[list[Logprobs]]:
    """See Engine.score; a step for every passage. `loaded` raises where the engine has ended."""
    scored: list[Logprobs] = []
    for passage in passages:
        network, device = loaded().network, loaded().placement.device
        ids = torch.tensor([(*passage.prompt_ids, *passage.ids[:-1])], device=device)
        with torch.inference_mode():
            output = network(ids, use_cache=False)
        logits = output.logits[0, len(passage.prompt_ids) - 1 :].float()
        scored.append(tuple(logprobs_from(logits, passage.ids)))
        yield
    return scored
