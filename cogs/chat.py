"""What people write to the bot, and what becomes of it; bot.delivery.delivery answers."""

import asyncio
import logging
from datetime import timedelta

import discord
from discord.ext import commands

from bot.client.chat_bot import ChatBot
from bot.delivery.admission import Admission
from bot.delivery.clocks import Clock
from bot.delivery.delivery import Delivery
from bot.delivery.look_back import LookBack
from bot.delivery.outbox import NONCE_MEMORY
from bot.dialogue.text import is_blank
from bot.dialogue.turn import Utterance
from bot.errors import AdmissionError, OwnFaultError, RefusedError
from bot.ports import ServerStore
from bot.settings.settings import Settings
from bot.texts import ONLY_TEXT, mark
from cogs._discord.convert import (
    has_more_than_a_mention,
    is_for_us,
    text_of,
    utterance_of,
    wordless,
)
from cogs._discord.courier import DiscordCourier
from cogs._discord.departures import purge_departed
from cogs._discord.fence import can_answer, is_welcome, is_written_by_a_person
from cogs._discord.lost_channels import LostChannels
from cogs._discord.missed_messages import MissedMessages
from cogs._discord.outgoing import Outgoing
from cogs._discord.unclear_places import UnclearPlaces

logger = logging.getLogger(__name__)

NOTHING_SAID = mark("Hello! Write something in the message that mentions me, and I'll answer.")


class Chat(commands.Cog):
    """Takes in what people write to the bot, and follows what becomes of it on Discord."""

    def __init__(
        self,
        *,
        client: discord.Client,
        delivery: Delivery,
        admission: Admission,
        courier: DiscordCourier,
        outgoing: Outgoing,
        servers: ServerStore,
        look_back: LookBack,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._client = client
        self._delivery = delivery
        self._admission = admission
        self._courier = courier
        self._outgoing = outgoing
        self._servers = servers
        self._settings = settings
        self._unclear_places = UnclearPlaces(client, outgoing)
        self._missed = MissedMessages(
            client=client,
            look_back=look_back,
            outgoing=outgoing,
            settings=settings,
            obstacle=self._obstacle,
            clock=clock,
        )
        self._lost_channels = LostChannels(client, servers, outgoing, delivery.forget_channel)
        self._looking: asyncio.Task[None] | None = None
        self._is_started = False
        self._starting = asyncio.Lock()

    async def cog_unload(self) -> None:
        """Leave no task behind."""
        if self._looking is not None:
            self._looking.cancel()
        await self._courier.close()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Begin to answer, now that the servers are known, or go on after a new connection."""
        async with self._starting:
            if not self._is_started:
                self._is_started = True
                if await purge_departed(self._client, self._servers, self._delivery):
                    self._looking = asyncio.create_task(self._lost_channels.purge())
            await self._missed.take_in()
            await self._delivery.start(self._courier)

    @commands.Cog.listener()
    async def on_resumed(self) -> None:
        """Go on after a lost connection that Discord took up again."""
        if self._is_started:
            await self._delivery.start(self._courier)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Take in what speaks to us. Until then nothing may be awaited: order would be lost."""
        if message.author.id == self._bot_id or not is_for_us(message, self._bot_id):
            return
        if self._unclear_places.is_unclear(message):
            async with self._unclear_places.cleared(message):
                await self._receive(message)
        else:
            await self._receive(message)

    async def _receive(self, message: discord.Message) -> None:
        try:
            if obstacle := self._obstacle(message):
                _log_drop(message, obstacle)
            else:
                await self._take_in(message)
        except Exception:
            logger.exception("Message %s failed, channel %s.", message.id, message.channel.id)
            await self._courier.whisper(wordless(message), OwnFaultError())

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Let typing give way to the answer of a command."""
        self._outgoing.expect(interaction)

    @commands.Cog.listener()
    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """Follow an edit. Discord also reports links that got a preview: those are no edits."""
        message = event.message
        if message.author.bot or message.webhook_id is not None:
            return
        if not event.data.get("edited_timestamp") or "content" not in event.data:
            return
        text = text_of(message, self._bot_id)
        is_known = await self._delivery.revise(message.id, "" if is_blank(text) else text)
        if not is_known and self._is_recent(message):
            await self.on_message(message)  # the edit speaks to us first

    @commands.Cog.listener()
    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        """Forget a deleted message."""
        await self._delivery.withdraw([event.message_id])

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        """Forget several deleted messages."""
        await self._delivery.withdraw(sorted(event.message_ids))

    @commands.Cog.listener()
    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Forget a server that we are no longer in; one that is only unavailable stays."""
        channel_ids = [channel.id for channel in (*guild.channels, *guild.threads)]
        await self._delivery.forget_server(guild.id, channel_ids)

    @commands.Cog.listener()
    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """Forget a channel with its threads, of which an archived one is not reported."""
        await self._delivery.forget_channel(channel.id)

    @commands.Cog.listener()
    async def on_raw_thread_delete(self, event: discord.RawThreadDeleteEvent) -> None:
        """Forget a thread."""
        await self._delivery.forget_channel(event.thread_id)

    @property
    def _bot_id(self) -> int:
        return self._client.user.id if self._client.user else 0

    def _is_recent(self, message: discord.Message) -> bool:
        """Whether an edited message is so young that a look back would find it, too."""
        if message.edited_at is None:
            return False
        limit = max(timedelta(minutes=self._settings.catch_up_minutes), NONCE_MEMORY)
        return message.edited_at - message.created_at < limit

    def _obstacle(self, message: discord.Message) -> str | None:
        """Why a message that speaks to us is not taken in, or None."""
        if not is_written_by_a_person(message):
            return "no member wrote it"
        if not is_welcome(message, self._settings):
            return "the lists of ids in the settings keep it out"
        if not can_answer(message):
            return "I lack the permission to answer there"
        if not self._courier.may_write(message.channel.id):
            return "Discord refused what I wrote there a short while ago"
        return None

    async def _take_in(self, message: discord.Message) -> None:
        said = utterance_of(message, self._bot_id, self._settings.history)
        try:
            if is_blank(said.text):
                await self._hint(said, message)
            else:
                self._delivery.accept(said)
        except AdmissionError as error:
            _log_drop(message, f"refused with “{error}”")
            if self._admission.may_notify(said.author_id):
                await self._courier.whisper(said, error)

    async def _hint(self, said: Utterance, message: discord.Message) -> None:
        """Say what a message without words lacks; it takes a place like any other message."""
        is_unreadable = has_more_than_a_mention(message, self._bot_id)
        hint = RefusedError(ONLY_TEXT if is_unreadable else NOTHING_SAID)
        self._admission.admit(said.author_id)
        try:
            await self._courier.say(said, hint)
        finally:
            self._admission.release(said.author_id)


def _log_drop(message: discord.Message, reason: str) -> None:
    logger.debug(
        "Message %s is not answered (user %s, channel %s, server %s): %s.",
        message.id,
        message.author.id,
        message.channel.id,
        message.guild and message.guild.id,
        reason,
    )


async def setup(bot: ChatBot) -> None:
    """Add the cog, with a courier for everything that goes out."""
    services = bot.services
    outgoing = Outgoing(bot.global_limit, bot.way_out)
    await bot.add_cog(
        Chat(
            client=bot,
            delivery=services.delivery,
            admission=services.admission,
            courier=DiscordCourier(bot, services.servers, outgoing),
            outgoing=outgoing,
            servers=services.servers,
            look_back=services.look_back,
            settings=services.settings,
            clock=bot.clock.now,
        )
    )
