"""What a test of the cogs stands on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import discord
import simcord

from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.answering.reply_maker import ReplyMaker
from bot.answering.text_completion import TextCompleter
from bot.client.chat_bot import ChatBot, Services
from bot.delivery.admission import Admission, AdmissionLimits
from bot.delivery.clocks import Clock, utc_now
from bot.delivery.delivery import Delivery
from bot.delivery.facts import Facts
from bot.delivery.look_back import LookBack
from bot.delivery.outbox import Outbox
from bot.dialogue.blocked import is_blocked
from bot.dialogue.profiles import DIALOGPT
from bot.settings.settings import Settings
from bot.store.database.database import Database
from bot.store.fact_file import FactFile
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers
from tests.cogs.worlds import world_of
from tests.dialogue.byte_tokenizer import END_OF_TEXT_ID
from tests.fakes import InlineTokenizerThread, ScriptedEngine


@dataclass
class Stage:
    """A running bot, and a server with one channel and one member."""

    env: simcord.Env
    bot: ChatBot
    engine: ScriptedEngine
    guild: simcord.GuildHandle
    channel: simcord.ChannelHandle
    alice: simcord.MemberActor

    @property
    def services(self) -> Services:
        return self.bot.services

    @property
    def us(self) -> str:
        """Our mention."""
        assert self.bot.user is not None
        return self.bot.user.mention

    def member(self, name: str, **options: Any) -> simcord.MemberActor:
        """Another member of the server."""
        return self.guild.add_member(self.env.create_user(name), **options)

    def thread(self, message_id: int | None = None) -> simcord.ChannelHandle:
        """A thread of Alice's in #general, perhaps made from a message."""
        thread = self.env.backend.create_thread(
            self.channel.id, "aside", self.alice.id, message_id=message_id
        )
        return next(one for one in self.channel.threads if one.id == thread.id)

    def ours(self, channel: simcord.ChannelHandle | None = None) -> list[discord.Message]:
        """What we wrote in `channel` (#general), oldest first."""
        assert self.bot.user is not None
        own_id = self.bot.user.id
        history = (channel or self.channel).history()
        return [message for message in history if message.author.id == own_id]

    def texts(self, channel: simcord.ChannelHandle | None = None) -> list[str]:
        """The texts of `ours`."""
        return [message.content for message in self.ours(channel)]

    def posts(self) -> Sequence[Any]:
        """Every request of ours that would write a message."""
        return [
            one.json
            for one in self.env.http_requests
            if one.method == "POST" and one.path.endswith("/messages")
        ]

    def prompts(self) -> list[str]:
        """What the engine was asked, as text; turns end with ␄."""
        return [_readable(asked.prompt_ids) for asked in self.engine.asked]


def _readable(ids: Sequence[int]) -> str:
    """Byte tokens as text."""
    end = "␄".encode()
    return b"".join(end if i == END_OF_TEXT_ID else bytes([i]) for i in ids).decode()


def build_services(
    database: Database, engine: ScriptedEngine, settings: Settings, clock: Clock = utc_now
) -> Services:
    """What `bot.startup.app` builds, with a scripted engine; no reply waits before another try."""
    history = SqlHistory(database, origin="discord", clock=clock)
    sampling, servers = SqlSampling(database), SqlServers(database, clock=clock)
    inbox = SqlInbox(database, clock=clock)
    erasures = Erasures(engine)
    conversation = Conversation(
        erasures=erasures,
        reply_maker=_reply_maker(engine, settings),
        history=history,
        sampling=sampling,
        defaults=settings.defaults(DIALOGPT),
        num_turns=settings.budget(DIALOGPT).num_turns,
        idle=timedelta(minutes=settings.idle_minutes),
    )
    admission, catch_up = Admission(limits_of(settings)), settings.catch_up_minutes
    delivery = Delivery(
        conversation=conversation,
        erasures=erasures,
        inbox=inbox,
        facts=_facts(database, history, servers, erasures),
        admission=admission,
        outbox=Outbox(inbox, pause=_no_pause, clock=clock),
    )
    return Services(
        conversation=conversation,
        delivery=delivery,
        look_back=LookBack(inbox, delivery, limits_of(settings)),
        erasures=erasures,
        admission=admission,
        history=history,
        sampling=sampling,
        servers=servers,
        privacy=SqlPrivacy(database, mark_age=timedelta(minutes=catch_up), clock=clock),
        engine=engine,
        completer=_completer(engine, settings),
        settings=settings,
    )


def _facts(
    database: Database, history: SqlHistory, servers: SqlServers, erasures: Erasures
) -> Facts:
    return Facts(
        history=history,
        servers=servers,
        erasures=erasures,
        file=FactFile(Path(f"{database.address.path}.facts")),
        pause=_long_pause,
    )


def _reply_maker(engine: ScriptedEngine, settings: Settings) -> ReplyMaker:
    return ReplyMaker(
        engine=engine,
        tokenizer=InlineTokenizerThread(),
        budget=settings.budget(DIALOGPT),
        deadline_seconds=settings.reply_seconds,
    )


def _completer(engine: ScriptedEngine, settings: Settings) -> TextCompleter:
    return TextCompleter(
        engine=engine,
        tokenizer=InlineTokenizerThread(),
        deadline_seconds=settings.reply_seconds,
        is_blocked=is_blocked if settings.blocked_words else None,
    )


def limits_of(settings: Settings) -> AdmissionLimits:
    return AdmissionLimits(
        max_queue=settings.max_queue,
        max_pending=settings.max_pending_per_user,
        cooldown_seconds=settings.cooldown_seconds,
    )


async def _no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


async def _long_pause(seconds: float) -> None:
    """A pause that simcord does not wait for; a test advances the time."""
    await asyncio.sleep(60 * seconds)


@asynccontextmanager
async def open_stage(bot: ChatBot, engine: ScriptedEngine) -> AsyncIterator[Stage]:
    """Start `bot` in a new world, and stop it in order at the end."""
    async with world_of(bot) as env:
        guild = env.create_guild()
        channel = guild.create_text_channel("general")
        alice = guild.add_member(env.create_user("alice"))
        await env.settle()
        yield Stage(env, bot, engine, guild, channel, alice)
        engine.gate.set()
        await bot.services.delivery.stop(5.0)
        await bot.close()
