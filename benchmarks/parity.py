"""Whether the engine computes what transformers computes.

In float32 on the sizes of DialoGPT, with random weights: the logits of sequences that are read
in chunks and token by token, side by side; and the greedy replies to requests that join and
leave at any time, with conversations that go on. In bfloat16 and int8 on the embedded model, in
its own words: how far the distribution of the next token is from that of float32.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.serving.dialogues import embedded_dialogues
from benchmarks.serving.greedy import count_equal
from benchmarks.serving.shapes import SHAPES, make_model, shape_of
from bot.engine.batching.kv_cache import KvSequence
from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.batching.network import Piece
from bot.engine.checkpoints.checkpoint import EMBEDDED, resolve_model
from bot.engine.placement.device import choose_placement
from bot.engine.reference.loader import load_model
from bot.errors import StartError

MAX_ERROR = 1e-5  # of float32, relative to the largest logit
MAX_CUDA_ERROR = 1e-4  # the oracle is on the processor, which adds in another order
MAX_DIVERGENCE = {"bfloat16": 1e-3, "int8": 5e-3}  # in nats a token
MIN_AGREEMENT = {"bfloat16": 0.98, "int8": 0.96}  # how often the likeliest token is the same
# Of the random weights. With GPT-2's own 0.02 greedy replies repeat one token; from 0.1 on float32
# itself is further from float64 than the bound.
SPREAD = 0.05
CHUNKS = (17, 1, 30, 1, 1, 14)


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near two distributions of the next token are, over `num_places`."""

    divergence: float
    agreement: float
    num_places: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every comparison; 1 when one is out of its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--shapes", default="small,medium", help=",".join(SHAPES))
    parser.add_argument("--requests", type=int, default=12, help="greedy ones, for each shape")
    parser.add_argument("--dialogues", type=int, default=32, help="of the embedded model")
    parser.add_argument("--dtypes", default="bfloat16,int8", help="compared with float32")
    parser.add_argument("--device", default="cpu", help="of the engine: cpu or cuda")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        choose_placement(options.device, "float32")
    except StartError as error:
        parser.error(str(error))
    sound = []
    with tempfile.TemporaryDirectory(prefix="banter-parity-") as name:
        for shape in filter(None, options.shapes.split(",")):
            folder = make_model(Path(name) / shape, SHAPES[shape], spread=SPREAD)
            sound.append(_compare_shape(shape, folder, options))
    for dtype in options.dtypes.split(","):
        sound.append(_compare_embedded(dtype, options))  # noqa: PERF401 - it prints
    print("met" if all(sound) else "MISSED")
    return int(not all(sound))


def _compare_shape(name: str, folder: Path, options: argparse.Namespace) -> bool:
    oracle = load_model(folder, "cpu", "float32")
    device, most = options.device, MAX_ERROR if options.device == "cpu" else MAX_CUDA_ERROR
    loaded = load_gpt2(folder, device, "float32")
    error = logits_error(loaded, oracle.network, shape_of(folder).window)
    print(f"{name}, float32: logits differ by {error:.1e} of the largest (at most {most:.0e})")
    greedy = asyncio.run(count_equal(folder, oracle, options.requests, options.threads, device))
    print(
        f"{name}, float32: {greedy.num_equal} of {greedy.num_requests} greedy replies are equal, "
        f"{greedy.num_tokens} tokens of {greedy.num_kinds} kinds, "
        f"{greedy.num_cached} tokens of prompts were kept"
    )
    return error <= most and greedy.num_equal == greedy.num_requests


def logits_error(loaded: LoadedGpt2, oracle: Any, window: int) -> float:
    """The largest difference of any logit, relative to the largest logit."""
    network, generator = loaded.network, torch.Generator().manual_seed(0)
    num_tokens = min(sum(CHUNKS), window)
    ids = torch.randint(network.shape.num_ids, (3, num_tokens), generator=generator)
    with torch.inference_mode():
        expected = oracle(ids).logits
    worst = torch.tensor(0.0)
    sequences = [KvSequence(network.cache_shape, num_tokens) for _ in ids]
    start = 0
    for size in CHUNKS:
        end = min(start + size, num_tokens)
        if end == start:
            break
        pieces = [
            Piece(row[start:end].tolist(), sequence)
            for row, sequence in zip(ids, sequences, strict=True)
        ]
        found = network.forward(pieces).cpu()
        worst = torch.maximum(worst, (found - expected[:, end - 1]).abs().max())
        start = end
    return float(worst / expected.abs().max())


def _compare_embedded(dtype: str, options: argparse.Namespace) -> bool:
    folder = resolve_model(EMBEDDED, None, Path())
    dialogues = asyncio.run(embedded_dialogues(folder, options.dialogues))
    exact = load_model(folder, "cpu", "float32").network
    close = compare(load_gpt2(folder, options.device, dtype), exact, dialogues)
    most, least = MAX_DIVERGENCE.get(dtype, 1e-6), MIN_AGREEMENT.get(dtype, 1.0)
    print(
        f"{EMBEDDED}, {dtype}: divergence {close.divergence:.1e} nats a token (at most "
        f"{most:.0e}), the likeliest token is the same at {close.agreement:.2%} of "
        f"{close.num_places} places (at least {least:.0%})"
    )
    return close.divergence <= most and close.agreement >= least


def compare(loaded: LoadedGpt2, oracle: Any, dialogues: Sequence[Sequence[int]]) -> Closeness:
    """Every place of `dialogues`, read token by token, beside a pass of `oracle` over each."""
    divergences, agreements = [], []
    for ids, found in zip(dialogues, _step_by_step(loaded, dialogues), strict=True):
        with torch.inference_mode():
            expected = oracle(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        # Kullback and Leibler 1951: what is lost where `found` stands for `expected`
        divergences.append((expected.exp() * (expected - found)).sum(dim=-1))
        agreements.append(expected.argmax(dim=-1) == found.argmax(dim=-1))
    return Closeness(
        divergence=float(torch.cat(divergences).mean()),
        agreement=float(torch.cat(agreements).float().mean()),
        num_places=sum(map(len, dialogues)),
    )


def _step_by_step(loaded: LoadedGpt2, dialogues: Sequence[Sequence[int]]) -> list[Tensor]:
    """Of each dialogue the log-probabilities after every token: shape (num_tokens, num_ids)."""
    sequences = [KvSequence(loaded.network.cache_shape, len(ids)) for ids in dialogues]
    found: list[list[Tensor]] = [[] for _ in dialogues]
    for place in range(max(map(len, dialogues))):
        going_on = [number for number, ids in enumerate(dialogues) if place < len(ids)]
        pieces = [Piece([dialogues[number][place]], sequences[number]) for number in going_on]
        logprobs = loaded.network.forward(pieces).cpu().log_softmax(dim=-1)
        for number, row in zip(going_on, logprobs, strict=True):
            found[number].append(row)
    return [torch.stack(rows) for rows in found]


if __name__ == "__main__":
    sys.exit(main())
