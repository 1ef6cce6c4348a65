"""The bot, whose model stays in a step, among torch's kernels, while a file `spin` is there."""

import sys
from pathlib import Path

import torch

from bot.__main__ import main
from bot.engine import pulse
from bot.engine.batching.network import Gpt2

LEAST_SECONDS = 1.0  # of patience: a test has less of it


def hang_when_told() -> None:
    """Let every network look for the file before each step."""
    run = Gpt2._run

    def look_first(network: Gpt2, *arguments: object) -> object:
        while Path("spin").exists():
            torch.ones(1000, 1000) @ torch.ones(1000, 1000)
        return run(network, *arguments)  # type: ignore[arg-type]  # handed on as it came

    Gpt2._run = look_first  # type: ignore[method-assign, assignment]  # as a broken kernel would


if __name__ == "__main__":
    pulse.LEAST_SECONDS = LEAST_SECONDS
    hang_when_told()
    sys.exit(main(sys.argv[1:]))
