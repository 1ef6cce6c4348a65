"""The Discord client: what it listens to, what it loads, and how it connects."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import discord
from discord import app_commands
from discord.ext import commands

from bot.admission import Admission
from bot.command_sync import sync_commands
from bot.conversation import Conversation
from bot.delivery import Delivery
from bot.engine.request import Engine
from bot.erasures import Erasures
from bot.errors import UnavailableError, WrongSettingsError
from bot.global_limit import GlobalLimit
from bot.ports import HistoryStore, PrivacyStore, SamplingStore, ServerStore
from bot.settings import Settings
from bot.writer import Writer

logger = logging.getLogger(__name__)

EXTENSIONS = (
    "cogs.errors",
    "cogs.gate",
    "cogs.chat",
    "cogs.history",
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

TOKEN_SHAPE = re.compile(r"[A-Za-z0-9._-]+")

# https://discord.com/developers/docs/topics/opcodes-and-status-codes, gateway close codes
TOKEN_REFUSED = 4004
INTENTS_REFUSED = (4013, 4014)
SHARDING_NEEDED = (4010, 4011)

UNREACHABLE = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError)
CLOSING_SECONDS = 0.5  # for what ends by itself once the connection is closed


@dataclass(frozen=True, slots=True)
class Services:
    """What `setup(bot)` of an extension hands to its cog. `license_id`: see Foundation."""

    conversation: Conversation
    delivery: Delivery
    erasures: Erasures
    admission: Admission
    history: HistoryStore
    sampling: SamplingStore
    servers: ServerStore
    privacy: PrivacyStore
    engine: Engine
    writer: Writer
    settings: Settings
    license_id: str = ""


Admits = Callable[[discord.Interaction[Any]], Awaitable[bool]]


class GatedTree(app_commands.CommandTree["ChatBot"]):
    """The commands, behind the gate of their client."""

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Whether the command may be used; the gate has said why not."""
        return await self.client.admits(interaction)


async def _admit(_: discord.Interaction[Any]) -> bool:
    return True


class ChatBot(commands.Bot):
    """The bot on Discord; the cogs do the talking."""

    def __init__(self, services: Services, extensions: tuple[str, ...] = EXTENSIONS) -> None:
        # The bot does not speak: no warnings about libraries for voice in the log.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        self.global_limit = GlobalLimit()
        super().__init__(
            command_prefix=commands.when_mentioned,
            tree_cls=GatedTree,
            help_command=None,
            intents=intents_for(services.settings),
            allowed_mentions=discord.AllowedMentions.none(),
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=False
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            max_ratelimit_timeout=60.0,
            http_trace=self.global_limit.trace_config(),
            # How long to wait for one more server before we call ourselves ready.
            guild_ready_timeout=0.5,
        )
        self.services = services
        self._extension_names = extensions
        self._was_ready = False
        self.admits: Admits = _admit  # an extension sets it
        self.closed = asyncio.Event()  # set when `close` is through

    async def close(self) -> None:
        """Unload the cogs and leave Discord; may be called twice."""
        await super().close()
        self.closed.set()

    async def setup_hook(self) -> None:
        """Load the cogs and tell Discord of their commands: once, before the first event."""
        for name in self._extension_names:
            await self.load_extension(name)
        services = self.services
        await sync_commands(
            self.tree, services.servers, self.application_id, services.settings.dev_guild_id
        )

    def dispatch(self, event_name: str, /, *args: Any, **kwargs: Any) -> None:
        """Pass an event on; discord.py's timer for `ready` fires into a closed client."""
        if not self.is_closed():
            super().dispatch(event_name, *args, **kwargs)

    async def on_message(self, message: discord.Message) -> None:
        """Do nothing: there are no commands by prefix, and the chat cog listens for itself."""

    async def on_ready(self) -> None:
        """Say who we are; Discord sends this after every new connection."""
        if self.user is None or self._was_ready:
            logger.info("Connected again.")
            return
        self._was_ready = True
        logger.info("Invite me: %s", self.invite_url)
        logger.info("Ready: %s (%s) in %s servers.", self.user, self.user.id, len(self.guilds))

    @property
    def invite_url(self) -> str:
        """The link that adds the bot to a server."""
        return invitation(self.application_id or 0)


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


async def run_client(bot: ChatBot, token: str) -> None:
    """Log in and stay connected until `bot.close()`.

    Raises WrongSettingsError when Discord refuses the token or an intent, after one attempt,
    and UnavailableError when Discord cannot be reached for the first connection; later ones
    are tried again without end.
    """
    try:
        await _log_in(bot, token)
        if not bot.is_closed():
            await _stay_connected(bot)
    finally:
        await bot.close()


async def check_token(token: str) -> None:
    """Ask Discord whether it knows `token`, before a large model is fetched and loaded.

    Raises WrongSettingsError and UnavailableError, like `run_client`.
    """
    async with logged_in(token):
        pass


@asynccontextmanager
async def logged_in(token: str) -> AsyncIterator[discord.Client]:
    """A client that can ask Discord, and does not connect; its `application` is known.

    Raises WrongSettingsError and UnavailableError, like `run_client`.
    """
    async with discord.Client(intents=discord.Intents.none()) as asker:
        await _log_in(asker, token)
        yield asker


async def _log_in(bot: discord.Client, token: str) -> None:
    if not TOKEN_SHAPE.fullmatch(token):
        raise WrongSettingsError(
            "DISCORD_TOKEN does not look like a token: copy it again from the Bot page of the "
            "Discord developer portal, without “Bot ” before it and without spaces."
        )
    if bot.is_closed():
        return
    try:
        await bot.login(token)
    except discord.LoginFailure as error:
        raise _refused_token() from error
    except Exception as error:
        if bot.is_closed():
            logger.debug("The login was broken off: %s", error)
            return
        if isinstance(error, UNREACHABLE):
            raise unreachable(error) from error
        raise


async def _stay_connected(bot: ChatBot) -> None:
    """Run `bot.connect()` until it ends or the bot is closed.

    By itself it goes on sleeping before its next attempt, for minutes, when the bot is closed.
    """
    connecting = asyncio.create_task(bot.connect())
    closing = asyncio.create_task(bot.closed.wait())
    try:
        await asyncio.wait({connecting, closing}, return_when=asyncio.FIRST_COMPLETED)
        # It closes the bot itself before it raises that Discord refused the connection.
        await asyncio.wait({connecting}, timeout=CLOSING_SECONDS)
    finally:
        closing.cancel()
        connecting.cancel()
        await asyncio.wait({connecting, closing})
    error = None if connecting.cancelled() else connecting.exception()
    if isinstance(error, discord.PrivilegedIntentsRequired):
        raise _refused_intents(bot) from error
    if isinstance(error, discord.ConnectionClosed):
        raise _refused_connection(bot, error.code) from error
    if error is None or bot.is_closed():
        return
    # discord.py 2.7.1 fails on a connection to resume when the very first one fails.
    if isinstance(error, AttributeError) and bot.ws is None:
        raise unreachable(error.__context__ or error) from error
    raise error


def _refused_connection(bot: ChatBot, code: int) -> WrongSettingsError:
    if code == TOKEN_REFUSED:
        return _refused_token()
    if code in INTENTS_REFUSED:
        return _refused_intents(bot)
    if code in SHARDING_NEEDED:
        return WrongSettingsError(
            "The bot is in too many servers for one connection (code {code}): Banter does not "
            "split itself up yet.",
            code=code,
        )
    return WrongSettingsError(
        "Discord refused the connection for good (code {code}): please update Banter.", code=code
    )


def _refused_token() -> WrongSettingsError:
    return WrongSettingsError(
        "Discord refuses DISCORD_TOKEN: make a new one on the Bot page of the Discord "
        "developer portal and put it into .env."
    )


def _refused_intents(bot: ChatBot) -> WrongSettingsError:
    if not bot.intents.message_content:
        return WrongSettingsError("Discord refuses the intents of the bot: please update Banter.")
    return WrongSettingsError(
        "Discord refuses the Message Content intent: switch it on, on the Bot page of the "
        "Discord developer portal, or set MESSAGE_CONTENT=off."
    )


def unreachable(error: BaseException) -> UnavailableError:
    """What a person is told of an error in UNREACHABLE."""
    return UnavailableError(
        "Discord cannot be reached ({reason}): check the network and try again.",
        reason=str(error) or type(error).__name__,
    )
