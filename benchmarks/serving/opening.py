"""Opens the systems that are to be measured.

Importing this module imports torch and transformers.
"""

import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.serving import batching, ctranslate
from benchmarks.serving.apart import Opener, open_apart
from benchmarks.serving.report import BASELINE
from benchmarks.serving.shapes import ModelShape
from benchmarks.serving.systems import BANTER, System, open_banter, open_reference
from benchmarks.serving.workload import Range, Sizes, draw_asks
from bot.engine.checks import EngineLimits
from bot.errors import ChatError

SYSTEMS = (BASELINE, batching.NAME, BANTER, ctranslate.NAME)
_WARMING = Sizes(Range(8, 16), Range(8, 8))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured; `scratch` is a folder for what is made on the way.

    `are_apart`: every system has a process of its own.
    """

    folder: Path
    shape: ModelShape
    scratch: Path
    device: str
    num_threads: int
    systems: tuple[str, ...]
    dtypes: tuple[str, ...]
    users: tuple[int, ...]
    num_repetitions: int
    sizes: Sizes
    limits: EngineLimits
    are_apart: bool = True


async def open_systems(plan: Plan, stack: AsyncExitStack) -> list[System]:
    """Every system of `plan` that can be opened here, warmed up; the rest is told."""
    systems: list[System] = []
    for name, opener in _openers(plan):
        try:
            system = await (open_apart(opener) if plan.are_apart else opener())
            stack.push_async_callback(system.close)
            await system.serve(draw_asks(2, _WARMING, plan.shape.window, plan.shape.num_ids, -1))
        except (ImportError, RuntimeError, ChatError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        systems.append(system)
    return systems


def _openers(plan: Plan) -> list[tuple[str, Opener]]:
    """By name; every opener can be pickled."""
    folder, device, num_threads = plan.folder, plan.device, plan.num_threads
    reference = partial(open_reference, folder, device, num_threads)
    ctranslate2 = partial(ctranslate.open_ctranslate2, folder, plan.scratch, num_threads)
    openers: dict[str, list[tuple[str, Opener]]] = {
        BASELINE: [(BASELINE, reference)],
        ctranslate.NAME: [(ctranslate.NAME, ctranslate2)],
        BANTER: [
            (
                f"{BANTER} {dtype}",
                partial(open_banter, folder, device, dtype, num_threads, plan.limits),
            )
            for dtype in plan.dtypes
        ],
        batching.NAME: [
            (
                f"{batching.NAME} {dtype}",
                partial(
                    batching.open_batching, folder, device, dtype, num_threads, max(plan.users)
                ),
            )
            for dtype in plan.dtypes
        ],
    }
    # CTranslate2 is measured on a processor only: beside a GPU it would say nothing
    measured = [name for name in plan.systems if name != ctranslate.NAME or device == "cpu"]
    return [opener for name in measured for opener in openers[name]]
