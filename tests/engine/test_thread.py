"""The thread of an engine."""

import subprocess
import sys
import threading

import pytest

from bot.engine.thread import EngineThread

HUNG = """
import threading
from bot.engine import thread
thread.EXIT_SECONDS = 0.1
one = thread.EngineThread("engine")
one.submit(threading.Event().wait)
print(thread.is_any_left())
"""
BUSY = """
import time
from bot.engine import thread
one = thread.EngineThread("engine")
one.submit(lambda: (time.sleep(0.2), print("whole")))
one.shutdown(wait=False)
"""


def run(program: str, exit_code: int = 0) -> str:
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert child.returncode == exit_code
    return child.stdout.strip()


def test_work_is_done_in_order_in_one_thread() -> None:
    thread = EngineThread("engine")
    done: list[tuple[int, str]] = []
    futures = [
        thread.submit(lambda n: done.append((n, threading.current_thread().name)), number)
        for number in range(5)
    ]
    assert [future.result(5) for future in futures] == [None] * 5
    assert done == [(number, "engine") for number in range(5)]
    thread.shutdown()


def test_an_error_is_the_answer_and_the_thread_goes_on() -> None:
    thread = EngineThread("engine")
    with pytest.raises(SystemExit):
        thread.submit(sys.exit, 3).result(5)
    assert thread.submit(lambda: 4).result(5) == 4
    thread.shutdown()


def test_nothing_is_taken_after_the_end() -> None:
    thread = EngineThread("engine")
    thread.shutdown()
    thread.shutdown()
    with pytest.raises(RuntimeError):
        thread.submit(lambda: None)


def test_a_thread_that_nobody_has_any_more_ends() -> None:
    thread = EngineThread("engine")
    inner = thread.submit(threading.current_thread).result(5)
    del thread
    inner.join(5)
    assert not inner.is_alive()


def test_what_waits_can_be_thrown_away() -> None:
    thread = EngineThread("engine")
    begun, goes_on = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return goes_on.wait(5)

    first = thread.submit(work)
    assert begun.wait(5)
    waiting = [thread.submit(lambda: None) for _ in range(2)]
    waiting[0].cancel()
    thread.shutdown(wait=False, cancel_futures=True)
    goes_on.set()
    assert first.result(5)
    thread.shutdown()
    assert [future.cancelled() for future in waiting] == [True, True]


def test_a_hung_thread_does_not_keep_python_from_ending() -> None:
    assert run(HUNG, exit_code=1) == "True"


def test_a_thread_that_is_at_work_is_waited_for() -> None:
    assert run(BUSY) == "whole"
