"""How long the command line takes to answer, and which imports that time goes to."""

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

TARGET_SECONDS = 0.2
NUM_SHOWN = 5
IMPORT_TIME = re.compile(r"import time: +(\d+) \| +(\d+) \| +(\S+)")
HEAVY = ("torch", "transformers", "discord", "sqlalchemy", "pydantic", "simcord", "aiohttp")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the median of several runs of `python -m bot --help`; 1 if it is over the target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    num_runs = parser.parse_args(arguments).runs
    bare = [seconds("-c", "pass") for _ in range(num_runs)]
    help_ = [seconds("-m", "bot", "--help") for _ in range(num_runs)]
    median = statistics.median(help_)
    print(f"python -c pass         {describe(bare)}")
    print(f"python -m bot --help   {describe(help_)}")
    print(f"target                 {TARGET_SECONDS * 1000:.0f} ms")
    imports = import_microseconds()
    print(f"imports that take longest, of {len(imports)}:")
    for name in sorted(imports, key=imports.__getitem__, reverse=True)[:NUM_SHOWN]:
        print(f"  {imports[name] / 1000:6.1f} ms  {name}")
    heavy = sorted(name for name in imports if name.partition(".")[0] in HEAVY)
    print(f"heavy ones: {', '.join(heavy) or 'none'}")
    return int(median > TARGET_SECONDS or bool(heavy))


def seconds(*arguments: str) -> float:
    """The wall-clock time of one run of Python, in seconds."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
    return time.perf_counter() - begun


def describe(runs: Sequence[float]) -> str:
    """Median and range in milliseconds, with the number of runs."""
    low, middle, high = (value * 1000 for value in (min(runs), statistics.median(runs), max(runs)))
    return f"median {middle:.0f} ms ({low:.0f} to {high:.0f}, n = {len(runs)})"


def import_microseconds() -> dict[str, int]:
    """What each import of `python -m bot --help` takes by itself."""
    command = [sys.executable, "-X", "importtime", "-m", "bot", "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    return {match[3]: int(match[1]) for match in IMPORT_TIME.finditer(done.stderr)}


if __name__ == "__main__":
    sys.exit(main())
