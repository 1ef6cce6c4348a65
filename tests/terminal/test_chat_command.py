"""`python -m bot chat` as a person meets it: the process, its pipes and its terminal."""

import os
import pty
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from bot.settings.settings import VARIABLES
from tests.tiny_models import make_tiny_gpt2

ROOT = Path(__file__).parent.parent.parent
SECONDS = 60
NUM_PRESSES = 4


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """No setting but a tiny model that always says the same."""
    model = make_tiny_gpt2(tmp_path_factory.mktemp("models") / "tiny")
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    chosen = {"MODEL": str(model), "SEED": "1", "MAX_NEW_TOKENS": "8"}
    return kept | chosen | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}


def chat(
    folder: Path, environ: Mapping[str, str], *arguments: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", "chat", *arguments],
        cwd=folder,
        env=environ,
        input=typed,
        stdin=subprocess.DEVNULL if typed is None else None,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


def stored(folder: Path) -> list[tuple[str, int, str]]:
    """(origin, scope, role) of every turn, oldest first."""
    with closing(sqlite3.connect(folder / "data" / "console.db")) as connection:
        return connection.execute(
            "SELECT origin, channel_id, role FROM turn ORDER BY id"
        ).fetchall()


@pytest.mark.process
def test_once_prints_one_reply_and_ends(tmp_path: Path, environ: Mapping[str, str]) -> None:
    done = chat(tmp_path, environ, "--once", "hello, how are you?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert [role for _, _, role in stored(tmp_path)] == ["user", "bot"]


@pytest.mark.process
def test_a_pipe_gets_the_replies_and_nothing_else(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    done = chat(tmp_path, environ, typed="hi\n\n \nand again\n/quit\nand a third time\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert not {"…", ">"} & set(done.stdout[:1])
    turns = stored(tmp_path)
    assert [role for _, _, role in turns] == ["user", "bot", "user", "bot"]
    assert len({scope for _, scope, _ in turns}) == 1
    assert {origin for origin, _, _ in turns} == {"console"}


@pytest.mark.process
def test_a_conversation_at_a_terminal_ends_with_ctrl_c(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "bot", "chat"],
        cwd=tmp_path,
        env={**environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        said = screen(ours)
        assert "/help lists the commands" in until_prompt(said)
        for line, answer in (
            ("hello", "hello"),  # the terminal shows what is typed
            ("/why", "seed 1"),
            ("/settings top_k 5", "top_k"),
            ("/nonsense", "There's no command /nonsense"),
        ):
            os.write(ours, f"{line}\n".encode())
            assert answer in until_prompt(said)
        assert press_ctrl_c(child) == (130, b"")
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    lines = tmp_path / "data" / "console_lines"
    assert lines.read_text().splitlines()[:2] == ["hello", "/why"]
    assert stat.S_IMODE(lines.stat().st_mode) == 0o600


def press_ctrl_c(child: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """The exit code and the complaints, after Ctrl-C.

    Pressed again where nothing happens: readline looks for a signal only once it waits for a key,
    so one that comes between its prompt and that wait is seen with the next.
    """
    for _ in range(NUM_PRESSES):
        child.send_signal(signal.SIGINT)
        try:
            _, complaints = child.communicate(timeout=SECONDS / NUM_PRESSES)
        except subprocess.TimeoutExpired:
            continue
        return child.returncode, complaints
    pytest.fail("Ctrl-C did not end the conversation")


def screen(terminal: int) -> Iterator[str]:
    """What the child writes, piece by piece."""
    while True:
        try:
            yield os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # the child is gone
            return


def until_prompt(pieces: Iterator[str]) -> str:
    text = ""
    for piece in pieces:
        text += piece
        if text.endswith("> "):
            return text
    raise AssertionError(f"no prompt after {text!r}")
