"""The bot in a browser, without Discord: its real cogs in a simulated one, on simcord's page.

simcord takes one action at a time, and holds it open until the bot has no more work to do. So
the model thinks outside of the simulated world, actions wait for their turn, and a task keeps
the world's clock right and the pages up to date.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import discord
import simcord

from bot.client.chat_bot import ChatBot
from bot.errors import UnavailableError
from bot.playground.outside_engine import OutsideEngine
from bot.settings.settings import DATA_FOLDER, Settings
from bot.startup.app import compose, unless
from bot.startup.foundation import Foundation, forgetting, open_foundation, retention_of
from bot.startup.stopping import heeded_signals
from bot.texts import language_of

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
DATABASE_URL = f"sqlite+aiosqlite:///{DATA_FOLDER / 'playground.db'}"
NAME = "Banter"
REFRESH_SECONDS = 0.25
SETTLE_SECONDS = 5.0  # an action waits so long for what the bot does; timers beyond it wait alone
FINISH_SECONDS = 3.0
PAGE_INDEPENDENT = ("send_message", "run_command")  # actions that any state of the page allows
ZONES = "zoneinfo/"


@dataclass
class World:
    """A simulated Discord with the bot in it. `turn` is held by the action that runs in it."""

    env: simcord.Env
    bot: ChatBot
    user: simcord.UserHandle
    member: simcord.MemberActor
    channel: simcord.ChannelHandle
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    pages: list[simcord.Preview] = field(default_factory=list)

    async def keep_current(self) -> None:
        """Keep the clock right, and show what the bot did; runs until cancelled."""
        num_shown = -1
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            async with self.turn:
                with suppress(TimeoutError):  # the bot is still at work: later
                    await self.env.advance_time(_seconds_behind(self.env))
                    num_requests = len(self.env.http_requests)
                    if num_requests != num_shown:
                        for page in self.pages:
                            await page.refresh()
                        num_shown = num_requests


async def serve_playground(
    settings: Settings, port: int | None, locale: str, announce: Callable[[str, str], None]
) -> int:
    """Serve the pages until a signal comes or a page is closed; returns the exit code.

    The first page has `port`, or any where it is None, and both are in the language of `locale`.
    `announce` gets the addresses of the direct message and of the server once they can be opened:
    an address is all that the use of its page takes.
    Raises StartError when something that the bot needs is wrong or missing.
    """
    _check_port(port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in heeded_signals():
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        opening = stack.enter_async_context(open_foundation(playground_settings(settings)))
        foundation = await unless(stop, opening)
        if foundation is None:
            return 0
        await stack.enter_async_context(forgetting(retention_of(foundation)))
        world = await stack.enter_async_context(open_world(foundation))
        direct = await stack.enter_async_context(open_page(world, world.user, port, locale))
        server = await stack.enter_async_context(open_page(world, world.member, port, locale))
        announce(direct.url, server.url)
        await _serve_until(stop, world)
    return 0


@asynccontextmanager
async def open_world(foundation: Foundation) -> AsyncIterator[World]:
    """The bot in a server with one channel and one member, who owns it."""
    engine = OutsideEngine(foundation.engine)
    bot = ChatBot(compose(replace(foundation, engine=engine), origin="playground"))
    env = simcord.Env(bot, check_errors=False, settle_timeout=SETTLE_SECONDS)
    engine.wait = partial(env.external_wait, reason="the model thinks")
    # The world begins at a fixed date, and its ids hold the time: first of all the clock.
    env.backend.advance_clock(_seconds_behind(env))
    await env.start()
    try:
        bot.http.send_typing = _not_shown  # type: ignore[method-assign]
        if bot.user is not None:
            await bot.user.edit(username=NAME)
        await bot.tree.sync()  # the database may know the same commands from an earlier world
        user = env.create_user("you")
        guild = env.create_guild("Playground", owner=user)
        channel = guild.create_text_channel("general")
        await env.settle()
        yield World(env, bot, user, guild.add_member(user), channel)
    finally:
        await bot.services.delivery.stop(FINISH_SECONDS)
        await bot.close()
        await env.shutdown()


@asynccontextmanager
async def open_page(
    world: World,
    viewer: simcord.UserHandle | simcord.MemberActor,
    first_port: int | None,
    locale: str,
) -> AsyncIterator[simcord.Preview]:
    """A page of its own for the direct message or the channel, whichever `viewer` sees."""
    port = first_port and first_port + len(world.pages)
    # simcord knows one page; actions come in turn, so it may know the one whose turn it is.
    world.env._preview = None  # noqa: SLF001
    page = world.env.preview(
        viewer.dm_channel if isinstance(viewer, simcord.UserHandle) else world.channel,
        viewers=[viewer],
        layout="channel",
        locale="ko" if language_of(locale) == "ko" else "en-US",
        timezone=_time_zone(),
        port=port,
    )
    _take_turns(page, world)
    try:
        await page.__aenter__()
    except simcord.SetupError as error:
        raise _taken(port or 0, error.__cause__ or error) from error
    world.pages.append(page)
    try:
        yield page
    finally:
        world.pages.remove(page)
        await page.close()


def _take_turns(page: simcord.Preview, world: World) -> None:
    """Let the actions of `page` wait for their turn, instead of being refused or lost."""
    act = page._action  # noqa: SLF001 - simcord has no public place to stand in

    async def act_in_turn(context_id: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        async with world.turn:
            world.env._preview = page  # noqa: SLF001 - see open_page
            if isinstance(body, dict) and body.get("kind") in PAGE_INDEPENDENT:
                # A reply may have been shown since the person began to write.
                revision = page._get_page(context_id).revision  # noqa: SLF001
                body = {**body, "published_revision": revision}
                _mention_by_name(body, world)
            return await act(context_id, body)

    page._action = act_in_turn  # type: ignore[method-assign]  # noqa: SLF001


def _mention_by_name(body: dict[str, Any], world: World) -> None:
    """Turn a typed @Banter into a mention, as Discord's own clients do."""
    content = body.get("content")
    if isinstance(content, str) and world.bot.user is not None:
        body["content"] = content.replace(f"@{NAME}", world.bot.user.mention)


async def _serve_until(stop: asyncio.Event, world: World) -> None:
    refreshing = asyncio.create_task(world.keep_current())
    closed = [asyncio.create_task(page.wait_closed()) for page in world.pages]
    tasks = (refreshing, asyncio.create_task(stop.wait()), *closed)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if not refreshing.cancelled():
        refreshing.result()


def _seconds_behind(env: simcord.Env) -> float:
    return max(0.0, (datetime.now(UTC) - env.now()).total_seconds())


async def _not_shown(channel_id: str | int) -> None:
    """Refuse to type: simcord's page does not show it, and its timer would hold up actions."""
    raise discord.DiscordException(f"typing in {channel_id} is not shown")


def playground_settings(settings: Settings) -> Settings:
    """The settings for a world of one person: its own database, no list of ids, no cooldown."""
    no_ids: frozenset[int] = frozenset()
    return settings.model_copy(
        update={
            "database_url": DATABASE_URL,
            "dev_guild_id": None,
            "cooldown_seconds": 0.0,
            "max_pending_per_user": settings.max_queue,
            "allow_dms": True,
            "allowed_channel_ids": no_ids,
            "blocked_channel_ids": no_ids,
            "blocked_user_ids": no_ids,
            "allowed_role_ids": no_ids,
        }
    )


def _check_port(port: int | None) -> None:
    """Raise UnavailableError for a port that is taken: before the model is loaded."""
    if port is None:
        return
    for number in (port, port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, number))
            except (OSError, OverflowError) as error:
                raise _taken(number, error) from error


def _taken(port: int, error: BaseException) -> UnavailableError:
    reason = error.strerror if isinstance(error, OSError) else error
    return UnavailableError(
        "The playground cannot use port {port} of this computer ({reason}): choose another one "
        "with --port, or leave it out.",
        port=port,
        reason=reason,
    )


def _time_zone() -> str:
    """The name of this computer's time zone; UTC where it does not say."""
    path = str(Path("/etc/localtime").resolve())
    return path.partition(ZONES)[2] or "UTC"
