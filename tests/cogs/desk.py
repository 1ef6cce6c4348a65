"""A courier at work: what its tests stand on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import discord
import pytest
import simcord

from bot.client.global_limit import GlobalLimit
from bot.client.way_out import WayOut
from bot.delivery.ports import Part
from bot.dialogue.turn import Scope, Utterance
from bot.errors import StoreUnavailableError
from cogs._discord.courier import DiscordCourier
from cogs._discord.outgoing import Outgoing
from tests.cogs.ears import Ears
from tests.cogs.worlds import world_of

POST = "/channels/*/messages"


class Locales:
    """The part of a ServerStore that a courier asks."""

    def __init__(self) -> None:
        self.known: dict[int, str] = {}
        self.is_away = False

    async def locale(self, user_id: int) -> str | None:
        if self.is_away:
            raise StoreUnavailableError
        return self.known.get(user_id)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    """A courier, a channel, and a question from Alice in it."""

    env: simcord.Env
    ears: Ears
    guild: simcord.GuildHandle
    channel: simcord.ChannelHandle
    alice: simcord.MemberActor
    question: discord.Message
    courier: DiscordCourier
    locales: Locales
    clock: Clock

    @property
    def said(self) -> Utterance:
        return Utterance(
            message_id=self.question.id,
            scope=Scope(self.channel.id),
            author_id=self.alice.id,
            text="hi",
            created_at=self.question.created_at,
            guild_id=self.guild.id,
        )

    def part(self, text: str = "hello", number: int = 0) -> Part:
        nonce = f"r{self.question.id}-{number}"
        return Part(self.channel.id, self.question.id, number, text, nonce)

    def requests(self, method: str, ending: str = "/messages") -> list[Any]:
        """The bodies of our requests to a path with this ending."""
        return [
            one.json
            for one in self.env.http_requests
            if one.method == method and one.path.endswith(ending)
        ]


def hold_sends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """From now on a message waits on its way: an event tells that, another lets it go on."""
    asked, released = asyncio.Event(), asyncio.Event()
    send_message = desk.ears.http.send_message

    async def hang(*args: Any, **options: Any) -> Any:
        asked.set()
        await released.wait()
        return await send_message(*args, **options)

    monkeypatch.setattr(desk.ears.http, "send_message", hang)
    return asked, released


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    ears, locales, clock = Ears(), Locales(), Clock()
    async with world_of(ears) as env:
        guild = env.create_guild(preferred_locale="ko")
        channel = guild.create_text_channel("general")
        alice = guild.add_member(env.create_user("alice"))
        await env.settle()
        question = await alice.send(channel, f"<@{ears.own_id}> hi")
        outgoing = Outgoing(GlobalLimit(), WayOut())
        courier = DiscordCourier(ears, locales, outgoing, clock)  # type: ignore[arg-type]  # all it asks
        yield Desk(env, ears, guild, channel, alice, question, courier, locales, clock)
        await courier.close()
