"""The Discord client: what it listens to, what it loads, and what it hands to the cogs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.answering.ports import HistoryStore, SamplingStore
from bot.answering.text_completion import TextCompleter
from bot.client.command_sync import sync_commands
from bot.client.discord_clock import DiscordClock
from bot.client.event_guard import EventGuard
from bot.client.global_limit import LONGEST_WAIT_SECONDS, GlobalLimit
from bot.client.http_trace import tracing
from bot.client.way_out import WayOut
from bot.delivery.admission import Admission
from bot.delivery.delivery import Delivery
from bot.delivery.look_back import LookBack
from bot.engine.protocol import Engine
from bot.ports import Lease, PrivacyStore, ServerStore
from bot.settings.settings import Settings

logger = logging.getLogger(__name__)

EXTENSIONS = (
    "cogs.errors",
    "cogs.gate",
    "cogs.chat",
    "cogs.reset",
    "cogs.settings",
    "cogs.complete",
    "cogs.status",
    "cogs.help",
    "cogs.privacy",
)

# Without Read Message History Discord refuses replies, and we could not look what was sent.
PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    read_message_history=True,
)


@dataclass(frozen=True, slots=True)
class Services:
    """What `setup(bot)` of an extension hands to its cog. `license_id`: see Foundation.

    `lease`: what a bot takes before it connects; None where it is alone with its database.
    """

    conversation: Conversation
    delivery: Delivery
    look_back: LookBack
    erasures: Erasures
    admission: Admission
    history: HistoryStore
    sampling: SamplingStore
    servers: ServerStore
    privacy: PrivacyStore
    engine: Engine
    completer: TextCompleter
    settings: Settings
    license_id: str = ""
    lease: Lease | None = None


Admits = Callable[[discord.Interaction[Any]], Awaitable[bool]]


class GatedTree(app_commands.CommandTree["ChatBot"]):
    """The commands, behind the gate of their client."""

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Whether the command may be used; the gate has said why not, unless we are banned."""
        if self.client.global_limit.is_banned or not self.client.events.can_read(interaction):
            return False
        return self.client.admits is None or await self.client.admits(interaction)


class ChatBot(commands.Bot):
    """The bot on Discord; the cogs do the talking. `clock` is Discord's, told of every answer."""

    def __init__(
        self,
        services: Services,
        extensions: tuple[str, ...] = EXTENSIONS,
        clock: DiscordClock | None = None,
    ) -> None:
        no_voice_warnings()
        self.clock = clock or DiscordClock()
        self.global_limit = GlobalLimit()
        self.way_out = WayOut()
        super().__init__(
            command_prefix=commands.when_mentioned,
            tree_cls=GatedTree,
            help_command=None,
            intents=intents_for(services.settings),
            allowed_mentions=discord.AllowedMentions.none(),
            # Of all commands. In DMs between people and by a personal install the bot reads no
            # messages: there is no conversation to reset or to tune.
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=False
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            max_ratelimit_timeout=LONGEST_WAIT_SECONDS,
            http_trace=self.way_out.watch(tracing(self.global_limit.look, self.clock.look)),
            # How long to wait for one more server before we call ourselves ready.
            guild_ready_timeout=0.5,
        )
        self.events = EventGuard()
        self.events.protect(self)
        self.services = services
        self._extension_names = extensions
        self._was_ready = False
        self.admits: Admits | None = None  # an extension sets it
        self.closed = asyncio.Event()  # set when `close` is through

    async def close(self) -> None:
        """Unload the cogs and leave Discord; may be called twice."""
        await super().close()
        self.closed.set()

    async def setup_hook(self) -> None:
        """Load the cogs and tell Discord of their commands: once, before the first event.

        Raises StartError where the database is another process's.
        """
        if not await self._owns_database():
            return
        for name in self._extension_names:
            await self.load_extension(name)
        services = self.services
        await sync_commands(
            self.tree, services.servers, self.application_id or 0, services.settings.dev_guild_id
        )

    async def _owns_database(self) -> bool:
        """Take the lease, which may wait; False when the bot is closed meanwhile."""
        lease = self.services.lease
        if lease is None:
            return True
        acquiring = asyncio.create_task(lease.acquire(self.application_id or 0))
        closing = asyncio.create_task(self.closed.wait())
        try:
            await asyncio.wait({acquiring, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_taken = acquiring.done()
            acquiring.cancel()
            closing.cancel()
            await asyncio.wait({acquiring, closing})
        if is_taken:
            acquiring.result()
        return is_taken

    def dispatch(self, event_name: str, /, *args: Any, **kwargs: Any) -> None:
        """Pass an event on; discord.py's timer for `ready` fires into a closed client."""
        if not self.is_closed():
            super().dispatch(event_name, *args, **kwargs)

    async def on_message(self, message: discord.Message) -> None:
        """Note the time only: no command has a prefix, and the chat cog listens for itself."""
        self.clock.heard(message.created_at)

    async def on_ready(self) -> None:
        """Say who we are; Discord sends this after every new connection."""
        if self.user is None or self._was_ready:
            logger.info("Connected again.")
            return
        self._was_ready = True
        logger.info("Invite me: %s", invitation(self.application_id or 0))
        logger.info("Ready: %s (%s) in %s servers.", self.user, self.user.id, len(self.guilds))


def no_voice_warnings() -> None:
    """Keep discord.py from telling of libraries for voice: the bot does not speak."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


def invitation(application_id: int) -> str:
    """The link that adds a bot to a server, with the permissions it needs and no more."""
    return discord.utils.oauth_url(
        application_id, permissions=PERMISSIONS, scopes=("bot", "applications.commands")
    )


def intents_for(settings: Settings) -> discord.Intents:
    """What Discord is asked to send; the only privileged one is off unless it is set."""
    intents = discord.Intents.none()
    intents.guilds = True
    intents.guild_messages = True
    intents.dm_messages = True
    intents.message_content = settings.message_content
    return intents
