"""What the bot stands on, wherever it talks: the database and the models.

Opened in order and closed in reverse. Discord, the playground and the terminal build on it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.answering.erasures import Erasures
from bot.delivery.clocks import Clock, utc_now
from bot.dialogue.blocked import load_blocked_words
from bot.dialogue.profiles import DIALOGPT, Profile
from bot.engine.checkpoints.checkpoint import license_of
from bot.engine.checks import EngineLimits
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import Engine, TokenizerThread
from bot.paths import OpenedFile
from bot.settings.settings import DATA_FOLDER, Settings
from bot.startup.cores import divided_cores
from bot.startup.model_folder import fetch_model, model_folder, must_be_fetched
from bot.startup.model_profile import profile_of
from bot.startup.reverse_model import (
    check_same_vocabulary,
    find_reverse_model,
    naming_reverse_model,
)
from bot.store.database.connect import address_of
from bot.store.database.database import Database
from bot.store.upkeep.opening import open_database
from bot.store.upkeep.retention import Retention

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Foundation:
    """What was opened; `open_foundation` closes it. `reverse`: see REVERSE_MODEL.

    `is_blocked` finds the words that BLOCKED_WORDS blocks; None: it is off.
    `license_id`: of the model, as its card names it (`mit`); empty where it names none.
    `database_file`: as it was opened; None for PostgreSQL.
    `profile`: what is assumed of a model of its kind where the owner has set nothing.
    """

    settings: Settings
    database: Database
    engine: Engine
    tokenizer: TokenizerThread
    erasures: Erasures
    is_blocked: Callable[[str], bool] | None = None
    reverse: Engine | None = None
    license_id: str = ""
    database_file: OpenedFile | None = None
    profile: Profile = DIALOGPT


@asynccontextmanager
async def open_foundation(settings: Settings) -> AsyncIterator[Foundation]:
    """Open the database and the model.

    Raises StartError when something is wrong or missing.
    """
    # What is wrong with these three is told before anything is made.
    is_blocked = _blocked_words(settings)
    is_absent = must_be_fetched(settings)
    reverse_folder = find_reverse_model(settings)
    async with AsyncExitStack() as stack:
        database = await open_store(settings)
        stack.push_async_callback(database.close)
        path = database.address.path
        database_file = None if path is None else OpenedFile.of(path, path.stat())
        logger.info("The database is %s.", address_of(settings.database_url))
        if is_absent:
            await fetch_model(settings)
        folder = model_folder(settings)
        cores = stack.enter_context(divided_cores(_least_threads(settings)))
        engine, tokenizer = await open_model(settings, folder, cores, stack)
        reverse = await _open_reverse(settings, reverse_folder, tokenizer, cores)
        if reverse is not None:
            stack.push_async_callback(reverse.close)
        license_id = await asyncio.to_thread(license_of, folder)
        profile = await asyncio.to_thread(profile_of, settings.model, folder)
        _tell(settings, profile)
        yield Foundation(
            settings=settings,
            database=database,
            engine=engine,
            tokenizer=tokenizer,
            erasures=Erasures(engine),
            is_blocked=is_blocked,
            reverse=reverse,
            license_id=license_id,
            database_file=database_file,
            profile=profile,
        )


def _tell(settings: Settings, profile: Profile) -> None:
    values, budget = settings.defaults(profile).params.values(), settings.budget(profile)
    logger.info(
        "The defaults are those of the profile %s, under what .env says: %s; contexts of %d turns "
        "and %d tokens.",
        profile.name,
        ", ".join(f"{name} {value:g}" for name, value in values.items()),
        budget.num_turns,
        budget.num_tokens,
    )


async def open_store(settings: Settings) -> Database:
    """The database of `settings`; its key file lies beside it, or in the data folder."""
    key = settings.history_key
    return await open_database(
        settings.database_url,
        history_key=None if key is None else key.get_secret_value(),
        key_path=key_path_for(settings.database_url),
    )


def key_path_for(database_url: str) -> Path:
    """Where the key file of a database lies; raises DatabaseError for no address."""
    return _beside(database_url, "key")


def facts_path_for(database_url: str) -> Path:
    """Where facts are noted that a database could not take; raises DatabaseError for no address."""
    return _beside(database_url, "facts")


def _beside(database_url: str, ending: str) -> Path:
    path = address_of(database_url).path
    if path is None:
        return DATA_FOLDER / f"history.{ending}"
    return path.with_name(f"{path.name}.{ending}")


async def open_model(
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


def _blocked_words(settings: Settings) -> Callable[[str], bool] | None:
    """What finds the words that BLOCKED_WORDS blocks; None where it is off."""
    if settings.blocked_words is False:
        return None
    path = settings.blocked_words if isinstance(settings.blocked_words, Path) else None
    return load_blocked_words(path).is_blocked


def _least_threads(settings: Settings) -> int:
    """Of all models together; one without NUM_THREADS takes as many as there are cores for it."""
    num_models = 1 if settings.reverse_model is None else 2
    return num_models * (settings.num_threads or 1)


def retention_of(
    foundation: Foundation, *, clock: Clock = utc_now, is_sure: bool = False
) -> Retention:
    """What deletes old turns from the database of `foundation`; the rest: see Retention."""
    return Retention(
        foundation.database,
        retention_days=foundation.settings.retention_days,
        clock=clock,
        is_sure=is_sure,
        on_deleted=foundation.erasures.note,
    )


@asynccontextmanager
async def forgetting(
    retention: Retention, *, after: asyncio.Event | None = None
) -> AsyncIterator[None]:
    """Delete what is old while the block runs, and the event loop with it without a pause.

    Nothing is deleted before `after` is set.
    """

    async def sweep() -> None:
        if after is not None:
            await after.wait()
        await retention.run()

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        await asyncio.wait({sweeping})
