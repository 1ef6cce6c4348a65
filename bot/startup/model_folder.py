"""Finds the folder of MODEL; a hub's model that is not here yet is fetched in a child process."""

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path

from bot.engine.checkpoints.checkpoint import is_hub_id, resolve_model
from bot.errors import ModelError
from bot.settings.settings import EMBEDDED_MODEL, MODELS_FOLDER, Settings

logger = logging.getLogger(__name__)

FETCH_STOP_SECONDS = 5.0  # a fetch that was told to stop has to remove what it began


def model_folder(settings: Settings) -> Path:
    """The folder of MODEL; raises ModelError where it is not on this machine."""
    return resolve_model(settings.model, settings.model_revision, MODELS_FOLDER)


def must_be_fetched(settings: Settings) -> bool:
    """Whether MODEL is a hub's and not on this machine yet.

    Raises ModelError where it is not here and no hub has it.
    """
    try:
        model_folder(settings)
    except ModelError:
        if is_hub_id(settings.model) and settings.model != EMBEDDED_MODEL:
            return True
        raise
    return False


async def fetch_model(settings: Settings) -> None:
    """Fetch MODEL in a child, which shows its progress bar and ends with the sentence if any."""
    logger.info("The model %s is not here yet: fetching it.", settings.model)
    revision = ("--revision", settings.model_revision) if settings.model_revision else ()
    arguments = ("-m", "bot", "fetch", settings.model, *revision)
    # In a session of its own: a terminal's signals come to it through us, and once.
    child = await asyncio.create_subprocess_exec(sys.executable, *arguments, start_new_session=True)
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
