"""What can be measured: engines of the bot, and the programs of others that do the same.

Importing this module imports torch and transformers.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import torch

from benchmarks.serving.report import BASELINE
from benchmarks.serving.workload import Ask, Served
from bot.engine.checks import EngineLimits
from bot.engine.opening import open_engine
from bot.engine.protocol import Engine, GenerationRequest
from bot.engine.reference.engine import ReferenceEngine
from bot.engine.reference.loader import load_model

BANTER = "banter"


class System(Protocol):
    """One way to make replies, ready to serve."""

    @property
    def name(self) -> str:
        """Who it is."""
        ...

    @property
    def dtype(self) -> str:
        """The number format of its weights."""
        ...

    async def serve(self, asks: Sequence[Ask]) -> list[Served]:
        """Answer `asks`, which all arrive now."""
        ...

    async def close(self) -> None:
        """Give back memory and threads."""
        ...


class EngineSystem:
    """An engine of the bot."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.dtype = engine.info.dtype
        self._engine = engine
        self._num_served = 0

    async def serve(self, asks: Sequence[Ask]) -> list[Served]:
        """Answer `asks` as those of as many people in as many conversations."""
        return list(await asyncio.gather(*map(self._serve, asks)))

    async def close(self) -> None:
        """End the engine."""
        await self._engine.close()

    async def _serve(self, ask: Ask) -> Served:
        self._num_served += 1
        request = GenerationRequest(
            prompt_ids=ask.prompt_ids,
            params=ask.params,
            sequence_key=str(self._num_served),
            user_id=self._num_served,
        )
        begun = time.perf_counter()
        (completion,) = await self._engine.generate(request)
        return Served(
            num_tokens=len(completion.logprobs),
            first_token_seconds=completion.first_token_seconds,
            seconds=time.perf_counter() - begun,
        )


async def open_reference(folder: Path, device: str, num_threads: int) -> System:
    """`generate` in float32, one request after another: what the others are measured against."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="reference")

    def load() -> ReferenceEngine:
        torch.set_num_threads(num_threads)  # counts for the calling thread only
        return ReferenceEngine(load_model(folder, device, "float32"), folder.name, thread)

    return EngineSystem(BASELINE, await asyncio.get_running_loop().run_in_executor(thread, load))


async def open_banter(
    folder: Path, device: str, dtype: str, num_threads: int, limits: EngineLimits
) -> System:
    """The engine that the bot would open."""
    engine = await open_engine(
        folder,
        model=folder.name,
        device=device,
        dtype=dtype,
        num_threads=num_threads,
        limits=limits,
    )
    return EngineSystem(BANTER, engine)
