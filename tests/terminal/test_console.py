"""What the console answers, and what it leaves behind at the prompt."""

import asyncio
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.answering.erasures import Erasures
from bot.dialogue.guards import Fault
from bot.dialogue.sampling import PRESETS
from bot.errors import InvalidSettingError, RefusedError
from bot.settings.settings import Settings
from bot.startup.building import build_conversation
from bot.startup.foundation import Foundation
from bot.store.database.database import Database
from bot.store.sampling import SqlSampling
from bot.store.upkeep.opening import open_database
from bot.terminal.console import (
    DATABASE_URL,
    EXIT_UNANSWERED,
    Console,
    WatchedHistory,
    _open_console,
    answer_all,
    reply,
)
from bot.terminal.console_answers import COMMANDS
from tests.fakes import InlineTokenizerThread, ScriptedEngine


def test_at_the_prompt_the_database_is_free_for_another_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(model="embedded", database_url=DATABASE_URL)
    with asyncio.Runner() as runner, _open_console(runner, settings, "en") as console:
        assert console.history._database._num_open == 0  # none that waits for the event loop
        other = sqlite3.connect(tmp_path / "data" / "console.db", timeout=0)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")


async def open_in(folder: Path) -> Database:
    url = f"sqlite+aiosqlite:///{folder}/console.db"
    return await open_database(url, history_key="off", key_path=folder / "key")


def test_ctrl_c_gives_up_a_reply_and_not_the_conversation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(open_in(tmp_path))
        engine = ScriptedEngine()
        engine.gate.clear()
        console = build_console(database, engine)
        runner.get_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)
        reply(runner, console, "hello")
        engine.gate.set()
        reply(runner, console, "still there?")
        runner.run(database.close())
    given_up, answer, _ = capsys.readouterr().out.split("\n")
    assert given_up == "…\r\x1b[J(stopped)"
    assert answer.startswith("…\r\x1b[Jreply ")


def build_console(database: Database, engine: ScriptedEngine) -> Console:
    foundation = Foundation(Settings(), database, engine, InlineTokenizerThread(), Erasures(engine))
    history = WatchedHistory(database, origin="console")
    sampling = SqlSampling(database)
    return Console(build_conversation(foundation, history, sampling), history, sampling, "en")


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def console(database: Database, engine: ScriptedEngine) -> Console:
    return build_console(database, engine)


async def test_what_was_said_before_is_in_the_next_prompt(
    console: Console, engine: ScriptedEngine
) -> None:
    first = await console.respond("my name is Ada")
    assert await console.respond("what is my name?") != first
    assert b"my name is Ada" in bytes(i for i in engine.asked[1].prompt_ids if i < 256)


async def test_after_a_reset_nothing_is_remembered(
    console: Console, engine: ScriptedEngine
) -> None:
    await console.respond("my name is Ada")
    assert (
        await console.command("/reset") == "I've started over: I no longer use what we said before."
    )
    await console.respond("what is my name?")
    assert b"Ada" not in bytes(i for i in engine.asked[1].prompt_ids if i < 256)


async def test_what_nobody_would_see_is_not_answered(console: Console) -> None:
    with pytest.raises(RefusedError, match="only read text"):
        await console.respond("\u200b")


async def test_a_misspelt_command_is_answered_with_the_one_that_is_meant(console: Console) -> None:
    with pytest.raises(RefusedError) as refused:
        await console.command("/reste now")
    assert str(refused.value) == "There's no command /reste: did you mean /reset?"


async def test_settings_are_shown_changed_and_taken_back(
    console: Console, engine: ScriptedEngine
) -> None:
    changed = await console.command("/settings temperature 0.5")
    head, temperature = changed.splitlines()[:2]
    assert head.split() == ["setting", "value", "set", "for", "allowed"]
    assert temperature.split() == ["temperature", "0.5", "you", "0.1", "–", "2"]
    await console.command("/settings preset creative")
    await console.respond("hi")
    assert engine.asked[0].params.temperature == PRESETS["creative"]["temperature"]
    assert " you" not in await console.command("/settings defaults")


@pytest.mark.parametrize("value", ["9", "warm", "nan"])
async def test_a_wrong_value_is_refused(console: Console, value: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"between 0\.1 and 2\.0"):
        await console.command(f"/settings temperature {value}")


@pytest.mark.parametrize(
    "line", ["/settings temperature", "/settings preset loud", "/settings a b c"]
)
async def test_settings_say_how_they_are_written(console: Console, line: str) -> None:
    assert (await console.command(line)).startswith("Write /settings NAME VALUE")


async def test_a_setting_that_there_is_not_is_told_in_the_same_way(console: Console) -> None:
    assert (await console.command("/settings warmth 5")).startswith("Write /settings NAME VALUE")


async def test_why_says_how_the_last_reply_came_about(
    console: Console, engine: ScriptedEngine
) -> None:
    assert await console.command("/why") == "I haven't said anything yet."
    engine.script = lambda request: ["hello there, you" if len(engine.asked) == 1 else "fine"]
    await console.respond("hello there, you")
    answer = await console.command("/why")
    assert "Model: scripted" in answer
    assert "from “hello there, you” on" in answer
    assert f"Refused ({Fault.ECHO.value}): “hello there, you”" in answer
    assert "temperature 1.1" in answer  # the second try is warmer


async def test_help_names_every_command(console: Console) -> None:
    answer = await console.command("/help")
    for command in COMMANDS:
        assert command in answer


def test_a_pipe_understands_the_commands_and_says_none_of_them_to_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(open_in(tmp_path))
        engine = ScriptedEngine()
        lines = ["hi\n", "/settings top_k 5\n", " /nonsense of mine\n", "/reset\n", "/quit\n", "hm"]
        exit_code = answer_all(runner, build_console(database, engine), iter(lines))
        runner.run(database.close())
    shown = capsys.readouterr()
    assert len(engine.asked) == 1
    assert shown.out.startswith("reply ")
    assert "top_k 5" in " ".join(shown.out.split())
    assert shown.out.endswith("I've started over: I no longer use what we said before.\n")
    assert shown.err == (
        "There's no command /nonsense: the commands are /reset, /settings, /why, /help, /quit.\n"
    )
    assert exit_code == EXIT_UNANSWERED


def test_the_seed_that_why_shows_brings_the_same_reply_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["hello there", "what do you like to do?", "tell me more", "and your friends?"]
    settings = Settings(model="embedded", database_url=DATABASE_URL, seed=1, max_new_tokens=16)
    with asyncio.Runner() as runner, _open_console(runner, settings, "en") as console:

        def seed_of_the_last() -> str:
            shown = re.search(r"seed (\d+)", runner.run(console.command("/why")))
            assert shown is not None
            return shown[1]

        replies = [runner.run(console.respond(line)) for line in lines]
        last = seed_of_the_last()
        runner.run(console.command("/reset"))
        assert [runner.run(console.respond(line)) for line in lines[:-1]] == replies[:-1]
        runner.run(console.command(f"/settings seed {last}"))
        assert runner.run(console.respond(lines[-1])) == replies[-1]
        assert seed_of_the_last() == last != "1"
