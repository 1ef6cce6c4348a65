"""Why a message that speaks to us is not answered stands in the log, without its words."""

import logging

import discord
import pytest
import simcord

from tests.cogs.stage import Stage


async def reason(
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
    channel: simcord.ChannelHandle | None = None,
    who: simcord.MemberActor | None = None,
) -> str:
    """What the log says of a message that is not answered, after the ids."""
    channel, who = channel or stage.channel, who or stage.alice
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "cogs.chat"):
        question = await who.send(channel, f"{stage.us} my secret")
    (line,) = [one.getMessage() for one in caplog.records if one.name == "cogs.chat"]
    ids, _, why = line.partition("): ")
    assert ids == (
        f"Message {question.id} is not answered (user {who.id}, channel {channel.id}, "
        f"server {stage.guild.id}"
    )
    return why


@pytest.mark.parametrize("overrides", [{"allowed_channel_ids": [1]}])
async def test_the_lists_of_the_operator_are_named(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    assert await reason(stage, caplog) == "the lists of ids in the settings keep it out."


async def test_a_missing_permission_is_named(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    assert stage.bot.user is not None
    closed = discord.PermissionOverwrite(send_messages=False)
    mute = stage.guild.create_text_channel("mute", overwrites={stage.bot.user: closed})
    assert await reason(stage, caplog, mute) == "I lack the permission to answer there."


async def test_a_refusal_of_discord_is_named(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.env.inject_error("POST", "/channels/*/messages", status=403, code=50013)
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert "a short while ago" in await reason(stage, caplog)


@pytest.mark.parametrize("overrides", [{"cooldown_seconds": 600}])
async def test_a_message_that_is_not_taken_in_is_named(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    told = "One moment, please: I didn't catch that. Send it again in 600 s."
    assert await reason(stage, caplog) == f"refused with “{told}”."


async def test_another_bot_is_named(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    robot = stage.guild.add_member(stage.env.create_user("robot", bot=True))
    assert await reason(stage, caplog, who=robot) == "no member wrote it."


async def test_of_what_does_not_speak_to_us_nothing_is_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "cogs.chat"):
        await stage.alice.send(stage.channel, "hello everybody")
        await stage.alice.send_dm("hello")  # our own answer there is none either
    assert [one for one in caplog.records if one.name == "cogs.chat"] == []
