"""The caller of an errand is answered, whatever becomes of it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest

from bot.engine.errands import Errands, Steps

FAULTS = [StopIteration(), SystemExit(1), CancelledError(), LookupError()]


@pytest.fixture
def errands() -> Errands:
    return Errands(lambda error: error)


def steps() -> Steps[int]:
    yield
    return 1


async def outcome_of(future: "Future[int]") -> int | BaseException:
    """What the task that waits gets."""
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(asyncio.wrap_future(future), return_exceptions=True)
    return outcomes[0]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_a_fault_of_the_engine_itself_answers_all_errands(
    errands: Errands, fault: BaseException
) -> None:
    futures = [errands.add(steps()) for _ in range(2)]
    errands.advance()
    errands.fail(fault)
    outcomes = [await outcome_of(future) for future in futures]
    assert all(isinstance(outcome, RuntimeError | LookupError) for outcome in outcomes)
    assert len(errands) == 0


@pytest.mark.parametrize("fault", [SystemExit(1), GeneratorExit()], ids=repr)
async def test_an_errand_that_stops_the_thread_is_answered_before(
    errands: Errands, fault: BaseException
) -> None:
    def stop() -> Iterator[None]:
        yield
        raise fault

    future: Future[int] = errands.add(stop())  # type: ignore[arg-type]  # it never returns
    errands.advance()
    with pytest.raises(type(fault)):
        errands.advance()
    assert isinstance(await outcome_of(future), RuntimeError)


async def test_errands_take_turns(errands: Errands) -> None:
    first, second = errands.add(steps()), errands.add(steps())
    for _ in range(3):
        errands.advance()
    assert (first.done(), second.done()) == (True, False)
    errands.advance()
    assert await outcome_of(second) == 1
