"""A sign of life: a file that is touched while the bot is on Discord, for `python -m bot health`.

Supervisors ask for it every half minute: nothing slower than the standard library is imported.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)

# As bot.settings.settings.DATA_FOLDER, which takes three times as long to import.
FOLDER = Path("data")
NAME = "alive"
BEAT_SECONDS = 20.0
LOOK_SECONDS = 1.0  # how soon we look again whether the bot is well
PATIENCE_SECONDS = 60.0  # two beats may be missed: a reconnect, a busy disk

Pause = Callable[[float], Awaitable[None]]


def is_alive(folder: Path, now: float) -> bool:
    """Whether the bot with the data folder `folder` was on Discord within the last minute.

    `now` is the time of day in seconds, as time.time() gives it. A sign that seems to come from
    the future counts only when it is near: then the clock was put back.
    """
    try:
        touched_at = (folder / NAME).stat().st_mtime
    except OSError:  # there is none, or we may not see it
        return False
    return abs(now - touched_at) < PATIENCE_SECONDS


@asynccontextmanager
async def heartbeat(
    folder: Path, is_well: Callable[[], bool], *, pause: Pause = asyncio.sleep
) -> AsyncIterator[None]:
    """Touch the sign of life while the block runs and `is_well`; it goes with the block.

    A folder that cannot be written is logged and never ends the block.
    """
    beating = asyncio.create_task(_beat(folder / NAME, is_well, pause), name="heartbeat")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})
        await take_sign_away(folder)


async def take_sign_away(folder: Path) -> None:
    """Let the bot seem away at once."""
    with suppress(OSError):
        await asyncio.to_thread((folder / NAME).unlink, missing_ok=True)


async def _beat(sign: Path, is_well: Callable[[], bool], pause: Pause) -> None:
    is_told = False  # of a sign that cannot be written: once, until it can be again
    while True:
        if not is_well():
            await pause(LOOK_SECONDS)
            continue
        try:
            await asyncio.to_thread(_touch, sign)  # a disk that hangs must not stop the loop
        except OSError as error:
            if not is_told:
                reason = error.strerror
                logger.warning("%s cannot be written (%s): the bot will seem away.", sign, reason)
            is_told = True
        else:
            is_told = False
        await pause(BEAT_SECONDS)


def _touch(sign: Path) -> None:
    sign.parent.mkdir(parents=True, exist_ok=True)
    sign.touch()
