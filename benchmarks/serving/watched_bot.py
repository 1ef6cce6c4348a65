"""`python -m bot` with a stopwatch at its engine and at its event loop.

What they saw is written, when the engine is closed, to the file that BENCHMARK_NOTES names. All
moments are those of time.monotonic(), which a machine's programs share.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from bot.__main__ import main as run_bot
from bot.engine.forwarding import ForwardingEngine
from bot.engine.opening import open_engine
from bot.engine.protocol import Completion, Engine, GenerationRequest

NOTES = "BENCHMARK_NOTES"
PERIOD_SECONDS = 0.005


@dataclass(slots=True)
class Notes:
    """`calls`: (channel, begun, seconds) of the engine; `lags`: (moment, seconds too late)."""

    calls: list[tuple[int, float, float]] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)


class WatchedEngine(ForwardingEngine):
    """Takes the times of another engine."""

    def __init__(self, engine: Engine, notes: Notes, path: Path) -> None:
        super().__init__(engine)
        self._notes = notes
        self._path = path
        self._looking = asyncio.create_task(self._look_at_the_loop())

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Let the engine generate; its own seconds are noted, from the call to the last token."""
        begun = time.monotonic()
        completions = await self._engine.generate(request)
        channel_id = int(request.sequence_key.partition("/")[0])
        self._notes.calls.append((channel_id, begun, completions[0].total_seconds))
        return completions

    async def close(self) -> None:
        """Close the engine and write what was noted."""
        self._looking.cancel()
        await self._engine.close()
        content = json.dumps({"calls": self._notes.calls, "lags": self._notes.lags})
        await asyncio.to_thread(self._path.write_text, content)

    async def _look_at_the_loop(self) -> None:
        while True:
            due = time.monotonic() + PERIOD_SECONDS
            await asyncio.sleep(PERIOD_SECONDS)
            self._notes.lags.append((due, time.monotonic() - due))


async def open_watched(*arguments: Any, **options: Any) -> Engine:
    """Like open_engine, with the stopwatch."""
    engine = await open_engine(*arguments, **options)
    return WatchedEngine(engine, Notes(), Path(os.environ[NOTES]))


def main() -> int:
    """Run the bot; its exit code."""
    # the real program has no door for a stopwatch
    vars(import_module("bot.startup.foundation"))["open_engine"] = open_watched
    return run_bot([])


if __name__ == "__main__":
    sys.exit(main())
