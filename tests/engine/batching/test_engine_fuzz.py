"""Two thousand requests of every kind: each ends in a completion or in a named error."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bot.dialogue.sampling import BOUNDS, SamplingParams
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Gpt2, Piece, Shape
from bot.engine.checks import EngineLimits
from bot.engine.placement.device import Placement
from bot.engine.protocol import Cancellation, Completion, FinishReason, GenerationRequest
from bot.errors import (
    ContextTooLongError,
    DeadlineError,
    EngineMemoryError,
    NumericError,
    WithdrawnError,
)
from tests.engine.running import OpenedLocal, open_local

NUM_REQUESTS = 2000
SHAPE = Shape(num_layers=1, num_heads=2, width=16, window=64, num_ids=50)
NAMED = (ContextTooLongError, DeadlineError, EngineMemoryError, NumericError, WithdrawnError)


def smallest_gpt2() -> LoadedGpt2:
    generator = torch.Generator().manual_seed(0)
    width = SHAPE.width
    sizes = {
        "wte.weight": (SHAPE.num_ids, width),
        "wpe.weight": (SHAPE.window, width),
        "h.0.attn.c_attn.weight": (width, 3 * width),
        "h.0.attn.c_attn.bias": (3 * width,),
        "h.0.attn.c_proj.weight": (width, width),
        "h.0.attn.c_proj.bias": (width,),
        "h.0.mlp.c_fc.weight": (width, 4 * width),
        "h.0.mlp.c_fc.bias": (4 * width,),
        "h.0.mlp.c_proj.weight": (4 * width, width),
        "h.0.mlp.c_proj.bias": (width,),
    }
    for norm in ("h.0.ln_1", "h.0.ln_2", "ln_f"):
        sizes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    tensors = {name: torch.randn(*size, generator=generator) for name, size in sizes.items()}
    placement = Placement(torch.device("cpu"), torch.float32)
    return LoadedGpt2(Gpt2(tensors, SHAPE), placement, (0, 3), 1, "")


@dataclass(slots=True)
class Chaos:
    """What goes wrong in the engine's thread; by its own numbers."""

    rng: random.Random = field(default_factory=lambda: random.Random(1))
    num_passes: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def before(self, pieces: Sequence[Piece]) -> None:
        self.num_passes += 1
        if len(pieces) > 24 or self.rng.random() < 0.01:
            self.counts["out of memory"] += 1
            raise torch.OutOfMemoryError("CUDA out of memory.")

    def after(self, pieces: Sequence[Piece], logits: Tensor) -> None:
        if len(logits) and self.rng.random() < 0.03:
            self.counts["not a number"] += 1
            logits[self.rng.randrange(len(logits)), self.rng.randrange(SHAPE.num_ids)] = torch.nan


def random_params(rng: random.Random) -> SamplingParams:
    def value(name: str) -> float:
        bound = BOUNDS[name]
        if rng.random() < 0.3:
            return rng.choice((bound.low, bound.high))
        drawn = rng.uniform(bound.low, bound.high)
        return round(drawn) if bound.kind is int else drawn

    values = {name: value(name) for name in BOUNDS if rng.random() < 0.7}
    values["num_candidates"] = rng.choice((1, 1, 1, 1, 2, 3, rng.randint(1, 16)))
    values["max_new_tokens"] = rng.choice((8, 8, 12, 256 if rng.random() < 0.1 else 16))
    return SamplingParams(**values)  # type: ignore[arg-type]  # kinds are those of BOUNDS


def random_request(rng: random.Random, earlier: list[tuple[int, ...]]) -> GenerationRequest:
    ids = tuple(rng.choices(range(SHAPE.num_ids), k=rng.choice((0, 1, 63, 64, 90, *range(60)))))
    if earlier and rng.random() < 0.5:
        ids = rng.choice(earlier)[-40:] + ids[:20]
    if rng.random() < 0.02:
        ids += (rng.choice((-1, SHAPE.num_ids, 10**9)),)
    earlier.append(tuple(token for token in ids if 0 <= token < SHAPE.num_ids))
    in_seconds = rng.choice((-1, 0.003, 60)) if rng.random() < 0.1 else None
    return GenerationRequest(
        ids,
        random_params(rng),
        sequence_key=rng.choice(("", *"abcdefghijkl")),
        group_key=rng.randint(0, 3),
        user_id=rng.randint(0, 9),
        deadline=None if in_seconds is None else time.monotonic() + in_seconds,
        cancellation=Cancellation(),
        on_token=failing(rng) if rng.random() < 0.05 else None,
        on_position=failing(rng) if rng.random() < 0.05 else None,
    )


class CallbackError(Exception):
    """What a request's own callback raises."""


class failing:  # noqa: N801 - reads as the function it is
    """A callback that fails now and then."""

    def __init__(self, rng: random.Random) -> None:
        self._numbers = random.Random(rng.random())

    def __call__(self, *_: int) -> None:
        if self._numbers.random() < 0.1:
            raise CallbackError


def check(request: GenerationRequest, outcome: "list[Completion] | BaseException") -> str:
    """What came of `request`, in a word."""
    ids, params = request.prompt_ids, request.params
    if isinstance(outcome, ValueError):
        assert not ids or min(ids) < 0 or max(ids) >= SHAPE.num_ids
    if isinstance(outcome, ContextTooLongError):
        assert len(ids) >= SHAPE.window
    if not isinstance(outcome, list):
        assert isinstance(outcome, (*NAMED, ValueError, CallbackError, asyncio.CancelledError))
        return type(outcome).__name__
    assert len(outcome) == params.num_candidates
    most = min(params.max_new_tokens, SHAPE.window - len(ids))
    for completion in outcome:
        assert min(params.min_new_tokens, most) <= len(completion.ids) <= most
        ended = completion.finish_reason is FinishReason.STOP
        assert len(completion.logprobs) == len(completion.ids) + ended
        assert ended or len(completion.ids) == most
        assert not {0, 3} & {*completion.ids}
        assert all(logprob <= 1e-6 for logprob in completion.logprobs)
        assert completion.num_cached_tokens < len(ids)
    return "completed"


async def ask_for_ever(
    opened: OpenedLocal, rng: random.Random, asked: Counter[str], num_requests: int
) -> None:
    earlier: list[tuple[int, ...]] = []
    for _ in range(num_requests):
        request = random_request(rng, earlier)
        task = asyncio.create_task(opened.engine.generate(request))
        if rng.random() < 0.1:
            for _ in range(rng.choice((0, 1, 20))):
                await asyncio.sleep(0)
            task.cancel() if rng.random() < 0.5 else request.cancellation.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        asked[check(request, outcome)] += 1


async def test_every_request_ends_in_a_completion_or_a_named_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("ERROR", "bot")
    opened = open_local(smallest_gpt2(), EngineLimits(num_rows=32, cache_bytes=150_000))
    chaos, asked = Chaos(), Counter[str]()
    opened.network.before.append(chaos.before)
    opened.network.after.append(chaos.after)
    num_askers = 40
    async with asyncio.timeout(100), asyncio.TaskGroup() as tasks:
        for number in range(num_askers):
            asker = ask_for_ever(opened, random.Random(number), asked, NUM_REQUESTS // num_askers)
            tasks.create_task(asker)
    await opened.until_idle_and_empty()
    await opened.engine.close()
    assert asked.total() == NUM_REQUESTS
    assert asked["completed"] > NUM_REQUESTS / 2
    missing = {error.__name__ for error in NAMED} - {"EngineMemoryError"} - {*asked}
    assert not missing
    assert min(asked["CallbackError"], asked["ValueError"], asked["CancelledError"]) > 0
    assert chaos.counts["out of memory"] > 10 < chaos.counts["not a number"]
    assert caplog.records == []  # the engine itself never failed
