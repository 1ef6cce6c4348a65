"""The bot on Discord: composes its services, and serves until it is told to stop.

Which class fills which place is chosen here and in the two modules that this one builds on,
`foundation` and `building`, and nowhere else.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

from bot.client.chat_bot import ChatBot, Services
from bot.client.connection import check_token, run_client
from bot.client.discord_clock import DiscordClock
from bot.delivery.admission import Admission, AdmissionLimits
from bot.delivery.clocks import Clock, utc_now
from bot.delivery.delivery import Delivery
from bot.delivery.facts import Facts
from bot.delivery.gone import LatelyGone
from bot.delivery.look_back import LookBack
from bot.delivery.outbox import Outbox
from bot.engine.thread import is_any_left
from bot.errors import EXIT_RESTART, EXIT_UNAVAILABLE, WrongSettingsError
from bot.settings.settings import DATA_FOLDER, Settings
from bot.startup.building import build_conversation, build_text_completer
from bot.startup.foundation import (
    Foundation,
    facts_path_for,
    forgetting,
    open_foundation,
    retention_of,
)
from bot.startup.heartbeat import heartbeat
from bot.startup.model_folder import must_be_fetched
from bot.startup.single_instance import only_instance
from bot.startup.stopping import end_now, end_soon, stopped_by_signals
from bot.startup.watch import Loss, Watch
from bot.startup.watchdog import Watchdog
from bot.store.fact_file import FactFile
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.lease import SqlLease
from bot.store.privacy import SqlPrivacy
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers

T = TypeVar("T")
logger = logging.getLogger(__name__)

FINISH_SECONDS = 8.0  # for the replies that are being made


@dataclass(frozen=True, slots=True)
class Opened:
    """A bot, and what watches over its being the only one."""

    bot: ChatBot
    watch: Watch


async def serve(settings: Settings) -> int:
    """Run the bot on Discord until a signal comes; returns the exit code.

    Raises StartError when something that the bot needs is wrong or missing.
    """
    if settings.discord_token is None:
        raise WrongSettingsError("DISCORD_TOKEN is not set: put your bot's token into .env.")
    token = settings.discord_token.get_secret_value()
    stop = asyncio.Event()
    with stopped_by_signals(stop):
        async with AsyncExitStack() as stack:
            opened = await unless(stop, stack.enter_async_context(_open_bot(settings, token)))
            exit_code = 0 if opened is None else await _run(opened, token, stop)
        if is_any_left():
            end_now(exit_code)  # a hung engine, or one that still loads: everything else is closed
    return exit_code


async def unless(stop: asyncio.Event, opening: Awaitable[T]) -> T | None:
    """Await `opening`, but give it up when the signal comes first; then None."""
    task = asyncio.ensure_future(opening)
    signalled = asyncio.create_task(stop.wait())
    await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if task.done():
        return task.result()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return None


async def _run(opened: Opened, token: str, stop: asyncio.Event) -> int:
    """Stay on Discord until the signal, a connection or a database lost for good, or the engine."""
    bot, delivery = opened.bot, opened.bot.services.delivery
    client = asyncio.create_task(run_client(bot, token))
    signalled = asyncio.create_task(stop.wait())
    broken = asyncio.create_task(delivery.broken.wait())
    watching = asyncio.create_task(opened.watch.run(), name="watch")
    watchdog = Watchdog(bot.way_out, partial(_is_connected, bot), DATA_FOLDER)
    stuck = asyncio.create_task(watchdog.run(), name="watchdog")
    ends = {client, signalled, broken, watching, stuck}
    async with heartbeat(DATA_FOLDER, watchdog.is_well):
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    loss = watching.result() if watching.done() else None
    is_stuck = stuck.done()
    stuck.cancel()
    if is_stuck:
        logger.critical("Nothing gets out to Discord: a fresh start is needed.")
        end_soon(EXIT_RESTART)
    started_at = time.monotonic()
    if not client.done():
        logger.info("Stopping: %s messages are being answered.", delivery.num_pending)
    # What another process has taken over is its to answer.
    await delivery.stop(0.0 if loss is Loss.LEASE else FINISH_SECONDS)
    await bot.close()
    for task in (signalled, broken, watching):
        task.cancel()
    await client
    logger.info("Stopped after %.1f s.", time.monotonic() - started_at)
    if delivery.broken.is_set():
        logger.critical("The engine has failed for good: a fresh start is needed.")
        return EXIT_RESTART
    if is_stuck:
        return EXIT_RESTART
    return 0 if loss is None else EXIT_UNAVAILABLE


def _is_connected(bot: ChatBot) -> bool:
    """Whether Discord's gateway is open, and has told us of our servers at least once."""
    return bot.is_ready() and bot.ws is not None and bot.ws.open


@asynccontextmanager
async def _open_bot(settings: Settings, token: str) -> AsyncIterator[Opened]:
    """Everything that the bot needs, opened in order and closed in reverse."""
    with only_instance(token) as locks:
        if must_be_fetched(settings):
            await check_token(token)  # a wrong token is told before a large model is fetched
        clock = DiscordClock()
        async with open_foundation(settings) as foundation:
            # What is too old is judged by Discord's clock, once it is known.
            retention = retention_of(foundation, clock=clock.now, is_sure=True)
            lease = SqlLease(foundation.database, clock=clock.now)
            async with forgetting(retention, after=clock.known):
                services = compose(foundation, origin="discord", clock=clock.now, lease=lease)
                watch = Watch(locks=locks, file=foundation.database_file, lease=lease)
                try:
                    yield Opened(ChatBot(services, clock=clock), watch)
                finally:
                    await lease.close()


def compose(
    foundation: Foundation, origin: str, clock: Clock = utc_now, lease: SqlLease | None = None
) -> Services:
    """Put the services of a Discord bot together; opens nothing. `clock`: see DiscordClock."""
    settings, database = foundation.settings, foundation.database
    history = SqlHistory(database, origin=origin, clock=clock)
    sampling, servers = SqlSampling(database), SqlServers(database, clock=clock)
    inbox = SqlInbox(database, clock=clock, lease=lease)
    limits = limits_of(settings)
    admission, catch_up = Admission(limits), timedelta(minutes=settings.catch_up_minutes)
    conversation = build_conversation(foundation, history, sampling)
    delivery = Delivery(
        conversation=conversation,
        erasures=foundation.erasures,
        inbox=inbox,
        facts=_facts_of(foundation, history, servers),
        admission=admission,
        outbox=Outbox(inbox, clock=clock),
        catch_up=catch_up,
        gone=LatelyGone(clock),
    )
    return Services(
        conversation=conversation,
        delivery=delivery,
        look_back=LookBack(inbox, delivery, limits),
        erasures=foundation.erasures,
        admission=admission,
        history=history,
        sampling=sampling,
        servers=servers,
        privacy=SqlPrivacy(database, mark_age=catch_up, clock=clock),
        engine=foundation.engine,
        completer=build_text_completer(foundation),
        settings=settings,
        license_id=foundation.license_id,
        lease=lease,
    )


def limits_of(settings: Settings) -> AdmissionLimits:
    """Who may take a place in the queue."""
    return AdmissionLimits(
        max_queue=settings.max_queue,
        max_pending=settings.max_pending_per_user,
        cooldown_seconds=settings.cooldown_seconds,
    )


def _facts_of(foundation: Foundation, history: SqlHistory, servers: SqlServers) -> Facts:
    """What makes the stores follow Discord; their file lies beside the database."""
    file = FactFile(facts_path_for(foundation.settings.database_url))
    return Facts(history=history, servers=servers, erasures=foundation.erasures, file=file)
