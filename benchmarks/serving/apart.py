"""A system in a process of its own, which serves while all others sleep.

The OpenMP of torch lets its threads sleep at every barrier as soon as a process has more of them
than cores, as it has with several engines: that costs the fastest of them a third of its pace.
"""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.serving.systems import System
from benchmarks.serving.workload import Ask, Served
from bot.errors import ChatError

Opener = Callable[[], Awaitable[System]]
OPEN_SECONDS = 300.0
END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What a child says of itself first. `trouble` is why it could not be opened, if so."""

    name: str = ""
    dtype: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child made of its asks. `trouble` is why it could not, if so."""

    served: tuple[Served, ...] = ()
    trouble: str = ""


class Apart:
    """Implements System with one in a child process."""

    def __init__(
        self, child: multiprocessing.process.BaseProcess, pipe: Connection, opened: Opened
    ) -> None:
        self.name = opened.name
        self.dtype = opened.dtype
        self._child = child
        self._pipe = pipe

    async def serve(self, asks: Sequence[Ask]) -> list[Served]:
        """Let the child answer `asks`; raises RuntimeError where it cannot."""
        answer = await asyncio.to_thread(self._ask, list(asks))
        if answer.trouble:
            raise RuntimeError(answer.trouble)
        return list(answer.served)

    async def close(self) -> None:
        """End the child."""
        await asyncio.to_thread(self._end)

    def _ask(self, asks: list[Ask]) -> Answer:
        self._pipe.send(asks)
        answer: Answer = self._pipe.recv()
        return answer

    def _end(self) -> None:
        self._pipe.send(None)
        self._child.join(END_SECONDS)
        if self._child.is_alive():
            self._child.kill()
            self._child.join()


async def open_apart(opener: Opener) -> Apart:
    """Open a system in a child; raises RuntimeError where that fails. `opener` is pickled."""
    return await asyncio.to_thread(_open_apart, opener)


def _open_apart(opener: Opener) -> Apart:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_live, args=(theirs, opener), daemon=True)
    child.start()
    theirs.close()
    if not ours.poll(OPEN_SECONDS):
        child.kill()
        raise RuntimeError(f"it was not ready after {OPEN_SECONDS:.0f} s")
    opened: Opened = ours.recv()
    if opened.trouble:
        child.join()
        raise RuntimeError(opened.trouble)
    return Apart(child, ours, opened)


def _live(pipe: Connection, opener: Opener) -> None:
    asyncio.run(_serve(pipe, opener))


async def _serve(pipe: Connection, opener: Opener) -> None:
    """In the child: open the system and answer until there is nothing more to be asked."""
    try:
        system = await opener()
    except (ImportError, RuntimeError, ChatError) as error:
        pipe.send(Opened(trouble=str(error) or type(error).__name__))
        return
    pipe.send(Opened(system.name, system.dtype))
    try:
        while (asks := await asyncio.to_thread(pipe.recv)) is not None:
            pipe.send(await _answer(system, asks))
    except EOFError:
        return  # whoever asks was ended: so is this
    finally:
        await system.close()


async def _answer(system: System, asks: Sequence[Ask]) -> Answer:
    try:
        return Answer(tuple(await system.serve(asks)))
    except (RuntimeError, ChatError) as error:
        return Answer(trouble=str(error) or type(error).__name__)
