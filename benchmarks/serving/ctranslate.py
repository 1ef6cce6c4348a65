"""CTranslate2 as a system to be measured, where it is installed.

It has no bfloat16 on a processor, and what runs in one batch has one length: requests are
answered one after another, which is faster than its padded batch.
"""

import asyncio
import importlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.workload import Ask, Served

NAME = "ctranslate2"
DTYPE = "int8"


class CTranslate2:
    """A converted model; `tokens` are the names of the ids, by which it is asked."""

    name = NAME
    dtype = DTYPE

    def __init__(self, generator: Any, tokens: Sequence[str]) -> None:
        self._generator = generator
        self._tokens = tokens

    async def serve(self, asks: Sequence[Ask]) -> list[Served]:
        """Answer `asks` in their order."""
        return await asyncio.to_thread(self._serve, asks)

    async def close(self) -> None:
        """Free the model."""
        self._generator.unload_model()

    def _serve(self, asks: Sequence[Ask]) -> list[Served]:
        begun = time.perf_counter()
        return [self._answer(ask, begun) for ask in asks]

    def _answer(self, ask: Ask, begun: float) -> Served:
        moments: list[float] = []

        def note(_: object) -> bool:
            moments.append(time.perf_counter() - begun)
            return False  # do not stop

        self._generator.generate_batch(
            [[self._tokens[token_id] for token_id in ask.prompt_ids]],
            max_length=ask.params.max_new_tokens,
            sampling_topk=ask.params.top_k,
            sampling_topp=ask.params.top_p,
            sampling_temperature=ask.params.temperature,
            repetition_penalty=ask.params.repetition_penalty,
            no_repeat_ngram_size=ask.params.no_repeat_ngram_size,
            include_prompt_in_result=False,
            callback=note,
        )
        return Served(len(moments), moments[0], moments[-1])


async def open_ctranslate2(folder: Path, scratch: Path, num_threads: int) -> CTranslate2:
    """Convert the model in `folder` into `scratch` and load it. Raises ImportError."""
    return await asyncio.to_thread(_open, folder, scratch / NAME, num_threads)


def _open(folder: Path, converted: Path, num_threads: int) -> CTranslate2:
    library = importlib.import_module(NAME)  # not among what the project needs
    converters = importlib.import_module(f"{NAME}.converters")
    converters.TransformersConverter(str(folder)).convert(str(converted), quantization=DTYPE)
    tokens = json.loads((converted / "vocabulary.json").read_text(encoding="utf-8"))
    generator = library.Generator(
        str(converted), device="cpu", inter_threads=1, intra_threads=num_threads
    )
    return CTranslate2(generator, tokens)
