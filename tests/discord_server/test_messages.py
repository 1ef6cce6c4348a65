"""Messages there and back: text, replies, nonces, attachments, what a bot may read."""

import io

import discord
import pytest

from tests.discord_server.bare_client import BareClient
from tests.discord_server.conftest import text_channel
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, MessageType, User


async def test_mention_arrives_with_its_text_and_the_reply_is_recorded(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    asked = await client.hears(server.say(general, ada, "hello", mention_bot=True))
    assert asked.content == f"<@{server.bot.id}> hello"
    assert asked.mentions == [asked.guild.me if asked.guild else None]
    sent = await asked.reply("hi", allowed_mentions=discord.AllowedMentions.none())
    (reply,) = server.replies(general)
    assert (reply.id, reply.content, reply.type) == (sent.id, "hi", MessageType.REPLY)
    assert reply.reference is not None
    assert reply.reference.message_id == asked.id
    assert not reply.pinged
    assert (await client.hears(sent.id)).author.id == server.bot.id


async def test_text_is_empty_unless_the_bot_is_meant(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    own = await text_channel(client, general).send("mine")
    others = await client.hears(server.say(general, ada, "not for you"))
    pinging = await client.hears(server.say(general, ada, "for you", reply_to=own.id))
    silent = await client.hears(
        server.say(general, ada, "not pinged", reply_to=own.id, reply_pings=False)
    )
    direct = await client.hears(server.say(server.direct_channel(ada), ada, "in private"))
    contents = [one.content for one in (others, pinging, silent, direct)]
    assert contents == ["", "for you", "", "in private"]
    assert silent.reference is not None
    nested = silent.reference.resolved
    assert isinstance(nested, discord.Message)
    assert nested.content == "mine"


async def test_edit_that_takes_the_mention_away_arrives_without_text(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    message_id = server.say(general, ada, "hello", mention_bot=True)
    server.edit(message_id, "never mind")
    event = await client.until_event("raw_message_edit")
    assert (event.message_id, event.data["content"]) == (message_id, "")
    assert event.data["edited_timestamp"] is not None


async def test_link_preview_is_an_update_without_an_edit(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    message_id = server.say(general, ada, "https://example.org", mention_bot=True)
    server.unfurl(message_id, {"title": "Example", "type": "rich"})
    event = await client.until_event("raw_message_edit")
    assert event.data["edited_timestamp"] is None


async def test_deletions_arrive_one_by_one_and_in_bulk(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    first, *rest = [server.say(general, ada, f"{n}") for n in range(3)]
    server.delete(first)
    server.bulk_delete(rest)
    assert (await client.until_event("raw_message_delete")).message_id == first
    assert (await client.until_event("raw_bulk_message_delete")).message_ids == set(rest)


async def test_webhooks_and_system_messages_look_like_themselves(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    hook = await client.hears(server.say(general, ada, "x", webhook_id=12345))
    joined = await client.hears(server.say(general, ada, "", kind=MessageType.MEMBER_JOINED))
    assert hook.webhook_id == 12345
    assert hook.author.bot
    assert joined.is_system()


async def test_second_send_with_a_nonce_returns_the_first_message(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    channel = text_channel(client, general)
    first = await channel.send("one", nonce="r1-0")
    again = await channel.send("changed", nonce="r1-0")
    assert (again.id, again.content) == (first.id, "one")
    assert len(server.replies(general)) == 1


@pytest.mark.parametrize("wait", ["forget", "advance"])
async def test_forgotten_nonce_posts_again(
    server: DiscordServer, client: BareClient, general: Channel, wait: str
) -> None:
    channel = text_channel(client, general)
    first = await channel.send("one", nonce="r1-0")
    if wait == "forget":
        server.forget_nonces()
    else:
        server.clock.advance(600)
    again = await channel.send("one", nonce="r1-0")
    assert again.id != first.id


async def test_reply_to_a_deleted_message_fails_as_on_discord(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    asked = await client.hears(server.say(general, ada, "hello", mention_bot=True))
    server.delete(asked.id)
    with pytest.raises(discord.HTTPException) as caught:
        await asked.reply("too late")
    assert caught.value.code == 50035
    assert "Unknown message" in caught.value.text
    lenient = discord.MessageReference.from_message(asked, fail_if_not_exists=False)
    sent = await asked.channel.send("anyway", reference=lenient)
    assert sent.reference is None


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u2060", "\u3164"])
async def test_invisible_message_is_refused(
    client: BareClient, general: Channel, text: str
) -> None:
    with pytest.raises(discord.HTTPException) as caught:
        await text_channel(client, general).send(text)
    assert caught.value.code == 50006


async def test_length_is_counted_in_code_points(client: BareClient, general: Channel) -> None:
    channel = text_channel(client, general)
    assert len((await channel.send("🙂" * 2000)).content) == 2000
    with pytest.raises(discord.HTTPException) as caught:
        await channel.send("x" * 2001)
    assert caught.value.code == 50035


async def test_spaces_at_the_ends_are_cut_off(client: BareClient, general: Channel) -> None:
    assert (await text_channel(client, general).send("  hi \n")).content == "hi"


async def test_everybody_is_pinged_unless_mentions_are_disallowed(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    channel = text_channel(client, general)
    text = f"@everyone <@{ada.id}>"
    await channel.send(text)
    await channel.send(text, allowed_mentions=discord.AllowedMentions(everyone=False))
    await channel.send(text, allowed_mentions=discord.AllowedMentions.none())
    loud, users, silent = (one.pinged for one in server.replies(general))
    assert loud.everyone
    assert loud.users == {ada.id}
    assert not users.everyone
    assert users.users == {ada.id}
    assert not silent


async def test_history_is_read_in_both_directions(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    ids = [server.say(general, ada, f"{n}", mention_bot=True) for n in range(5)]
    channel = text_channel(client, general)
    newest = [one.id async for one in channel.history(limit=2)]
    before = [one.id async for one in channel.history(limit=2, before=discord.Object(ids[2]))]
    after = [one.id async for one in channel.history(limit=2, after=discord.Object(ids[2]))]
    assert (newest, before, after) == ([ids[4], ids[3]], [ids[1], ids[0]], [ids[3], ids[4]])
    assert (await channel.fetch_message(ids[0])).content.endswith("0")
    with pytest.raises(discord.NotFound):
        await channel.fetch_message(1)


async def test_own_message_can_be_edited_and_deleted(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    channel = text_channel(client, general)
    sent = await channel.send("one")
    assert (await sent.edit(content="two")).content == "two"
    theirs = channel.get_partial_message(server.say(general, ada, "x"))
    for refused in (theirs.edit(content="mine now"), theirs.delete()):
        with pytest.raises(discord.Forbidden):
            await refused
    await sent.delete()
    (message,) = server.replies(general)
    assert message.deleted


async def test_files_travel_in_both_directions(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    channel = text_channel(client, general)
    await channel.send("here", file=discord.File(io.BytesIO(b"\x00\xff"), "export.json"))
    (sent,) = server.replies(general)
    assert [(one.filename, one.content) for one in sent.attachments] == [
        ("export.json", b"\x00\xff")
    ]
    message_id = server.say(general, ada, "see", mention_bot=True, attachments={"a.txt": b"abc"})
    heard = await client.hears(message_id)
    assert await heard.attachments[0].read() == b"abc"


async def test_typing_and_reactions_are_accepted(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    message_id = server.say(general, ada, "hello", mention_bot=True)
    message = await client.hears(message_id)
    async with message.channel.typing():
        await message.add_reaction("👍")
    assert server.world.message(message_id).reactions == {"👍": {server.bot.id}}
    assert len(server.requests_to("POST", "/channels/*/typing")) == 1


async def test_old_message_has_an_old_id(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    message = await client.hears(server.say(general, ada, "hello", seconds_ago=600))
    age = discord.utils.utcnow() - discord.utils.snowflake_time(message.id)
    assert 590 < age.total_seconds() < 660
