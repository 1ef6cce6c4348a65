"""What becomes of a discord.Message, read from real ones."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import discord
import pytest
import simcord

from bot.dialogue.text import is_blank
from bot.dialogue.turn import Scope
from cogs._discord.convert import has_more_than_a_mention, is_for_us, text_of, utterance_of
from tests.cogs.ears import Ears
from tests.cogs.worlds import world_of


@dataclass
class Room:
    """A server with one channel and one member, and a client that listens there."""

    env: simcord.Env
    ears: Ears
    guild: simcord.GuildHandle
    channel: simcord.ChannelHandle
    alice: simcord.MemberActor

    @property
    def us(self) -> str:
        return f"<@{self.ears.own_id}>"

    async def text(self, content: str) -> str:
        await self.alice.send(self.channel, content)
        return text_of(self.ears.last, self.ears.own_id)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    ears = Ears()
    async with world_of(ears) as env:
        guild = env.create_guild()
        channel = guild.create_text_channel("general")
        alice = guild.add_member(env.create_user("alice", global_name="Alice A."))
        await env.settle()
        yield Room(env, ears, guild, channel, alice)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("{us} hello", "hello"),
        ("{us}, hello", "hello"),
        ("{us}: hello", "hello"),
        ("{us} :)", ":)"),
        ("hello {us}", "hello"),
        ("hello, {us}!", "hello!"),
        ("hi {us}, how are you?", "hi, how are you?"),
        ("one\n{us}\ntwo", "one\ntwo"),
        ("{us} {us} twice", "twice"),
        ("{us}", ""),
        ("look <:blob:123456789> and <a:dance:987654321> {us}", "look :blob: and :dance:"),
        ("{us} at <t:1767225600:R>", "at 2026-01-01 00:00 UTC"),
        ("{us} at <t:9999999999999>", "at"),
        ("{us} try </settings:123456789>", "try /settings"),
        ("{us} <@99> said so", "@someone said so"),
        ("{us} in <#99>", "in #channel"),
        ("{us} for <@&99>", "for @role"),
    ],
)
async def test_our_mention_goes_and_other_markup_reads_as_words(
    room: Room, said: str, heard: str
) -> None:
    assert await room.text(said.format(us=room.us)) == heard


async def test_an_old_style_mention_of_us_goes_too(room: Room) -> None:
    assert await room.text(f"<@!{room.ears.own_id}> hello") == "hello"


async def test_people_and_roles_are_named(room: Room) -> None:
    role = room.guild.create_role("Cooks")
    bob = room.guild.add_member(room.env.create_user("bob", global_name="Bobby"))
    await room.env.settle()
    text = await room.text(f"{room.us} {bob.mention} is one of {role.mention}")
    assert text == "@Bobby is one of @Cooks"


async def test_a_name_that_looks_like_markup_stays_a_name(room: Room) -> None:
    trickster = room.guild.add_member(room.env.create_user("t", global_name="<@&1>"))
    await room.env.settle()
    assert await room.text(f"{room.us} {trickster.mention}") == "@<@&1>"


async def test_a_channel_is_named_only_to_those_who_see_it(room: Room) -> None:
    hidden = room.guild.create_text_channel(
        "plans",
        overwrites={
            room.guild.default_role: discord.PermissionOverwrite(view_channel=False),
            room.ears.me: discord.PermissionOverwrite(view_channel=True),
        },
    )
    await room.env.settle()
    text = await room.text(f"{room.us} {room.channel.mention} or {hidden.mention}")
    assert text == "#general or #channel"


@pytest.mark.parametrize(
    "said",
    [
        "\u200b\u200d\u2060",
        "\u202e\u202d",
        "\x00",
        "\ufeff \u3164",
    ],
)
async def test_what_nobody_sees_is_no_text(room: Room, said: str) -> None:
    text = await room.text(f"{room.us}{said}")
    assert is_blank(text)
    assert has_more_than_a_mention(room.ears.last, room.ears.own_id)


async def test_a_lone_surrogate_becomes_something_that_can_be_stored(room: Room) -> None:
    text = await room.text(f"{room.us} a\ud800b")
    assert text.encode() == "a\ufffdb".encode()


async def test_the_end_of_text_token_stays_as_it_was_typed(room: Room) -> None:
    assert await room.text(f"{room.us} <|endoftext|> hi") == "<|endoftext|> hi"


async def test_the_longest_message_is_taken_whole_and_at_once(room: Room) -> None:
    await room.alice.send(room.channel, room.us)
    message = room.ears.last
    message.content = f"{room.us}{' ' * 3900}x"
    assert text_of(message, room.ears.own_id) == "x"
    message.content = f"{room.us}{',' * 3900}x"
    assert len(text_of(message, room.ears.own_id)) == 3901
    message.content = f"{room.us} {'<@' * 1900}"
    assert len(text_of(message, room.ears.own_id)) == 3800


async def test_a_bare_mention_is_no_more_than_a_mention(room: Room) -> None:
    await room.alice.send(room.channel, f" {room.us} \n")
    assert not has_more_than_a_mention(room.ears.last, room.ears.own_id)


async def test_an_attachment_is_more_than_a_mention(room: Room) -> None:
    await room.alice.send(room.channel, room.us, attachments=[("cat.png", b"x")])
    assert has_more_than_a_mention(room.ears.last, room.ears.own_id)


async def test_a_mention_is_for_us(room: Room) -> None:
    await room.alice.send(room.channel, f"hi {room.us}")
    assert is_for_us(room.ears.last, room.ears.own_id)


async def test_a_direct_message_is_for_us(room: Room) -> None:
    await room.alice.send_dm("hi")
    assert is_for_us(room.ears.last, room.ears.own_id)


@pytest.mark.parametrize("said", ["hello all", "@everyone hello", "<@&77> hello", "@here"])
async def test_what_does_not_name_us_is_not_for_us(room: Room, said: str) -> None:
    await room.alice.send(room.channel, said)
    assert not is_for_us(room.ears.last, room.ears.own_id)


async def test_a_reply_with_a_ping_is_for_us(room: Room) -> None:
    ours = await room.ears.get_partial_messageable(room.channel.id).send("I am here")
    await room.alice.send(room.channel, "are you?", reply_to=ours)
    assert is_for_us(room.ears.last, room.ears.own_id)
    said = utterance_of(room.ears.last, room.ears.own_id, "channel")
    assert (said.text, said.reply_to_id) == ("are you?", ours.id)


async def test_a_reply_to_somebody_else_is_not_for_us(room: Room) -> None:
    theirs = await room.alice.send(room.channel, "hm")
    await room.alice.send(room.channel, "indeed", reply_to=theirs)
    assert not is_for_us(room.ears.last, room.ears.own_id)


@pytest.mark.parametrize("is_readable", [True, False])
async def test_a_reply_without_a_ping_counts_only_where_its_text_can_be_read(
    is_readable: bool,
) -> None:
    ears = Ears(message_content=is_readable)
    async with world_of(ears) as env:
        guild = env.create_guild()
        channel = guild.create_text_channel("general")
        alice = guild.add_member(env.create_user("alice"))
        await env.settle()
        ours = await ears.get_partial_messageable(channel.id).send("I am here")
        env.backend.create_message(
            channel.id,
            alice.id,
            "are you?",
            reference={"message_id": str(ours.id), "channel_id": str(channel.id)},
            allowed_mentions=simcord.backend.models.AllowedMentions(replied_user=False),
        )
        await env.settle()
        assert ears.last.mentions == []
        assert is_for_us(ears.last, ears.own_id) == is_readable


@pytest.mark.parametrize("is_private", [True, False])
async def test_a_scope_is_the_channel_or_the_member_in_it(room: Room, is_private: bool) -> None:
    await room.alice.send(room.channel, f"{room.us} hi")
    said = utterance_of(room.ears.last, room.ears.own_id, "member" if is_private else "channel")
    assert said.scope == Scope(room.channel.id, room.alice.id if is_private else None)
    assert (said.guild_id, said.author_id) == (room.guild.id, room.alice.id)
    assert said.created_at == room.ears.last.created_at
    assert said.created_at.utcoffset() is not None


async def test_a_direct_message_has_one_scope_whatever_the_setting(room: Room) -> None:
    await room.alice.send_dm("hi")
    said = utterance_of(room.ears.last, room.ears.own_id, "member")
    assert said.scope == Scope(room.alice.user.dm_channel.id)
    assert (said.guild_id, said.parent_channel_id, said.reply_to_id) == (None, None, None)


async def test_a_thread_knows_the_channel_that_it_hangs_on(room: Room) -> None:
    thread = room.env.backend.create_thread(room.channel.id, "aside", room.alice.id)
    await room.env.settle()
    handle = room.channel.threads[0]
    await room.alice.send(handle, f"{room.us} hi")
    said = utterance_of(room.ears.last, room.ears.own_id, "channel")
    assert (said.scope, said.parent_channel_id) == (Scope(thread.id), room.channel.id)


async def test_a_forward_is_no_reply(room: Room) -> None:
    theirs = await room.alice.send(room.channel, f"{room.us} hm")
    dm = room.alice.user.dm_channel
    await room.alice.forward(theirs, dm)
    said = utterance_of(room.ears.last, room.ears.own_id, "channel")
    assert (said.text, said.reply_to_id) == ("", None)
    assert has_more_than_a_mention(room.ears.last, room.ears.own_id)
