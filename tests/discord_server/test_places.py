"""Channels of every kind, and what the bot may do in them."""

from collections.abc import Awaitable

import discord
import pytest

from tests.discord_server.bare_client import BareClient
from tests.discord_server.conftest import text_channel
from tests.discord_server.permissions import EVERYTHING, Permission, permissions_in
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, ChannelType, Guild, User


async def code_of(refused: Awaitable[object]) -> int:
    with pytest.raises(discord.HTTPException) as caught:
        await refused
    return caught.value.code


async def test_direct_message_is_answered_in_its_channel(
    server: DiscordServer, client: BareClient, ada: User
) -> None:
    direct = server.direct_channel(ada)
    asked = await client.hears(server.say(direct, ada, "hello"))
    assert isinstance(asked.channel, discord.DMChannel)
    await asked.reply("hi")
    assert [one.content for one in server.replies(direct)] == ["hi"]


async def test_bot_opens_a_direct_channel_itself(
    server: DiscordServer, client: BareClient, ada: User
) -> None:
    user = await client.fetch_user(ada.id)
    await user.send("hello")
    assert [one.content for one in server.replies(server.direct_channel(ada))] == ["hello"]
    ada.takes_dms = False
    assert await code_of(user.send("are you there?")) == 50007


@pytest.mark.parametrize("kind", [ChannelType.VOICE, ChannelType.STAGE])
async def test_voice_and_stage_channels_hold_text(
    server: DiscordServer, client: BareClient, guild: Guild, ada: User, kind: ChannelType
) -> None:
    channel = server.add_channel(guild, "lounge", kind)
    asked = await client.hears(server.say(channel, ada, "hello", mention_bot=True))
    await asked.reply("hi")
    assert len(server.replies(channel)) == 1


async def test_thread_from_a_message_has_its_id(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    message_id = server.say(general, ada, "let us talk", mention_bot=True)
    thread = server.create_thread(general, "talk", ada, from_message=message_id)
    assert (await client.until_event("thread_create")).id == message_id
    asked = await client.hears(server.say(thread, ada, "hello", mention_bot=True))
    assert isinstance(asked.channel, discord.Thread)
    assert asked.channel.parent_id == general.id
    await asked.reply("hi")
    assert len(server.replies(thread)) == 1


async def test_bot_starts_a_thread_at_a_message_once(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    message = await client.hears(server.say(general, ada, "hello", mention_bot=True))
    thread = await message.create_thread(name="talk")
    assert thread.id == message.id
    await thread.send("here we are")
    assert await code_of(message.create_thread(name="again")) == 160004


async def test_forum_post_begins_with_the_message_of_the_same_id(
    server: DiscordServer, client: BareClient, guild: Guild, ada: User
) -> None:
    forum = server.add_channel(guild, "questions", ChannelType.FORUM)
    text = f"<@{server.bot.id}> why?"
    post = server.create_thread(forum, "a question", ada, text=text)
    asked = await client.hears(post.id)
    assert asked.content == text
    await asked.reply("because")
    assert len(server.replies(post)) == 1
    assert await code_of(client.http.request(route("POST", forum), json={"content": "x"})) == 50008


def route(method: str, channel: Channel) -> discord.http.Route:
    return discord.http.Route(method, "/channels/{channel_id}/messages", channel_id=channel.id)


async def test_locked_thread_refuses_and_archived_thread_opens_by_itself(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    thread = server.create_thread(general, "talk", ada)
    asked = await client.hears(server.say(thread, ada, "hello", mention_bot=True))
    server.set_thread(thread, locked=True)
    assert await code_of(asked.reply("hi")) == 160005
    server.set_thread(thread, locked=True, archived=True)
    assert await code_of(asked.reply("hi")) == 50083
    server.set_thread(thread, archived=True)
    sent = await asked.reply("hi")
    assert not thread.archived
    server.set_thread(thread, archived=True)
    assert await code_of(sent.edit(content="ho")) == 50083


@pytest.mark.parametrize(
    "denied",
    [
        Permission.SEND_MESSAGES,
        Permission.VIEW_CHANNEL,
        Permission.READ_MESSAGE_HISTORY,
        Permission.ATTACH_FILES | Permission.EMBED_LINKS,
    ],
)
async def test_both_sides_compute_the_same_permissions(
    server: DiscordServer,
    client: BareClient,
    guild: Guild,
    general: Channel,
    denied: Permission,
) -> None:
    server.set_permissions(general, guild.everyone, deny=Permission.EMBED_LINKS)
    server.set_permissions(general, allow=Permission.EMBED_LINKS)
    await client.until_event("guild_channel_update", 2)
    assert Permission.EMBED_LINKS in permissions_in(general, server.bot)
    server.set_permissions(general, deny=denied)
    await client.until_event("guild_channel_update", 3)
    channel = text_channel(client, general)
    theirs = channel.permissions_for(channel.guild.me)
    ours = permissions_in(general, server.bot)
    if Permission.VIEW_CHANNEL in denied:
        assert not ours
        assert not theirs.view_channel
        return
    # discord.py does not take away what hangs on SEND_MESSAGES beyond these three.
    assert theirs.send_messages == (Permission.SEND_MESSAGES in ours)
    assert theirs.attach_files == (Permission.ATTACH_FILES in ours)
    assert theirs.embed_links == (Permission.EMBED_LINKS in ours)
    assert theirs.read_message_history == (Permission.READ_MESSAGE_HISTORY in ours)


async def test_roles_add_up_and_administrators_may_everything(
    server: DiscordServer, guild: Guild, general: Channel
) -> None:
    server.set_permissions(general, guild.everyone, deny=Permission.SEND_MESSAGES)
    speaker = server.add_role(guild, "speaker")
    server.set_permissions(general, speaker, allow=Permission.SEND_MESSAGES)
    admin = server.add_role(guild, "admin", Permission.ADMINISTRATOR)
    plain, talker, boss = (
        server.add_member(guild, name, roles=roles)
        for name, roles in (("plain", []), ("talker", [speaker]), ("boss", [admin]))
    )
    assert Permission.SEND_MESSAGES not in permissions_in(general, plain)
    assert Permission.SEND_MESSAGES in permissions_in(general, talker)
    assert permissions_in(general, boss) == permissions_in(general, guild.owner) == EVERYTHING
    assert permissions_in(general, server.add_user("stranger")) == Permission.NONE
    server.change_member(guild, talker, roles=[speaker], timed_out_until=server.clock.moment())
    assert Permission.SEND_MESSAGES not in permissions_in(general, talker)


async def test_new_role_of_the_bot_is_known_to_it(
    server: DiscordServer, client: BareClient, guild: Guild, general: Channel
) -> None:
    server.set_permissions(general, guild.everyone, deny=Permission.SEND_MESSAGES)
    admin = server.add_role(guild, "admin", Permission.ADMINISTRATOR)
    server.change_member(guild, server.bot, roles=[admin])
    await client.until_event("member_update")
    channel = text_channel(client, general)
    assert channel.permissions_for(channel.guild.me).administrator
    await channel.send("hi")


@pytest.mark.parametrize(
    ("denied", "code"), [(Permission.SEND_MESSAGES, 50013), (Permission.VIEW_CHANNEL, 50001)]
)
async def test_missing_permission_is_refused(
    server: DiscordServer,
    client: BareClient,
    general: Channel,
    denied: Permission,
    code: int,
) -> None:
    channel = text_channel(client, general)
    server.set_permissions(general, deny=denied)
    assert await code_of(channel.send("hi")) == code
    assert len(server.invalid_requests()) == 1


async def test_reply_needs_the_permission_to_read_history(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    asked = await client.hears(server.say(general, ada, "hello", mention_bot=True))
    server.set_permissions(general, deny=Permission.READ_MESSAGE_HISTORY)
    assert await code_of(asked.reply("hi")) == 160002
    await asked.channel.send("hi")


async def test_nothing_is_heard_of_a_channel_that_cannot_be_seen(
    server: DiscordServer, client: BareClient, guild: Guild, general: Channel, ada: User
) -> None:
    secret = server.add_channel(guild, "secret")
    server.set_permissions(secret, deny=Permission.VIEW_CHANNEL)
    hidden = await client.until_event("guild_channel_update")
    server.say(secret, ada, "psst", mention_bot=True)
    heard = await client.hears(server.say(general, ada, "hello", mention_bot=True))
    assert client.heard == [heard]
    assert hidden is not None
    channel = client.get_channel(secret.id)
    assert isinstance(channel, discord.TextChannel)
    assert channel.name == "___hidden___"


async def test_channels_that_are_gone_are_told_apart(
    server: DiscordServer, client: BareClient, guild: Guild, general: Channel
) -> None:
    channel = text_channel(client, general)
    server.leave_guild(guild)
    assert await code_of(channel.send("hi")) == 50001
    server.delete_channel(general)
    assert await code_of(channel.send("hi")) == 10003


async def test_guild_can_be_asked_for_its_parts(
    server: DiscordServer, client: BareClient, guild: Guild, general: Channel, ada: User
) -> None:
    fetched = await client.fetch_guild(guild.id, with_counts=False)
    assert [one.id for one in await fetched.fetch_channels()] == [general.id]
    assert (await fetched.fetch_member(ada.id)).name == "ada"
    assert {one.name for one in await fetched.fetch_roles()} == {"@everyone", server.bot.name}
    assert [one.id async for one in client.fetch_guilds(with_counts=False)] == [guild.id]
    await fetched.leave()
    await client.until_event("guild_remove")
    assert guild.left


async def test_member_query_is_answered_over_the_gateway(
    client: BareClient, guild: Guild, ada: User
) -> None:
    found = client.get_guild(guild.id)
    assert found is not None
    members = await found.query_members(user_ids=[ada.id])
    assert [one.name for one in members] == ["ada"]
