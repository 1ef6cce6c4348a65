"""The bot on Discord: composes its services, and serves until it is told to stop.

Which class fills which place is chosen here and in the two modules that this one builds on,
`foundation` and `building`, and nowhere else.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar

from bot.client.chat_bot import ChatBot, Services
from bot.client.connection import check_token, run_client
from bot.delivery.admission import Admission, AdmissionLimits
from bot.delivery.delivery import Delivery
from bot.delivery.outbox import Outbox
from bot.engine.thread import is_any_left
from bot.errors import EXIT_RESTART, WrongSettingsError
from bot.settings.settings import DATA_FOLDER, Settings
from bot.startup.building import build_conversation, build_text_completer
from bot.startup.foundation import Foundation, forgetting, open_foundation
from bot.startup.heartbeat import heartbeat
from bot.startup.model_folder import must_be_fetched
from bot.startup.single_instance import only_instance
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers

T = TypeVar("T")
logger = logging.getLogger(__name__)

FINISH_SECONDS = 8.0  # for the replies that are being made
STOP_SECONDS = 9.5  # for everything: a supervisor sends SIGKILL after 10 or more
SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(settings: Settings) -> int:
    """Run the bot on Discord until a signal comes; returns the exit code.

    Raises StartError when something that the bot needs is wrong or missing.
    """
    if settings.discord_token is None:
        raise WrongSettingsError("DISCORD_TOKEN is not set: put your bot's token into .env.")
    token = settings.discord_token.get_secret_value()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _on_signal, stop)
    async with AsyncExitStack() as stack:
        bot = await unless(stop, stack.enter_async_context(_open_bot(settings, token)))
        exit_code = 0 if bot is None else await _run(bot, token, stop)
    if is_any_left():
        _end_now(exit_code)  # a hung engine, or one that still loads: everything else is closed
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


def _on_signal(stop: asyncio.Event) -> None:
    """Begin to stop; a second signal ends the bot at once."""
    if stop.is_set():
        _end_now()
    stop.set()
    # A dead network, a long step of the model or a model that is still being loaded: nothing
    # of it may keep the bot from ending, and the interpreter waits for every other thread.
    limit = threading.Timer(STOP_SECONDS, _end_now)
    limit.daemon = True
    limit.start()


def _end_now(exit_code: int = 0) -> None:
    logger.warning("Not everything could be closed; what is unanswered is left for the next start.")
    logging.shutdown()
    os._exit(exit_code)


async def _run(bot: ChatBot, token: str, stop: asyncio.Event) -> int:
    """Stay on Discord until the signal, a lost connection for good, or a broken engine."""
    delivery = bot.services.delivery
    client = asyncio.create_task(run_client(bot, token))
    signalled = asyncio.create_task(stop.wait())
    broken = asyncio.create_task(delivery.broken.wait())
    async with heartbeat(DATA_FOLDER, partial(_is_connected, bot)):
        await asyncio.wait({client, signalled, broken}, return_when=asyncio.FIRST_COMPLETED)
    started_at = time.monotonic()
    if not client.done():
        logger.info("Stopping: %s messages are being answered.", delivery.num_pending)
    await delivery.stop(FINISH_SECONDS)
    await bot.close()
    signalled.cancel()
    broken.cancel()
    await client
    logger.info("Stopped after %.1f s.", time.monotonic() - started_at)
    if delivery.broken.is_set():
        logger.critical("The engine has failed for good: a fresh start is needed.")
        return EXIT_RESTART
    return 0


def _is_connected(bot: ChatBot) -> bool:
    """Whether Discord's gateway is open, and has told us of our servers at least once."""
    return bot.is_ready() and bot.ws is not None and bot.ws.open


@asynccontextmanager
async def _open_bot(settings: Settings, token: str) -> AsyncIterator[ChatBot]:
    """Everything that the bot needs, opened in order and closed in reverse."""
    with only_instance(token):
        if must_be_fetched(settings):
            await check_token(token)  # a wrong token is told before a large model is fetched
        async with open_foundation(settings) as foundation, forgetting(foundation):
            yield ChatBot(compose(foundation, origin="discord"))


def compose(foundation: Foundation, origin: str) -> Services:
    """Put the services of a Discord bot together; opens nothing."""
    settings, database = foundation.settings, foundation.database
    history = SqlHistory(database, origin=origin)
    sampling = SqlSampling(database)
    inbox = SqlInbox(database)
    admission = Admission(
        AdmissionLimits(
            max_queue=settings.max_queue,
            max_pending=settings.max_pending_per_user,
            cooldown_seconds=settings.cooldown_seconds,
        )
    )
    conversation = build_conversation(foundation, history, sampling)
    return Services(
        conversation=conversation,
        delivery=Delivery(
            conversation=conversation,
            erasures=foundation.erasures,
            inbox=inbox,
            history=history,
            admission=admission,
            outbox=Outbox(inbox),
        ),
        erasures=foundation.erasures,
        admission=admission,
        history=history,
        sampling=sampling,
        servers=SqlServers(database),
        privacy=SqlPrivacy(database, mark_age=timedelta(minutes=settings.catch_up_minutes)),
        engine=foundation.engine,
        completer=build_text_completer(foundation),
        settings=settings,
        license_id=foundation.license_id,
    )
