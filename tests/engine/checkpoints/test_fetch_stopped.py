"""A fetch that is stopped takes with it what it began."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.errors import EXIT_UNAVAILABLE
from tests.engine.checkpoints.fetching import MODEL, leftovers
from tests.engine.checkpoints.hub import LoopbackHub

ROOT = Path(__file__).resolve().parent.parent.parent.parent
SECONDS = 30.0  # two busy cores
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of processes so")

# A parent and its child, which holds the pipe open for as long as it lives.
CHILD = (
    "import os, time\n"
    "from bot.engine.checkpoints.conversion_child import end_with\n"
    "end_with(os.getppid())\n"
    "print('ready', flush=True)\n"
    f"time.sleep({SECONDS})"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def child_of(process: "subprocess.Popen[bytes]") -> int:
    """The id of a process's only child, once it has one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := children.read_text().split():
            return int(found[0])
    raise AssertionError("there was no child")


@ON_LINUX
def test_a_stopped_fetch_ends_the_conversion_and_leaves_nothing(
    hub: LoopbackHub, repository: Path, tmp_path: Path
) -> None:
    hub.add(MODEL, repository)
    (tmp_path / ".env").write_text(f"HF_ENDPOINT={hub.url}\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "fetch", MODEL],
        cwd=tmp_path,
        env={**env, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as fetch:
        converter = os.pidfd_open(child_of(fetch))
        fetch.send_signal(signal.SIGHUP)  # a terminal that closes
        fetch.terminate()
        assert fetch.wait(SECONDS) == 128 + signal.SIGHUP
    ended, _, _ = select.select([converter], [], [], SECONDS)
    os.close(converter)
    assert ended
    assert leftovers(tmp_path / "data") == []


@ON_LINUX
def test_a_conversion_whose_fetch_is_gone_does_not_begin(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "bot.engine.checkpoints.conversion_child", str(tmp_path), "0"],
        cwd=ROOT,
        check=False,
    )
    assert child.returncode == EXIT_UNAVAILABLE


@ON_LINUX
def test_the_conversion_ends_with_a_fetch_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        rest, _ = parent.communicate(timeout=SECONDS / 2)  # ends when nobody holds the pipe
    assert rest == b""
