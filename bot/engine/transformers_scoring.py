"""How likely given tokens are, by transformers' own forward pass.

Importing this module imports torch and transformers.
"""

from collections.abc import Callable, Sequence

import torch

from bot.engine.errands import Steps
from bot.engine.loader import LoadedModel
from bot.engine.request import Passage
from bot.engine.scoring import Logprobs, logprobs_from


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
