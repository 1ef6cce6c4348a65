"""Watches the way out: a bot from which nothing gets out is not well, and is started again."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from bot.client.way_out import WayOut
from bot.startup.heartbeat import Pause, take_sign_away

logger = logging.getLogger(__name__)

STUCK_SECONDS = 60.0  # discord.py waits for no longer than this by itself
LOST_SECONDS = 120.0
LOOK_SECONDS = 5.0


class Watchdog:
    """Says whether the bot is well. `folder`: where its sign of life lies."""

    def __init__(
        self,
        way_out: WayOut,
        is_connected: Callable[[], bool],
        folder: Path,
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._way_out = way_out
        self._is_connected = is_connected
        self._folder = folder
        self._pause = pause

    def is_well(self) -> bool:
        """Whether the bot is on Discord, and what it says gets out."""
        return self._is_connected() and self._way_out.stuck_seconds < STUCK_SECONDS

    async def run(self) -> None:
        """Return when nothing has got out for so long that the bot has to be started again.

        Without a connection nothing can get out: that mends itself.
        """
        is_told = False
        while True:
            if not self._is_connected():
                self._way_out.note_end()
            seconds = self._way_out.stuck_seconds
            if seconds >= LOST_SECONDS:
                return
            if seconds < STUCK_SECONDS:
                is_told = False
            elif not is_told:
                is_told = True
                logger.error("Messages wait, and no request has ended for %.0f s.", seconds)
                await take_sign_away(self._folder)
            await self._pause(LOOK_SECONDS)
