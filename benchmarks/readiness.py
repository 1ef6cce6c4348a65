"""How long the bot takes from its start until it is ready on Discord, and the model's share.

The model is random: a tiny one by default, or a folder that `--model` names.
"""

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.discord_server.bot_process import BotProcess
from tests.discord_server.server import DiscordServer, serving
from tests.tiny_models import make_tiny_gpt2

MODEL_SECONDS = re.compile(r"Model loaded in ([0-9.]+) s")
READY = "Ready:"


@dataclass(frozen=True, slots=True)
class Start:
    """One start, in seconds; `model_seconds` holds the import of torch and transformers."""

    ready_seconds: float
    model_seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the median over several starts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readiness", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", type=Path, help="a model folder (default: a tiny random GPT-2)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        model = options.model or make_tiny_gpt2(Path(name) / "model")
        starts = asyncio.run(measure(options.runs, model.resolve(), Path(name)))
    ready = [start.ready_seconds for start in starts]
    share = [start.model_seconds for start in starts]
    print(f"start to ready          {describe(ready)}")
    print(f"libraries and model     {describe(share)}")
    print(f"their share             {statistics.median(share) / statistics.median(ready):.0%}")
    return 0


async def measure(num_runs: int, model: Path, folder: Path) -> list[Start]:
    """Start the bot `num_runs` times after one that warms up the disk."""
    async with serving() as server:
        server.add_channel(server.add_guild())
        starts = [await start_once(server, model, folder, n + 1) for n in range(num_runs + 1)]
    return starts[1:]


async def start_once(server: DiscordServer, model: Path, folder: Path, number: int) -> Start:
    """Start the bot in `folder` and stop it when its log says that it is ready."""
    begun = time.perf_counter()
    async with await BotProcess.start(server, folder=folder, env={"MODEL": str(model)}) as bot:
        await bot.ready(number=number)
        while bot.stderr.count(READY) < number:  # noqa: ASYNC110  # a log file tells nobody
            await asyncio.sleep(0.01)
        ready_seconds = time.perf_counter() - begun
        await bot.terminate()
    return Start(ready_seconds, float(MODEL_SECONDS.findall(bot.stderr)[-1]))


def describe(runs: Sequence[float]) -> str:
    """Median and range in seconds, with the number of runs."""
    return (
        f"median {statistics.median(runs):.1f} s ({min(runs):.1f} to {max(runs):.1f}, "
        f"n = {len(runs)})"
    )


if __name__ == "__main__":
    sys.exit(main())
