"""What is edited, deleted or left behind on Discord reaches what is stored."""

import asyncio
import logging
from pathlib import Path

import pytest

from bot.dialogue.turn import Scope
from bot.store.database.database import Database
from tests.cogs.stage import Stage


async def test_an_edited_message_is_remembered_as_it_reads_now(stage: Stage) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} I like cats")
    await stage.alice.edit(question, f"{stage.us} I like dogs")
    await stage.alice.send(stage.channel, f"{stage.us} what do I like?")
    assert stage.prompts()[1] == "I like dogs␄reply two one␄what do I like?␄"
    assert len(stage.texts()) == 2


async def test_an_edit_that_takes_the_mention_away_blanks_the_turn(stage: Stage) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} I like cats")
    await stage.alice.edit(question, "I like cats")
    await stage.alice.send(stage.channel, f"{stage.us} what do I like?")
    assert "cats" not in stage.prompts()[1]


async def test_a_preview_of_a_link_is_no_edit(stage: Stage) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} see example.org")
    payload = next(
        dict(one)
        for _, name, one in stage.env.backend.transcript
        if name == "MESSAGE_CREATE" and one["id"] == str(question.id)
    )
    stage.env.backend.emit("MESSAGE_UPDATE", {**payload, "content": "", "edited_timestamp": None})
    await stage.env.settle()
    await stage.alice.send(stage.channel, f"{stage.us} and?")
    assert stage.prompts()[1].startswith("see example.org␄")


async def test_our_own_edit_is_not_followed(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    (answer,) = stage.ours()
    stage.env.backend.edit_message(stage.channel.id, answer.id, {"content": "changed"})
    await stage.env.settle()
    await stage.alice.send(stage.channel, f"{stage.us} and?")
    assert stage.prompts()[1] == "hello␄reply two one␄and?␄"


async def test_a_deleted_message_is_forgotten(stage: Stage) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} my secret")
    await stage.alice.delete(question)
    await stage.alice.send(stage.channel, f"{stage.us} what was it?")
    assert "secret" not in stage.prompts()[1]


async def test_messages_deleted_in_bulk_are_forgotten(stage: Stage) -> None:
    questions = [
        await stage.alice.send(stage.channel, f"{stage.us} secret {number}") for number in range(3)
    ]
    stage.env.backend.bulk_delete_messages(stage.channel.id, [one.id for one in questions])
    await stage.env.settle()
    await stage.alice.send(stage.channel, f"{stage.us} what was it?")
    assert "secret" not in stage.prompts()[-1]


async def test_a_reply_of_ours_that_is_deleted_is_forgotten(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    (answer,) = stage.ours()
    stage.env.backend.delete_message(stage.channel.id, answer.id)
    await stage.env.settle()
    await stage.alice.send(stage.channel, f"{stage.us} and?")
    assert "reply two one" not in stage.prompts()[1]


async def test_a_question_deleted_while_we_think_is_not_answered(stage: Stage) -> None:
    stage.engine.gate.clear()
    backend = stage.env.backend
    question = backend.create_message(stage.channel.id, stage.alice.id, f"{stage.us} hello")
    await stage.engine.wait_until_asked(1)
    backend.delete_message(stage.channel.id, question.id)
    while not stage.engine.asked[0].cancellation.cancelled:
        await asyncio.wait(asyncio.all_tasks(), timeout=0.01)
    stage.engine.gate.set()
    await stage.env.settle()
    assert stage.posts() == []


async def test_a_deleted_channel_is_purged(stage: Stage) -> None:
    other = stage.guild.create_text_channel("other")
    await stage.alice.send(other, f"{stage.us} hello")
    assert (await stage.services.history.status(Scope(other.id))).num_turns == 2
    stage.env.backend.delete_channel(other.id)
    await stage.env.settle()
    assert (await stage.services.history.status(Scope(other.id))).num_turns == 0


async def test_a_deleted_thread_is_purged(stage: Stage) -> None:
    thread = stage.thread()
    await stage.alice.send(thread, f"{stage.us} hello")
    stage.env.backend.delete_channel(thread.id)
    await stage.env.settle()
    assert (await stage.services.history.status(Scope(thread.id))).num_turns == 0


async def test_a_deleted_channel_takes_its_archived_threads_along(stage: Stage) -> None:
    backend = stage.env.backend
    channel = stage.guild.create_text_channel("other")
    thread_id = backend.create_thread(channel.id, "aside", stage.alice.id).id
    await stage.env.settle()
    backend.create_message(thread_id, stage.alice.id, f"{stage.us} hello")
    await stage.env.settle()
    assert (await stage.services.history.status(Scope(thread_id))).num_turns == 2
    backend.edit_channel(thread_id, {}, thread_metadata={"archived": True})
    await stage.env.settle()
    assert stage.bot.get_channel(thread_id) is None  # nor does Discord tell of its end
    backend.delete_channel(channel.id)
    await stage.env.settle()
    assert (await stage.services.history.status(Scope(thread_id))).num_turns == 0


async def test_a_server_that_we_left_is_purged(stage: Stage) -> None:
    thread = stage.thread()
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    await stage.alice.send(thread, f"{stage.us} hello")
    stage.env.backend.remove_guild(stage.guild.id)
    await stage.env.settle()
    for channel_id in (stage.channel.id, thread.id):
        assert (await stage.services.history.status(Scope(channel_id))).num_turns == 0


@pytest.mark.parametrize("gone", ["channel", "thread", "parent of the thread", "server"])
async def test_a_reply_that_is_being_made_goes_with_its_place(stage: Stage, gone: str) -> None:
    backend = stage.env.backend
    channel = stage.guild.create_text_channel("other")
    thread_id = backend.create_thread(channel.id, "aside", stage.alice.id).id
    await stage.env.settle()
    place_id = thread_id if "thread" in gone else channel.id
    stage.engine.gate.clear()
    backend.create_message(place_id, stage.alice.id, f"{stage.us} hello")
    await stage.engine.wait_until_asked(1)
    if gone == "server":
        backend.remove_guild(stage.guild.id)
    else:
        backend.delete_channel(thread_id if gone == "thread" else channel.id)
    while not stage.engine.asked[0].cancellation.cancelled:
        await asyncio.wait(asyncio.all_tasks(), timeout=0.01)
    stage.engine.gate.set()
    await stage.env.settle()
    assert (await stage.services.history.status(Scope(place_id))).num_turns == 0
    assert stage.posts() == []


async def test_a_server_that_is_only_away_is_kept(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    stage.env.backend.emit("GUILD_DELETE", {"id": str(stage.guild.id), "unavailable": True})
    await stage.env.settle()
    assert (await stage.services.history.status(Scope(stage.channel.id))).num_turns == 2


async def test_changes_without_a_database_raise_nothing(
    stage: Stage, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} hello")
    await database.close()
    await stage.alice.edit(question, f"{stage.us} hello you")
    await stage.alice.delete(question)
    assert [one for one in caplog.records if one.levelno > logging.INFO] == []
    noted = Path(f"{database.address.path}.facts").read_text()
    assert noted == f"withdraw {question.id}\n"


async def test_without_a_database_there_is_still_a_reply(stage: Stage, database: Database) -> None:
    await database.close()
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert len(stage.texts()) == 1
