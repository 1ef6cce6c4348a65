"""How long members wait for one reply each while somebody else has asked for very many.

The same requests of the members are served alone and behind the flooder's, in turns, so that the
machine's moods reach both. Where `--shape` names no folder, the model has that size and random
weights, so that all replies are of one length: a model that knows when to stop keeps to none.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.serving.crowd import (
    MEMBERS_SERVER,
    OTHER_SERVER,
    Crowd,
    Round,
    draw_requests,
    serve_round,
)
from benchmarks.serving.neighbours import busy_elsewhere
from benchmarks.serving.report import percentile
from benchmarks.serving.shapes import SHAPES, ModelShape, make_model, shape_of
from benchmarks.serving.workload import Served
from bot.dialogue.sampling import check
from bot.engine.opening import open_engine
from bot.engine.protocol import Engine, EngineInfo
from bot.errors import InvalidSettingError, StartError

TARGET_RATIO = 2.0
SERVERS = {"together": MEMBERS_SERVER, "apart": OTHER_SERVER}
HEADINGS = ("replies", "tokens", "first p50", "p50", "p95", "max")


@dataclass(frozen=True, slots=True)
class Fairness:
    """Rounds without the flooder and with, a pair in each repetition."""

    without: tuple[Round, ...]
    beside: tuple[Round, ...]

    @property
    def median_ratios(self) -> list[float]:
        """How many times as long half of the members take, in each repetition."""
        return self._ratios(lambda one: one.median_seconds)

    @property
    def last_ratios(self) -> list[float]:
        """How many times as long the last of the members takes, in each repetition."""
        return self._ratios(lambda one: one.last_seconds)

    @property
    def is_met(self) -> bool:
        """Whether the flooder holds up the last member no more than the target allows."""
        return statistics.median(self.last_ratios) <= TARGET_RATIO

    def spreads(self) -> dict[str, "Spread"]:
        """How each kind of people was served, over all repetitions."""
        return {
            "members alone": spread_of([one for r in self.without for one in r.members]),
            "members beside the flooder": spread_of(
                [one for r in self.beside for one in r.members]
            ),
            "the flooder": spread_of([one for r in self.beside for one in r.flood]),
        }

    def _ratios(self, seconds: Callable[[Round], float]) -> list[float]:
        pairs = zip(self.without, self.beside, strict=True)
        return [seconds(beside) / seconds(without) for without, beside in pairs]


@dataclass(frozen=True, slots=True)
class Spread:
    """Some replies; the tokens of the shortest and of the longest."""

    num_replies: int
    least_tokens: int
    most_tokens: int
    first_token_p50_seconds: float
    p50_seconds: float
    p95_seconds: float
    max_seconds: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Where was measured; `max_rows`: replies at once, `busy_seconds`: taken by other programs."""

    info: EngineInfo
    max_rows: int
    crowd: Crowd
    num_cores: int
    busy_seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how everybody was served; 1 when the target is missed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    # the threads that a second torch thread had would slow down those of the engine
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="banter-fairness-") as name:
        known = SHAPES.get(options.shape)
        folder = make_model(Path(name) / "model", known) if known else Path(options.shape)
        shape = shape_of(folder)
        if options.prompt_tokens + options.new_tokens > shape.window:
            parser.error(f"prompt and reply are more than the window of {shape.window} tokens")
        try:
            setting, fairness = asyncio.run(measure(options, folder, shape))
        except StartError as error:
            parser.error(str(error))
    print_report(setting, fairness)
    if options.json is not None:
        write_json(options.json, setting, fairness)
    return int(not fairness.is_met)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    shapes = f"{'|'.join(SHAPES)}, or a model's folder"
    parser.add_argument("--shape", default="embedded", help=shapes)
    parser.add_argument("--members", type=_number, default=20, help="with one request each")
    parser.add_argument("--flood", type=_number, default=100, help="requests of the flooder")
    parser.add_argument("--servers", choices=SERVERS, default="together", help="of the flooder")
    parser.add_argument("--prompt-tokens", type=_number, default=64)
    parser.add_argument("--new-tokens", type=_length, default=32, help="of every reply")
    parser.add_argument("--repeats", type=_number, default=3)
    parser.add_argument("--threads", type=_number, help="as many as the bot takes by itself")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser


def _number(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("1 at least")
    return number


def _length(text: str) -> int:
    try:
        return int(check("max_new_tokens", int(text)))
    except InvalidSettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def measure(
    options: argparse.Namespace, folder: Path, shape: ModelShape
) -> tuple[Setting, Fairness]:
    """Open one engine with the bot's own limits, and let all rounds take turns on it."""
    crowd = Crowd(
        num_members=options.members,
        num_flooding=options.flood,
        num_prompt_tokens=options.prompt_tokens,
        num_new_tokens=options.new_tokens,
        flood_server=SERVERS[options.servers],
    )
    engine = await open_engine(
        folder,
        model=options.shape,
        device=options.device,
        dtype=options.dtype,
        num_threads=options.threads,
    )
    try:
        busy_before = busy_elsewhere()
        fairness = await take_turns(engine, crowd, shape, options.repeats)
        busy_seconds = busy_elsewhere() - busy_before
        max_rows = engine.load().max_rows
    finally:
        await engine.close()
    num_cores = os.cpu_count() or 1
    return Setting(engine.info, max_rows, crowd, num_cores, busy_seconds), fairness


async def take_turns(
    engine: Engine, crowd: Crowd, shape: ModelShape, num_repetitions: int
) -> Fairness:
    """Without the flooder, with, without, with, and so on; first once to warm up."""
    await serve_round(engine, draw_requests(crowd, shape, -1).without_flood)
    without, beside = list[Round](), list[Round]()
    for repetition in tqdm(range(num_repetitions), desc="measuring", unit=" pairs"):
        requests = draw_requests(crowd, shape, repetition)
        without.append(await serve_round(engine, requests.without_flood))
        beside.append(await serve_round(engine, requests))
    return Fairness(tuple(without), tuple(beside))


def spread_of(served: Sequence[Served]) -> Spread:
    """Summarise replies; there has to be one."""
    seconds = [one.seconds for one in served]
    return Spread(
        num_replies=len(served),
        least_tokens=min(one.num_tokens for one in served),
        most_tokens=max(one.num_tokens for one in served),
        first_token_p50_seconds=percentile([one.first_token_seconds for one in served], 50),
        p50_seconds=percentile(seconds, 50),
        p95_seconds=percentile(seconds, 95),
        max_seconds=max(seconds),
    )


def print_report(setting: Setting, fairness: Fairness) -> None:
    """Where was measured, a line for each kind of people, the ratios, and the verdict."""
    info, crowd = setting.info, setting.crowd
    where = "the same" if crowd.flood_server == MEMBERS_SERVER else "another"
    print(
        f"{info.model}: {info.num_parameters / 1e6:.1f} million parameters, {info.dtype} on "
        f"{info.device}, {setting.max_rows} replies at once; {setting.num_cores} cores, of which "
        f"other programs took {setting.busy_seconds:.0f} s meanwhile"
    )
    print(
        f"{crowd.num_members} members with a request each, a flooder with {crowd.num_flooding} in "
        f"{where} server; prompts of {crowd.num_prompt_tokens} tokens; "
        f"{len(fairness.without)} repetitions"
    )
    print(_row("seconds", HEADINGS))
    for title, spread in fairness.spreads().items():
        print(_row(title, _cells(spread)))
    print(f"half of the members take {_ratio(fairness.median_ratios)} times as long")
    print(f"the last of the members takes {_ratio(fairness.last_ratios)} times as long")
    verdict = "met" if fairness.is_met else "MISSED"
    print(f"target: the last member at most {TARGET_RATIO} times as long: {verdict}")


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<28}" + "".join(f"{cell:>11}" for cell in cells)


def _cells(spread: Spread) -> tuple[str, ...]:
    seconds = (
        spread.first_token_p50_seconds,
        spread.p50_seconds,
        spread.p95_seconds,
        spread.max_seconds,
    )
    tokens = f"{spread.least_tokens}-{spread.most_tokens}"
    return (str(spread.num_replies), tokens, *(f"{one:.2f}" for one in seconds))


def _ratio(ratios: Sequence[float]) -> str:
    middle = statistics.median(ratios)
    return f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def write_json(path: Path, setting: Setting, fairness: Fairness) -> None:
    """The file that other programs read."""
    content = {
        "setting": asdict(setting),
        "spreads": {title: asdict(spread) for title, spread in fairness.spreads().items()},
        "median_ratio": statistics.median(fairness.median_ratios),
        "last_ratio": statistics.median(fairness.last_ratios),
        "target_ratio": TARGET_RATIO,
        "is_met": fairness.is_met,
        "repetitions": {
            "without": [asdict(one) for one in fairness.without],
            "beside": [asdict(one) for one in fairness.beside],
        },
    }
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
