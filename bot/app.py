"""The composition root: opens store, engine and conversation, and closes them in reverse.

The only file that chooses which class fills which place.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from bot.admission import Admission, AdmissionLimits
from bot.client import ChatBot, Services, run_client
from bot.conversation import Conversation
from bot.delivery import Delivery
from bot.engine.checkpoint import is_hub_id, resolve_model
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.request import Engine
from bot.errors import EXIT_RESTART, ModelError, WrongSettingsError
from bot.instance import only_instance
from bot.outbox import Outbox
from bot.ports import TokenizerThread
from bot.settings import Settings
from bot.speaker import ContextLimits, Speaker
from bot.store.connect import address_of
from bot.store.database import Database, open_database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.retention import Retention
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers

T = TypeVar("T")
logger = logging.getLogger(__name__)

DATA_FOLDER = Path("data")
MODELS_FOLDER = DATA_FOLDER / "models"
FINISH_SECONDS = 8.0  # a supervisor sends SIGKILL after 10 or more
SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(settings: Settings) -> int:
    """Run the bot on Discord until a signal comes; returns the exit code.

    Raises StartError when something that the bot needs is wrong or missing.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        bot = await _unless(stop, stack.enter_async_context(_open_bot(settings)))
        return 0 if bot is None else await _run(bot, settings, stop)


async def _unless(stop: asyncio.Event, opening: Awaitable[T]) -> T | None:
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


async def _run(bot: ChatBot, settings: Settings, stop: asyncio.Event) -> int:
    """Stay on Discord until the signal, a lost connection for good, or a broken engine."""
    if settings.discord_token is None:
        raise WrongSettingsError("DISCORD_TOKEN is not set: put your bot's token into .env.")
    delivery = bot.services.delivery
    client = asyncio.create_task(run_client(bot, settings.discord_token.get_secret_value()))
    signalled = asyncio.create_task(stop.wait())
    broken = asyncio.create_task(delivery.broken.wait())
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
        logger.critical("The device has failed for good: a fresh start is needed.")
        return EXIT_RESTART
    return 0


@asynccontextmanager
async def _open_bot(settings: Settings) -> AsyncIterator[ChatBot]:
    """Everything that the bot needs, opened in order and closed in reverse."""
    token = settings.discord_token.get_secret_value() if settings.discord_token else ""
    async with AsyncExitStack() as stack:
        stack.enter_context(only_instance(token))
        database = await open_store(settings)
        stack.push_async_callback(database.close)
        folder = await _find_model(settings)
        # One after the other: both import transformers.
        engine = await _open_engine(settings, folder)
        stack.push_async_callback(engine.close)
        tokenizer = await open_tokenizer(folder)
        stack.push_async_callback(tokenizer.close)
        sweeping = asyncio.create_task(
            Retention(database, retention_days=settings.retention_days).run()
        )
        stack.push_async_callback(_end, sweeping)
        yield ChatBot(compose(settings, database, engine, tokenizer))


async def open_store(settings: Settings) -> Database:
    """The database of `settings`; its key file lies beside it, or in the data folder."""
    key = settings.history_key
    return await open_database(
        settings.database_url,
        history_key=None if key is None else key.get_secret_value(),
        key_path=_key_path(settings.database_url),
    )


def _key_path(database_url: str) -> Path:
    path = address_of(database_url).path
    return DATA_FOLDER / "history.key" if path is None else path.with_name(f"{path.name}.key")


def compose(
    settings: Settings,
    database: Database,
    engine: Engine,
    tokenizer: TokenizerThread,
    origin: str = "discord",
) -> Services:
    """Put the services together; opens nothing."""
    history = SqlHistory(database, origin=origin)
    inbox = SqlInbox(database)
    sampling = SqlSampling(database)
    admission = Admission(_admission_limits(settings))
    speaker = Speaker(
        engine=engine,
        tokenizer=tokenizer,
        limits=ContextLimits(settings.context_tokens, settings.context_turns),
        deadline_seconds=settings.reply_seconds,
    )
    conversation = _conversation(settings, speaker, history, sampling)
    return Services(
        conversation=conversation,
        delivery=Delivery(
            conversation=conversation,
            inbox=inbox,
            history=history,
            admission=admission,
            outbox=Outbox(inbox),
        ),
        admission=admission,
        history=history,
        sampling=sampling,
        servers=SqlServers(database),
        privacy=SqlPrivacy(database),
        engine=engine,
        settings=settings,
    )


def _conversation(
    settings: Settings, speaker: Speaker, history: SqlHistory, sampling: SqlSampling
) -> Conversation:
    return Conversation(
        speaker=speaker,
        history=history,
        sampling=sampling,
        defaults=settings.sampling,
        num_turns=settings.context_turns,
        idle=timedelta(minutes=settings.idle_minutes) if settings.idle_minutes else None,
    )


def _admission_limits(settings: Settings) -> AdmissionLimits:
    return AdmissionLimits(
        max_queue=settings.max_queue,
        max_pending=settings.max_pending_per_user,
        cooldown_seconds=settings.cooldown_seconds,
    )


async def _open_engine(settings: Settings, folder: Path) -> Engine:
    return await open_engine(
        folder,
        model=settings.model,
        device=settings.device,
        dtype=settings.dtype,
        num_threads=settings.num_threads,
    )


async def _find_model(settings: Settings) -> Path:
    """The folder of MODEL; a model from a hub that is not here yet is fetched first."""
    try:
        return resolve_model(settings.model, settings.model_revision, MODELS_FOLDER)
    except ModelError:
        if not is_hub_id(settings.model):
            raise
    await _fetch(settings)
    return resolve_model(settings.model, settings.model_revision, MODELS_FOLDER)


async def _fetch(settings: Settings) -> None:
    """Fetch MODEL in a child, which shows its progress bar and ends with the sentence if any."""
    logger.info("The model %s is not here yet: fetching it.", settings.model)
    revision = ("--revision", settings.model_revision) if settings.model_revision else ()
    arguments = ("-m", "bot", "fetch", settings.model, *revision)
    child = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        exit_code = await child.wait()
    except asyncio.CancelledError:
        child.terminate()
        await child.wait()
        raise
    if exit_code != 0:
        raise ModelError(
            "The model {model} could not be fetched: see the sentence above, or set MODEL to "
            "another one.",
            model=settings.model,
        )


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancel a task that runs for ever; an error that ended it before is logged."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    except Exception:
        logger.exception("%s had ended with an error.", task.get_name())
