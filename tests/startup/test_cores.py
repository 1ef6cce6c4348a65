"""Everything but the model keeps to a core of its own."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.engine.thread import EngineThread
from bot.settings.settings import Settings
from bot.startup.cores import divided_cores
from bot.startup.foundation import open_foundation

if sys.platform != "linux":
    pytest.skip("only Linux says where a thread may run", allow_module_level=True)

CORES = frozenset(os.sched_getaffinity(0))
needs_two = pytest.mark.skipif(len(CORES) < 2, reason="this machine has one core")


def cores_here() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0))


@needs_two
def test_the_caller_and_its_threads_keep_to_one_core_until_the_end() -> None:
    with divided_cores(1) as models, ThreadPoolExecutor(1) as thread:
        assert models is not None
        assert len(cores_here()) == 1
        assert thread.submit(cores_here).result() == cores_here()
        assert models == CORES - cores_here()
    assert cores_here() == CORES


@needs_two
def test_the_engines_thread_and_those_it_starts_keep_to_the_others() -> None:
    with divided_cores(1) as models:
        engine = EngineThread("engine", models)
        seen: list[frozenset[int]] = []

        def start_one() -> None:
            seen.append(cores_here())
            second = threading.Thread(target=lambda: seen.append(cores_here()))
            second.start()
            second.join()

        engine.submit(start_one).result()
        engine.shutdown()
        assert seen == [models, models]


def test_a_model_that_needs_every_core_gets_every_core() -> None:
    with divided_cores(len(CORES)) as models:
        assert models is None
        assert cores_here() == CORES


@needs_two
def test_where_a_sandbox_forbids_it_nothing_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(_pid: int, _cores: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbid)
    with divided_cores(1) as models:
        assert models is None
    engine = EngineThread("engine", frozenset({0}))
    assert engine.submit(cores_here).result() == CORES
    engine.shutdown()


@needs_two
async def test_a_bot_that_is_open_has_its_model_beside_everything_else(tmp_path: Path) -> None:
    settings = Settings(model="embedded", database_url=f"sqlite+aiosqlite:///{tmp_path}/x.db")
    before = set(threading.enumerate())
    async with open_foundation(settings) as foundation:
        await foundation.tokenizer.run(lambda tokenizer: tokenizer.encode("hi"))
        ours = cores_here()
        threads = set(threading.enumerate()) - before
        places = {
            one.name.partition("_")[0]: frozenset(os.sched_getaffinity(one.native_id or 0))
            for one in threads
        }
    assert places.pop("engine") == CORES - ours
    assert set(places.values()) == {ours}
    assert "tokenizer" in places
