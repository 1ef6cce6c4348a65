"""Members who ask an engine for one reply each, alone or behind somebody who asks for many.

Importing this module imports torch.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.serving.report import percentile
from benchmarks.serving.shapes import ModelShape
from benchmarks.serving.workload import Ask, Range, Served, Sizes, draw_asks
from bot.dialogue.sampling import BOUNDS
from bot.engine.protocol import Engine, GenerationRequest

MEMBERS_SERVER, OTHER_SERVER = 1, 2
FLOODER_ID = 1_000_000  # the members are counted from 1
_LOOK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many requests there are, and the tokens of every prompt and of every reply."""

    num_members: int
    num_flooding: int
    num_prompt_tokens: int
    num_new_tokens: int
    flood_server: int = MEMBERS_SERVER


@dataclass(frozen=True, slots=True)
class Requests:
    """Those of one repetition; a member has one, the flooder has all of `flood`."""

    members: tuple[GenerationRequest, ...]
    flood: tuple[GenerationRequest, ...] = ()

    @property
    def without_flood(self) -> "Requests":
        """Those of the members alone."""
        return Requests(self.members)


@dataclass(frozen=True, slots=True)
class Round:
    """How everybody was served; times count from each request's own hand-in."""

    members: tuple[Served, ...]
    flood: tuple[Served, ...] = ()

    @property
    def median_seconds(self) -> float:
        """When half of the members had their replies."""
        return percentile([one.seconds for one in self.members], 50)

    @property
    def last_seconds(self) -> float:
        """When the last member had a reply."""
        return max(one.seconds for one in self.members)


def draw_requests(crowd: Crowd, shape: ModelShape, seed: int) -> Requests:
    """Random prompts, the same for the same seed, and replies of one length.

    Only a model that has learnt when to stop ends one sooner, though not before as many tokens
    as a setting can ask for at least.
    """
    prompts, replies = crowd.num_prompt_tokens, crowd.num_new_tokens
    sizes = Sizes(Range(prompts, prompts), Range(replies, replies), prompts, replies)
    num_asks = crowd.num_members + crowd.num_flooding
    asks = draw_asks(num_asks, sizes, shape.window, shape.num_ids, seed)
    members, flood = asks[: crowd.num_members], asks[crowd.num_members :]
    return Requests(
        tuple(_request(ask, MEMBERS_SERVER, user) for user, ask in enumerate(members, start=1)),
        tuple(_request(ask, crowd.flood_server, FLOODER_ID) for ask in flood),
    )


async def serve_round(engine: Engine, requests: Requests) -> Round:
    """Hand in the flood, where there is one, then the requests of the members all at once.

    They come as soon as each request of the flood runs or has its place in the line.
    """
    told: set[int] = set()
    num_erasures = time.monotonic_ns()  # nothing is kept of the round before: it read the same
    flooding, asking = (
        [replace(request, num_erasures=num_erasures) for request in group]
        for group in (requests.flood, requests.members)
    )
    async with asyncio.TaskGroup() as tasks:
        flood = [
            tasks.create_task(_serve(engine, _noted(request, told, number)))
            for number, request in enumerate(flooding)
        ]
        while engine.load().num_running + len(told) + _num_done(flood) < len(flood):  # noqa: ASYNC110  # a request that runs at once tells nobody
            await asyncio.sleep(_LOOK_SECONDS)
        members = [tasks.create_task(_serve(engine, request)) for request in asking]
    return Round(*(tuple(task.result() for task in group) for group in (members, flood)))


def _request(ask: Ask, server: int, user_id: int) -> GenerationRequest:
    least = min(ask.params.max_new_tokens, int(BOUNDS["min_new_tokens"].high))
    return GenerationRequest(
        prompt_ids=ask.prompt_ids,
        params=replace(ask.params, min_new_tokens=least),
        sequence_key=f"{server}/{user_id}/{ask.params.seed}",  # each in a channel of its own
        group_key=server,
        user_id=user_id,
    )


def _noted(request: GenerationRequest, told: set[int], number: int) -> GenerationRequest:
    """`request` that adds its number to `told` when it learns its place in the line."""

    def note(_place: int) -> None:
        told.add(number)

    return replace(request, on_position=note)


def _num_done(tasks: Sequence[asyncio.Task[Served]]) -> int:
    return sum(task.done() for task in tasks)


async def _serve(engine: Engine, request: GenerationRequest) -> Served:
    begun = time.perf_counter()
    (completion,) = await engine.generate(request)
    return Served(
        num_tokens=len(completion.logprobs),
        first_token_seconds=completion.first_token_seconds,
        seconds=time.perf_counter() - begun,
    )
