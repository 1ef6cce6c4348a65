"""Who may talk to the bot and where; what a member is told who has to wait."""

from collections.abc import Mapping

import discord
import pytest
import simcord

from bot.client.chat_bot import ChatBot
from bot.settings.settings import Settings
from bot.store.database.database import Database
from cogs._discord.courier import NOTICE_SECONDS
from tests.cogs.stage import Stage, build_services
from tests.fakes import ScriptedEngine


async def fence(stage: Stage, database: Database, overrides: Mapping[str, object]) -> None:
    """Start the bot again with other settings; the world stays."""
    settings = Settings.model_validate({"cooldown_seconds": 0, **overrides})
    await stage.bot.services.delivery.stop(5.0)
    stage.bot = ChatBot(build_services(database, stage.engine, settings))
    await stage.env.restart_bot(stage.bot)
    await stage.env.settle()


async def is_answered(
    stage: Stage, channel: simcord.ChannelHandle, who: simcord.MemberActor
) -> bool:
    before = len(stage.texts(channel))
    await who.send(channel, f"{stage.us} hello")
    return len(stage.texts(channel)) > before


async def test_only_allowed_channels_and_their_threads_are_answered(
    stage: Stage, database: Database
) -> None:
    other = stage.guild.create_text_channel("other")
    thread = stage.thread()
    await fence(stage, database, {"allowed_channel_ids": [stage.channel.id]})
    assert await is_answered(stage, stage.channel, stage.alice)
    assert await is_answered(stage, thread, stage.alice)
    assert not await is_answered(stage, other, stage.alice)


async def test_blocked_channels_and_their_threads_are_not_answered(
    stage: Stage, database: Database
) -> None:
    other = stage.guild.create_text_channel("other")
    thread = stage.thread()
    await fence(stage, database, {"blocked_channel_ids": [stage.channel.id]})
    assert not await is_answered(stage, stage.channel, stage.alice)
    assert not await is_answered(stage, thread, stage.alice)
    assert await is_answered(stage, other, stage.alice)


async def test_a_thread_can_be_blocked_alone(stage: Stage, database: Database) -> None:
    thread = stage.thread()
    await fence(stage, database, {"blocked_channel_ids": [thread.id]})
    assert await is_answered(stage, stage.channel, stage.alice)
    assert not await is_answered(stage, thread, stage.alice)


async def test_a_blocked_member_is_not_answered_anywhere(stage: Stage, database: Database) -> None:
    bob = stage.member("bob")
    await fence(stage, database, {"blocked_user_ids": [stage.alice.id]})
    assert not await is_answered(stage, stage.channel, stage.alice)
    await stage.alice.send_dm("hello")
    assert not stage.texts(stage.alice.user.dm_channel)
    assert await is_answered(stage, stage.channel, bob)


async def test_only_allowed_roles_are_answered_and_direct_messages_have_none(
    stage: Stage, database: Database
) -> None:
    role = stage.guild.create_role("Friends")
    friend = stage.member("friend", roles=[role])
    await fence(stage, database, {"allowed_role_ids": [role.id]})
    assert await is_answered(stage, stage.channel, friend)
    assert not await is_answered(stage, stage.channel, stage.alice)
    await friend.send_dm("hello")
    assert not stage.texts(friend.user.dm_channel)


@pytest.mark.parametrize("overrides", [{"allow_dms": False}])
async def test_direct_messages_can_be_closed(stage: Stage) -> None:
    await stage.alice.send_dm("hello")
    assert stage.posts() == []
    assert await is_answered(stage, stage.channel, stage.alice)


@pytest.mark.parametrize("missing", ["send_messages", "view_channel"])
async def test_without_permission_nothing_is_tried(stage: Stage, missing: str) -> None:
    assert stage.bot.user is not None
    mute = stage.guild.create_text_channel(
        "mute",
        overwrites={stage.bot.user: discord.PermissionOverwrite(**{missing: False})},
    )
    before = len(stage.env.http_requests)
    for _ in range(20):
        await stage.alice.send(mute, f"{stage.us} hello")
    assert len(stage.env.http_requests) == before
    assert stage.engine.asked == []


async def test_a_thread_needs_its_own_permission(stage: Stage) -> None:
    assert stage.bot.user is not None
    channel = stage.guild.create_text_channel(
        "quiet",
        overwrites={stage.bot.user: discord.PermissionOverwrite(send_messages_in_threads=False)},
    )
    thread = stage.env.backend.create_thread(channel.id, "aside", stage.alice.id)
    await stage.env.settle()
    assert await is_answered(stage, channel, stage.alice)
    assert not await is_answered(stage, channel.threads[0], stage.alice)
    assert thread.id == channel.threads[0].id


async def test_a_refusal_that_permissions_do_not_show_is_met_once(stage: Stage) -> None:
    stage.env.inject_error("POST", "/channels/*/messages", status=403, code=50013, times=None)
    for _ in range(50):
        await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert len(stage.posts()) == 1
    assert len(stage.engine.asked) == 1


@pytest.mark.parametrize("overrides", [{"cooldown_seconds": 600}])
async def test_who_writes_too_soon_is_told_once_and_the_notice_goes_away(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    second = await stage.alice.send(stage.channel, f"{stage.us} hello?")
    await stage.alice.send(stage.channel, f"{stage.us} hello??")
    _, notice = stage.ours()
    assert notice.content == ("One moment, please: I didn't catch that. Send it again in 600 s.")
    assert notice.reference is not None
    assert notice.reference.message_id == second.id
    assert stage.posts()[-1]["nonce"] == f"n{second.id}"
    await stage.env.advance_time(NOTICE_SECONDS)
    assert len(stage.texts()) == 1
    assert len(stage.engine.asked) == 1


@pytest.mark.parametrize("overrides", [{"cooldown_seconds": 600}])
async def test_another_member_need_not_wait(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert await is_answered(stage, stage.channel, stage.member("bob"))


@pytest.mark.parametrize("overrides", [{"max_queue": 2}])
async def test_a_full_queue_says_so_and_forgets_nothing(
    stage: Stage, engine: ScriptedEngine
) -> None:
    people = [stage.member(name) for name in ("bob", "carol", "dave")]
    await stage.env.settle()
    engine.gate.clear()
    for person in people:
        stage.env.backend.create_message(stage.channel.id, person.id, f"{stage.us} hello")
    await engine.wait_until_asked(1)
    engine.gate.set()
    await stage.env.settle()
    told = [text for text in stage.texts() if text.startswith("Too many people")]
    assert len(told) == 1
    assert len(stage.texts()) == 3


@pytest.mark.parametrize("overrides", [{"cooldown_seconds": 600}])
async def test_a_notice_speaks_the_members_language(stage: Stage, database: Database) -> None:
    await stage.services.servers.save_locale(stage.alice.id, "en-GB")
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    await stage.alice.send(stage.channel, f"{stage.us} hello?")
    assert stage.texts()[1].startswith("One moment")


@pytest.mark.parametrize("may_manage", [True, False])
async def test_a_locked_thread_is_answered_only_by_who_may_manage_it(
    stage: Stage, may_manage: bool
) -> None:
    assert stage.bot.user is not None
    channel = stage.guild.create_text_channel(
        "locked",
        overwrites={stage.bot.user: discord.PermissionOverwrite(manage_threads=may_manage)},
    )
    thread = stage.env.backend.create_thread(channel.id, "aside", stage.alice.id)
    stage.env.backend.edit_channel(thread.id, {}, thread_metadata={"locked": True})
    await stage.env.settle()
    assert await is_answered(stage, channel.threads[0], stage.alice) == may_manage


async def forget_threads(stage: Stage) -> None:
    """As if Discord had not told us of the server's threads."""
    guild = stage.bot.get_guild(stage.guild.id)
    assert guild is not None
    await stage.env.settle()
    guild._threads.clear()


async def test_a_thread_that_we_were_not_told_of_is_answered(stage: Stage) -> None:
    thread = stage.thread()
    await forget_threads(stage)
    assert await is_answered(stage, thread, stage.alice)


@pytest.mark.parametrize("setting", ["allowed_channel_ids", "blocked_channel_ids"])
async def test_a_thread_that_we_were_not_told_of_counts_as_its_channel(
    stage: Stage, database: Database, setting: str
) -> None:
    """As one that was archived when the bot connected: Discord is asked once whose it is."""
    thread = stage.thread()
    await fence(stage, database, {setting: [stage.channel.id]})
    await forget_threads(stage)
    asked = len(lookups(stage))
    for _ in range(3):
        assert await is_answered(stage, thread, stage.alice) == (setting == "allowed_channel_ids")
    assert len(lookups(stage)) == asked + 1


async def test_messages_in_such_a_thread_keep_their_order(stage: Stage, database: Database) -> None:
    thread = stage.thread()
    await fence(stage, database, {"allowed_channel_ids": [stage.channel.id]})
    await forget_threads(stage)
    for number in range(3):
        text = f"{stage.us} number {number}"
        stage.env.backend.create_message(thread.id, stage.alice.id, text)
    await stage.env.settle()
    said = [prompt.split("␄")[-2] for prompt in stage.prompts()]
    assert said == [f"number {number}" for number in range(3)]


async def test_a_thread_that_discord_does_not_tell_of_is_outside_every_fence(
    stage: Stage, database: Database
) -> None:
    thread = stage.thread()
    await fence(stage, database, {"blocked_channel_ids": [1]})
    await forget_threads(stage)
    stage.env.inject_error("GET", "/channels/*", status=403, code=50001, times=None)
    assert not await is_answered(stage, thread, stage.alice)
    assert await is_answered(stage, stage.channel, stage.alice)


async def test_a_server_that_does_not_tell_of_ourselves_is_answered(stage: Stage) -> None:
    """What Discord did not say is no refusal: only a try can tell."""
    guild = stage.bot.get_guild(stage.guild.id)
    assert guild is not None
    assert stage.bot.user is not None
    await stage.env.settle()
    del guild._members[stage.bot.user.id]
    assert guild.me is None
    assert await is_answered(stage, stage.channel, stage.alice)


def lookups(stage: Stage) -> list[str]:
    """The requests that asked what a channel is."""
    paths = [one.path for one in stage.env.http_requests if one.method == "GET"]
    return [path for path in paths if path.rsplit("/", 1)[0].endswith("/channels")]
