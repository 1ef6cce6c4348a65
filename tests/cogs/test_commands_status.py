import re
from datetime import UTC, datetime
from pathlib import Path

from bot.answering.ports import ScopeStatus
from bot.dialogue.turn import Scope
from bot.engine.protocol import EngineInfo, EngineLoad
from cogs.status import cache_line, memory_line, model_line, queue_line, unread_lines
from tests.cogs.commands_bot import AWAY, commands_world, text_of


def test_the_model_is_told_with_a_short_revision() -> None:
    info = EngineInfo("microsoft/DialoGPT-medium", "a" * 40, "cuda:0", "bfloat16", 1024, 354823168)
    line = model_line(info, "", "en-US")
    assert "`microsoft/DialoGPT-medium` (aaaaaaaa), 355 M parameters" in line
    assert line.endswith("bfloat16 on cuda:0, window of 1024 tokens")


def test_the_license_is_told_where_the_card_names_one() -> None:
    info = EngineInfo("m", "", "cpu", "float32", 256, 1)
    assert model_line(info, "apache-2.0", "en-US").endswith("256 tokens, license apache-2.0")


def test_the_queue_is_told() -> None:
    line = queue_line(EngineLoad(3, 2, 41.6, num_rows=5, max_rows=16), "en-US")
    assert "3 waiting, 2 being answered, 42 tokens/s; " in line
    assert line.endswith("replies being written: 5, at most 16 at once")


def test_what_is_kept_of_conversations_is_told() -> None:
    load = EngineLoad(
        0, 0, 0.0, cached_share=0.734, prefix_bytes=130 * 2**20, max_prefix_bytes=512 * 2**20
    )
    line = cache_line(load, "en-US")
    assert line.startswith("**Cache**: 130 of 512 MB hold conversations I have read;")
    assert line.endswith("; of what the last 100 replies had to read, 73% was there already")


def test_before_the_first_request_no_share_is_told() -> None:
    load = EngineLoad(0, 0, 0.0, prefix_bytes=0, max_prefix_bytes=2**29)
    assert cache_line(load, "en-US") == "**Cache**: 0 of 512 MB hold conversations I have read"


def test_an_engine_that_keeps_nothing_says_so() -> None:
    assert cache_line(EngineLoad(0, 0, 0.0), "en-US").startswith("**Cache**: none")


def test_a_place_without_a_history_says_so() -> None:
    assert "nothing yet" in memory_line(ScopeStatus(0, None, None), "en-US")


def test_turns_that_no_prompt_has_held_yet_are_only_counted() -> None:
    assert memory_line(ScopeStatus(2, None, None), "en-US").endswith("I remember the last 2 turns")


def test_how_far_back_the_last_prompt_reached_is_told() -> None:
    since = datetime(2026, 1, 1, 12, tzinfo=UTC)
    line = memory_line(ScopeStatus(12, 180, since), "en-US")
    assert line.startswith("**Here**: I remember the last 12 turns")
    assert line.endswith("my last prompt held 180 tokens, from <t:1767268800:f> on")
    assert memory_line(ScopeStatus(2, 9, None), "en-US").endswith("held 9 tokens")


def test_events_that_could_not_be_read_are_told_only_where_there_were_some() -> None:
    assert unread_lines(0, "en-US") == []
    assert unread_lines(3, "en-US") == ["**Events**: of those that Discord sent I couldn't read 3"]


async def test_status_counts_the_events_that_could_not_be_read(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        world.env.backend.emit("MESSAGE_UPDATE", {"id": "1", "channel_id": "2", "embeds": []})
        text = text_of(await world.alice.slash(world.channel, "status"))
    assert "I couldn't read 1" in text


async def test_status_tells_of_the_model_the_queue_and_this_place(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.talk(Scope(world.channel.id), "hello there")
        await world.talk(Scope(world.channel.id), "how are you")
        result = await world.alice.slash(world.channel, "status")
        text = text_of(result)
        assert result.ephemeral
        assert "`scripted`" in text
        assert "0 waiting" in text
        assert "**Cache**" in text
        assert "servers: 1" in text
        assert "I remember the last 4 turns" in text
        assert re.search(r"my last prompt held [1-9][0-9]* tokens, from <t:[0-9]+:f> on", text)
        elsewhere = await world.alice.slash(world.other_channel, "status")
        assert "nothing yet" in text_of(elsewhere)
        await world.alice.slash(world.channel, "reset")
        forgotten = await world.alice.slash(world.channel, "status")
        assert "nothing yet" in text_of(forgotten)


async def test_status_in_a_thread_and_in_a_direct_message_is_about_that_place(
    tmp_path: Path,
) -> None:
    async with commands_world(tmp_path) as world:
        thread, user = world.stage.thread(), world.alice.user
        await world.talk(Scope(thread.id), "hello there")
        assert "2 turns" in text_of(await world.alice.slash(thread, "status"))
        assert "nothing yet" in text_of(await user.slash("status"))
        await world.talk(Scope(user.dm_channel.id), "hello there")
        assert "2 turns" in text_of(await user.slash("status"))


async def test_status_of_a_private_history_is_the_members_own(tmp_path: Path) -> None:
    async with commands_world(tmp_path, history="member") as world:
        await world.talk(Scope(world.channel.id, world.alice.id), "hello there")
        assert "2 turns" in text_of(await world.alice.slash(world.channel, "status"))
        other = await world.moderator.slash(world.channel, "status")
        assert "nothing yet" in text_of(other)


async def test_status_still_tells_of_the_model_when_the_database_is_away(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        text = text_of(await world.alice.slash(world.channel, "status"))
        assert "`scripted`" in text
        assert AWAY in text
