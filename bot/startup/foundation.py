"""What the bot stands on, wherever it talks: the database, the model and the conversation.

Opened in order and closed in reverse. Discord, the playground and the terminal build on it.
"""

import asyncio
import logging
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from bot.answering.completion import Wish, Writer, Writing, check_length
from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.answering.ports import HistoryStore, SamplingStore
from bot.answering.reply_maker import Speaker
from bot.dialogue.blocked import load_blocked_words
from bot.dialogue.context import ContextBudget
from bot.engine.checkpoints.checkpoint import is_hub_id, license_of, resolve_model
from bot.engine.checks import EngineLimits
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import Engine, TokenizerThread
from bot.errors import ModelError
from bot.settings.settings import DATA_FOLDER, EMBEDDED_MODEL, MODELS_FOLDER, Settings
from bot.startup.cores import divided_cores
from bot.startup.reverse_model import (
    check_same_vocabulary,
    find_reverse_model,
    naming_reverse_model,
)
from bot.store.database.connect import address_of
from bot.store.database.database import Database
from bot.store.upkeep.opening import open_database
from bot.store.upkeep.retention import Retention

T = TypeVar("T")
logger = logging.getLogger(__name__)

FETCH_STOP_SECONDS = 5.0  # a fetch that was told to stop has to remove what it began


@dataclass(frozen=True, slots=True)
class Foundation:
    """What was opened; `open_foundation` closes it. `reverse`: see REVERSE_MODEL.

    `license_id`: of the model, as its card names it (`mit`); empty where it names none.
    """

    settings: Settings
    database: Database
    engine: Engine
    tokenizer: TokenizerThread
    erasures: Erasures
    reverse: Engine | None = None
    license_id: str = ""


@asynccontextmanager
async def open_foundation(settings: Settings) -> AsyncIterator[Foundation]:
    """Open the database and the model, and forget what is old while they are open.

    Raises StartError when something is wrong or missing.
    """
    _blocked_words(settings)  # told before anything is made, like a model that is not there
    if not _can_be_fetched(settings.model):
        _resolve(settings)
    reverse_folder = find_reverse_model(settings)
    async with AsyncExitStack() as stack:
        database = await open_store(settings)
        stack.push_async_callback(database.close)
        logger.info("The database is %s.", address_of(settings.database_url))
        folder = await _find_model(settings)
        cores = stack.enter_context(divided_cores(_least_threads(settings)))
        engine, tokenizer = await _open_model(settings, folder, cores, stack)
        reverse = await _open_reverse(settings, reverse_folder, tokenizer, cores)
        if reverse is not None:
            stack.push_async_callback(reverse.close)
        sweeping = asyncio.create_task(
            Retention(database, retention_days=settings.retention_days).run()
        )
        stack.push_async_callback(_end, sweeping)
        license_id = await asyncio.to_thread(license_of, folder)
        yield Foundation(
            settings, database, engine, tokenizer, Erasures(engine), reverse, license_id
        )


def build_conversation(
    foundation: Foundation, history: HistoryStore, sampling: SamplingStore
) -> Conversation:
    """The conversation that is remembered in `history`; opens nothing."""
    settings = foundation.settings
    speaker = Speaker(
        engine=foundation.engine,
        tokenizer=foundation.tokenizer,
        limits=ContextBudget(settings.context_tokens, settings.num_context_turns),
        deadline_seconds=settings.reply_seconds,
        is_blocked=_blocked_words(settings),
        reverse=foundation.reverse,
    )
    return Conversation(
        speaker=speaker,
        erasures=foundation.erasures,
        history=history,
        sampling=sampling,
        defaults=settings.sampling,
        num_turns=settings.num_context_turns,
        idle=timedelta(minutes=settings.idle_minutes) if settings.idle_minutes else None,
    )


def build_writer(foundation: Foundation) -> Writer:
    """What goes on with texts, on the same engine; opens nothing."""
    settings = foundation.settings
    return Writer(
        engine=foundation.engine,
        tokenizer=foundation.tokenizer,
        deadline_seconds=settings.reply_seconds,
        is_blocked=_blocked_words(settings),
    )


async def go_on(settings: Settings, wish: Wish) -> Writing:
    """Go on with one text, on a model that is opened for it alone; every word may be said.

    Raises StartError when something that the model needs is wrong or missing, WrongSettingsError
    for a length that the window has no room for, and what Writer.write raises.
    """
    async with AsyncExitStack() as stack:
        engine, tokenizer = await _open_model(settings, _resolve(settings), None, stack)
        num_tokens = len(await tokenizer.run(lambda one: one.encode(wish.text)))
        check_length(wish.length, num_tokens, engine.info.window)
        writer = Writer(engine=engine, tokenizer=tokenizer, deadline_seconds=math.inf)
        return await writer.write(wish)


async def open_store(settings: Settings) -> Database:
    """The database of `settings`; its key file lies beside it, or in the data folder."""
    key = settings.history_key
    return await open_database(
        settings.database_url,
        history_key=None if key is None else key.get_secret_value(),
        key_path=key_path_for(settings.database_url),
    )


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


def key_path_for(database_url: str) -> Path:
    """Where the key file of a database lies; raises DatabaseError for no address."""
    path = address_of(database_url).path
    return DATA_FOLDER / "history.key" if path is None else path.with_name(f"{path.name}.key")


async def _open_model(
    settings: Settings, folder: Path, cores: frozenset[int] | None, stack: AsyncExitStack
) -> tuple[Engine, TokenizerThread]:
    """MODEL, which lies in `folder`, and its tokenizer; `stack` closes them."""
    # One after the other: both import transformers.
    engine = await _open_engine(settings, folder, settings.model, cores)
    stack.push_async_callback(engine.close)
    tokenizer = await open_tokenizer(folder)
    stack.push_async_callback(tokenizer.close)
    return engine, tokenizer


async def _open_engine(
    settings: Settings, folder: Path, model: str, cores: frozenset[int] | None
) -> Engine:
    return await open_engine(
        folder,
        model=model,
        device=settings.device,
        dtype=settings.dtype,
        num_threads=settings.num_threads,
        cores=cores,
        limits=EngineLimits(cache_bytes=settings.kv_cache_mb * 2**20),
    )


async def _open_reverse(
    settings: Settings,
    folder: Path | None,
    tokenizer: TokenizerThread,
    cores: frozenset[int] | None,
) -> Engine | None:
    """The model of REVERSE_MODEL in a thread of its own, or None where it is not set."""
    if folder is None or settings.reverse_model is None:
        return None
    await check_same_vocabulary(folder, settings.reverse_model, tokenizer)
    with naming_reverse_model():
        return await _open_engine(settings, folder, settings.reverse_model, cores)


def _least_threads(settings: Settings) -> int:
    """Of all models together; one without NUM_THREADS takes as many as there are cores for it."""
    num_models = 1 if settings.reverse_model is None else 2
    return num_models * (settings.num_threads or 1)


def _blocked_words(settings: Settings) -> Callable[[str], bool] | None:
    """What finds the words that BLOCKED_WORDS blocks; None where it is off."""
    if settings.blocked_words is False:
        return None
    path = settings.blocked_words if isinstance(settings.blocked_words, Path) else None
    return load_blocked_words(path).is_blocked


def _resolve(settings: Settings) -> Path:
    return resolve_model(settings.model, settings.model_revision, MODELS_FOLDER)


def _can_be_fetched(model: str) -> bool:
    return is_hub_id(model) and model != EMBEDDED_MODEL


def must_be_fetched(settings: Settings) -> bool:
    """Whether MODEL is a hub's and not on this machine yet."""
    if not _can_be_fetched(settings.model):
        return False
    try:
        _resolve(settings)
    except ModelError:
        return True
    return False


async def _find_model(settings: Settings) -> Path:
    """The folder of MODEL; a model from a hub that is not here yet is fetched first."""
    if must_be_fetched(settings):
        await _fetch(settings)
    return _resolve(settings)


async def _fetch(settings: Settings) -> None:
    """Fetch MODEL in a child, which shows its progress bar and ends with the sentence if any."""
    logger.info("The model %s is not here yet: fetching it.", settings.model)
    revision = ("--revision", settings.model_revision) if settings.model_revision else ()
    arguments = ("-m", "bot", "fetch", settings.model, *revision)
    child = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        exit_code = await child.wait()
    except asyncio.CancelledError:
        await _stop(child)
        raise
    if exit_code != 0:
        raise ModelError(
            "The model {model} could not be fetched: see the sentence above, or set MODEL to "
            "another one.",
            model=settings.model,
        )


async def _stop(child: asyncio.subprocess.Process) -> None:
    """End `child`, which may be over already, and wait for it; kill it where it takes too long."""
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(FETCH_STOP_SECONDS):
            await child.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancel a task that runs for ever; an error that ended it before is logged."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    except Exception:
        logger.exception("%s had ended with an error.", task.get_name())
