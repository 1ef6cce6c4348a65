"""Logs in to Discord and stays connected; what a person is told where Discord does not let it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import discord

from bot.client.chat_bot import ChatBot, no_voice_warnings
from bot.client.discord_clock import DiscordClock
from bot.client.http_trace import tracing
from bot.errors import UnavailableError, WrongSettingsError
from bot.settings.bot_token import is_bot_token, not_a_token

logger = logging.getLogger(__name__)

# https://discord.com/developers/docs/topics/opcodes-and-status-codes, gateway close codes
TOKEN_REFUSED = 4004
INTENTS_REFUSED = (4013, 4014)
SHARDING_NEEDED = (4010, 4011)

UNREACHABLE = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError)
CLOSING_SECONDS = 0.5  # for what ends by itself once the connection is closed


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
async def logged_in(token: str, clock: DiscordClock | None = None) -> AsyncIterator[discord.Client]:
    """A client that can ask Discord, and does not connect; its `application` is known.

    `clock` is told of its answers.
    Raises WrongSettingsError and UnavailableError, like `run_client`.
    """
    no_voice_warnings()
    intents = discord.Intents.none()
    intents.guilds = True  # without it discord.py warns; what never connects hears of none
    trace = tracing(*([clock.look] if clock else []))
    async with discord.Client(intents=intents, http_trace=trace) as asker:
        await _log_in(asker, token)
        yield asker


async def _log_in(bot: discord.Client, token: str) -> None:
    if not is_bot_token(token):
        raise not_a_token("DISCORD_TOKEN", token)
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
