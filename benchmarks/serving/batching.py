"""transformers' own continuous batching as a system to be measured.

It knows temperature, top-k and top-p; the rules over the bot's own words it has not.
Importing this module imports torch and transformers.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import ContinuousBatchingConfig

from benchmarks.serving.workload import Ask, Served
from bot.dialogue.sampling import SamplingParams
from bot.engine.reference.loader import LoadedModel, generation_config, load_model

NAME = "transformers-cb"
WAIT_SECONDS = 600.0
PAGE_TOKENS = 256  # its default
BATCH_TOKENS = 512


class TransformersBatching:
    """A manager of transformers that runs until it is closed."""

    name = NAME

    def __init__(self, loaded: LoadedModel, num_people: int) -> None:
        self.dtype = str(loaded.placement.dtype).removeprefix("torch.")
        defaults = SamplingParams()
        untyped: Any = ContinuousBatchingConfig
        # without numbers it takes nearly all memory, and a mask over all of it
        settings = untyped(
            num_blocks=num_people * -(-loaded.window // PAGE_TOKENS), max_batch_tokens=BATCH_TOKENS
        )
        self._batching: Any = loaded.network.init_continuous_batching(
            generation_config=generation_config(
                do_sample=True,
                temperature=defaults.temperature,
                top_k=defaults.top_k,
                top_p=defaults.top_p,
                eos_token_id=loaded.end_ids[0],
                pad_token_id=loaded.end_ids[0],
                max_new_tokens=defaults.max_new_tokens,
            ),
            continuous_batching_config=settings,
        )
        self._batching.start()

    async def serve(self, asks: Sequence[Ask]) -> list[Served]:
        """Answer `asks`; raises RuntimeError where it gives one up."""
        return await asyncio.to_thread(self._serve, asks)

    async def close(self) -> None:
        """End its thread."""
        await asyncio.to_thread(self._batching.stop, block=True, timeout=60.0)

    def _serve(self, asks: Sequence[Ask]) -> list[Served]:
        begun = time.perf_counter()
        for ask in asks:
            self._batching.add_request(
                list(ask.prompt_ids),
                max_new_tokens=ask.params.max_new_tokens,
                record_timestamps=True,
            )
        return [self._wait_for_one(begun) for _ in asks]

    def _wait_for_one(self, begun: float) -> Served:
        found = self._batching.get_result(timeout=WAIT_SECONDS)
        if found is None or found.error is not None:
            raise RuntimeError(getattr(found, "error", None) or "transformers gave no result")
        return Served(
            num_tokens=len(found.generated_tokens),
            first_token_seconds=found.timestamps[0] - begun,
            seconds=found.timestamps[-1] - begun,
        )


async def open_batching(
    folder: Path, device: str, dtype: str, num_threads: int, num_people: int
) -> TransformersBatching:
    """Load the model and start."""
    torch.set_num_threads(num_threads)  # counts for the threads to come, as its own
    return await asyncio.to_thread(
        lambda: TransformersBatching(load_model(folder, device, dtype), num_people)
    )
