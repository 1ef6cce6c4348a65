"""What Discord reports once reaches what is stored, also where the database is held just then."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.dialogue.turn import Scope
from bot.store.database.database import Database
from bot.store.upkeep.opening import open_database
from tests.cogs.stage import Stage
from tests.delivery.holding import held_by_another


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """One that waits a moment only for another program."""
    database = await open_database(
        f"sqlite+aiosqlite:///{tmp_path / 'banter.db'}",
        history_key="off",
        key_path=tmp_path / "history.key",
        busy_seconds=0.2,
    )
    yield database
    await database.close()


async def refused(caplog: pytest.LogCaptureFixture) -> None:
    """Return when the database has refused a change."""
    while "cannot be written" not in caplog.text:  # noqa: ASYNC110  # there is nothing else to wait for
        await asyncio.sleep(0)


@pytest.mark.parametrize("gone", ["message", "messages", "channel", "thread", "server"])
async def test_what_goes_while_another_program_writes_is_forgotten_when_that_is_done(
    stage: Stage, database: Database, caplog: pytest.LogCaptureFixture, gone: str
) -> None:
    backend, channel = stage.env.backend, stage.guild.create_text_channel("other")
    place = stage.thread() if gone == "thread" else channel
    question = await stage.alice.send(place, f"{stage.us} my secret")
    async with asyncio.timeout(5):
        with held_by_another(database):
            match gone:
                case "message":
                    backend.delete_message(place.id, question.id)
                case "messages":
                    backend.bulk_delete_messages(place.id, [question.id, stage.ours(place)[0].id])
                case "server":
                    backend.remove_guild(stage.guild.id)
                case _:
                    backend.delete_channel(place.id)
            await refused(caplog)
        await stage.env.advance_time(60)
    assert (await stage.services.history.status(Scope(place.id))).num_turns == 0


async def test_an_edit_while_another_program_writes_is_followed_when_that_is_done(
    stage: Stage, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} I like cats")
    edits = [f"{stage.us} I like dogs", f"{stage.us} I like birds"]
    async with asyncio.timeout(5):
        with held_by_another(database):
            for text in edits:
                stage.env.backend.edit_message(stage.channel.id, question.id, {"content": text})
            await refused(caplog)
        await stage.env.advance_time(60)
    turn = await stage.services.history.turn_of_message(question.id)
    assert turn is not None
    assert turn.text == "I like birds"


async def test_until_they_are_gone_no_reply_is_made_of_deleted_words(
    stage: Stage, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} my secret")
    async with asyncio.timeout(5):
        with held_by_another(database):
            stage.env.backend.delete_message(stage.channel.id, question.id)
            await refused(caplog)
            stage.env.backend.create_message(
                stage.channel.id, stage.alice.id, f"{stage.us} what was it?"
            )
            await stage.engine.wait_until_asked(2)
        await stage.env.advance_time(60)
    assert "secret" not in stage.prompts()[1]
