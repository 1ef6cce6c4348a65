"""How many tokens a second the engine makes, beside others and beside what the machine allows.

Every system gets the same prompts at the same moment, all rules over the bot's own words on; the
systems take turns in every repetition, so that the machine's moods reach all of them. The models
have the sizes of DialoGPT and random weights: this says nothing about the quality of replies.
`pace` is tokens a second of one reply after its first token; `of limit` is the least time that
the machine's measured memory and arithmetic allow, over the time that it took.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.serving.limits import (
    Machine,
    examine_machine,
    least_seconds,
    most_tokens_per_second,
)
from benchmarks.serving.neighbours import busy_elsewhere
from benchmarks.serving.opening import SYSTEMS, Plan, open_systems
from benchmarks.serving.profile import profile_step
from benchmarks.serving.report import Measurement, print_table, summarise, write_json
from benchmarks.serving.shapes import SHAPES, make_model, shape_of
from benchmarks.serving.systems import BANTER, System
from benchmarks.serving.workload import Range, Sizes, draw_asks
from bot.engine.checks import EngineLimits
from bot.engine.placement.device import available_bytes, choose_placement
from bot.errors import StartError

MEASURED_DTYPES = ("float32", "bfloat16")  # of arithmetic


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or only look into a step."""
    parser = _parser()
    options = parser.parse_args(arguments)
    wrong = set(options.systems) - set(SYSTEMS)
    if wrong:
        parser.error(f"--systems: {', '.join(sorted(wrong))}; there are {', '.join(SYSTEMS)}")
    torch.set_num_threads(options.threads)
    try:
        device = choose_placement(options.device, "float32").device
    except StartError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="banter-engine-") as name:
        plan = _plan(options, device, Path(name))
        if options.profile is not None:
            print(profile_step(plan, options.profile))
            return 0
        _measure(plan, device, options.json)
    return 0


def _plan(options: argparse.Namespace, device: torch.device, scratch: Path) -> Plan:
    known = SHAPES.get(options.shape)
    folder = make_model(scratch / "model", known) if known else Path(options.shape)
    return Plan(
        folder=folder,
        shape=shape_of(folder),
        scratch=scratch,
        device=device.type,
        num_threads=options.threads,
        systems=options.systems,
        dtypes=options.dtype,
        users=options.users,
        num_repetitions=options.repeats,
        sizes=Sizes(options.prompt_tokens, options.reply_tokens),
        limits=_limits(options.kv_cache_mb, device),
        are_apart=not options.one_process,
    )


def _limits(megabytes: int | None, device: torch.device) -> EngineLimits:
    """What the bot has by default; on a GPU, whose owner is asked to raise it, a quarter of it."""
    if megabytes is not None:
        return EngineLimits(cache_bytes=megabytes * 2**20)
    limits = EngineLimits()
    free = available_bytes(device) if device.type == "cuda" else None
    return replace(limits, cache_bytes=max(limits.cache_bytes, (free or 0) // 4))


def _measure(plan: Plan, device: torch.device, rows: Path | None) -> None:
    """Measure, print the table, write the file `rows`."""
    machine = examine_machine(device, MEASURED_DTYPES, num_bytes=plan.shape.num_step_weights * 4)
    before = busy_elsewhere()
    measurements = asyncio.run(measure(plan, machine))
    busy_seconds = busy_elsewhere() - before
    lines = summarise(measurements)
    _print_machine(plan, machine)
    print(f"meanwhile other programs took {busy_seconds:.0f} s of the processors")
    print_table(lines)
    if rows is not None:
        write_json(rows, machine, lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--shape", default="small", help=f"{'|'.join(SHAPES)}, or a model's folder")
    parser.add_argument("--users", type=_numbers, default=(1, 8), help="such as 1,8,16,64")
    parser.add_argument("--systems", type=_names, default=SYSTEMS, help=",".join(SYSTEMS))
    parser.add_argument("--dtype", type=_names, default=MEASURED_DTYPES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--prompt-tokens", type=Range.read, default=Sizes().prompts)
    parser.add_argument("--reply-tokens", type=Range.read, default=Sizes().replies)
    parser.add_argument("--one-process", action="store_true", help="starts faster, measures worse")
    parser.add_argument("--kv-cache-mb", type=int, help="512, or a quarter of a GPU's free memory")
    parser.add_argument("--json", type=Path, help="a file for the rows")
    parser.add_argument(
        "--profile",
        type=Path,
        help="only write a picture of one step of the first of --users in the last of --dtype, "
        "for chrome://tracing or ui.perfetto.dev",
    )
    return parser


async def measure(plan: Plan, machine: Machine) -> list[Measurement]:
    """All systems in turns, for every number of people."""
    measurements = []
    async with AsyncExitStack() as stack:
        systems = await open_systems(plan, stack)
        turns = [(users, n) for users in plan.users for n in range(plan.num_repetitions)]
        for num_users, repetition in tqdm(turns, desc="measuring", unit=" rounds"):
            first = repetition % len(systems)
            in_turn = (*systems[first:], *systems[:first])
            measurements += [await _serve(s, plan, machine, num_users, repetition) for s in in_turn]
    order = [(system.name, system.dtype) for system in systems]
    return sorted(measurements, key=lambda one: order.index((one.system, one.dtype)))


async def _serve(
    system: System, plan: Plan, machine: Machine, num_users: int, repetition: int
) -> Measurement:
    asks = draw_asks(num_users, plan.sizes, plan.shape.window, plan.shape.num_ids, repetition)
    begun = time.perf_counter()
    served = await system.serve(asks)
    seconds = time.perf_counter() - begun
    return Measurement(
        system=system.name,
        dtype=system.dtype,
        num_users=num_users,
        repetition=repetition,
        seconds=seconds,
        least_seconds=least_seconds(plan.shape, system.dtype, asks, machine),
        served=tuple(served),
    )


def _print_machine(plan: Plan, machine: Machine) -> None:
    print(
        f"{machine.processor}; {plan.num_threads} threads; torch {machine.torch}, "
        f"transformers {machine.transformers}"
    )
    print(
        f"on {machine.device}; {plan.limits.cache_bytes / 2**20:.0f} MB for keys and values of "
        f"{BANTER}"
    )
    print(f"memory is read at {machine.read_bytes_per_second / 1e9:.1f} GB/s")
    for dtype, rate in machine.operations_per_second.items():
        most = most_tokens_per_second(plan.shape, dtype, machine)
        print(
            f"{dtype}: {rate / 1e9:.0f} billion operations a second; "
            f"the pace of one reply is {most:.1f} at most"
        )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    sys.exit(main())
