"""The programs of `python -m evaluation`, by name."""

import argparse
from collections.abc import Mapping
from typing import Protocol

from evaluation import compare, generate, probe, report, score, strategies, tune


class Program(Protocol):
    """What a module of this folder has that is a program."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """What it takes."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Do it; returns the exit code. Raises InputError, StartError and EngineError."""
        ...


PROGRAMS: Mapping[str, Program] = {
    "score": score,
    "compare": compare,
    "generate": generate,
    "probe": probe,
    "report": report,
    "strategies": strategies,
    "tune": tune,
}
