"""Both sides of the edges at which the engine's rooms decide."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.engine.batching.loader import LoadedGpt2
from bot.engine.checkpoints.manifest import check_fully, check_quickly, make_manifest
from bot.engine.checks import CUDA_ROWS, EngineLimits
from bot.engine.pulse import Pulse
from bot.engine.supervision import SupervisedEngine
from bot.errors import EngineBrokenError, EngineStuckError, ModelError
from tests.engine.running import outcomes_of
from tests.engine.supervised import Opener, ask

HASHED_BYTES = 8 * 2**20


@pytest.fixture
def opener(loaded_gpt2: LoadedGpt2) -> Iterator[Opener]:
    opener = Opener(loaded_gpt2, EngineLimits(num_rows=2))
    yield opener
    opener.close()


@pytest.fixture
async def engine(opener: Opener) -> AsyncIterator[SupervisedEngine]:
    engine = await opener.supervised()
    yield engine
    await engine.close()


async def lost(opener: Opener, engine: SupervisedEngine) -> type[object]:
    """Let the engine hang once; what the request that met it is told."""
    num_opened = len(opener.networks)
    hang = opener.hang()
    task = ask(engine)
    await hang.until_reached()
    await opener.looks.until(task.done)
    (outcome,) = await outcomes_of(task)
    if isinstance(outcome, EngineStuckError):
        await opener.looks.until(lambda: len(opener.networks) > num_opened)
    hang.release()
    return type(outcome)


@pytest.mark.parametrize(
    ("seconds_ago", "told"), [(540.0, EngineBrokenError), (601.0, EngineStuckError)]
)
async def test_a_fourth_rebuild_within_ten_minutes_is_given_up(
    opener: Opener, engine: SupervisedEngine, seconds_ago: float, told: type[object]
) -> None:
    for _ in range(3):
        assert await lost(opener, engine) is EngineStuckError
    engine._rebuilt_at[0] -= seconds_ago
    assert await lost(opener, engine) is told


@pytest.mark.parametrize(
    ("num_rows", "runs"), [(1, 1), (7, 1), (8, 2), (15, 3), (16, 4), (CUDA_ROWS, 16)]
)
def test_a_member_gets_a_quarter_of_the_places(num_rows: int, runs: int) -> None:
    assert EngineLimits(num_rows=num_rows).runs_of_a_member == runs


def test_an_engine_has_sixteen_places() -> None:
    assert (EngineLimits().num_rows, CUDA_ROWS) == (16, 64)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("round_seconds", "patience"),
    [(None, 60.0), (0.05, 10.0), (1.5, 10.0), (2.0, 12.0), (9.0, 54.0), (30.0, 180.0)],
)
def test_a_thread_may_be_still_for_six_times_its_longest_round(
    round_seconds: float | None, patience: float
) -> None:
    """At least for 10 s, and for a minute where no round was seen."""
    clock = Clock()
    pulse = Pulse(clock)
    pulse.wake()
    if round_seconds is not None:
        pulse.tick(1)
        clock.now += round_seconds
    pulse.tick(1)
    assert pulse.patience_seconds == pytest.approx(patience)


@pytest.mark.parametrize(("size", "is_seen"), [(HASHED_BYTES - 1, True), (HASHED_BYTES, False)])
def test_a_file_below_eight_mebibytes_is_hashed_at_every_start(
    tmp_path: Path, size: int, is_seen: bool
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(size))
    manifest = make_manifest(tmp_path, "example/tiny", "a" * 40, None)
    with path.open("r+b") as file:
        file.write(b"x")
    with pytest.raises(ModelError):
        check_fully(tmp_path, manifest)
    if not is_seen:
        check_quickly(tmp_path, manifest)
        return
    with pytest.raises(ModelError):
        check_quickly(tmp_path, manifest)
