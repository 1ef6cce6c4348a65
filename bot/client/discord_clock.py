"""The time as Discord has it: what is compared with a moment of Discord's goes by this clock."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from bot.delivery.clocks import Clock, steady_seconds, utc_now

logger = logging.getLogger(__name__)

# What a header tells is cut to the second.
_SECOND = timedelta(seconds=1)
_NONE = timedelta(0)
TOLERANCE = timedelta(seconds=30)  # so far the machine's own clock may be off without a word


class DiscordClock:
    """A moment of Discord's, and the seconds that have passed since by the machine.

    Before Discord first answers it is the machine's own clock, `host`. `seconds` never go back.
    """

    def __init__(
        self, host: Clock = utc_now, seconds: Callable[[], float] = steady_seconds
    ) -> None:
        self._host = host
        self._seconds = seconds
        self._anchor: tuple[datetime, float] | None = None
        self._told = _NONE  # the difference that the log was last told of
        self.known = asyncio.Event()  # set when Discord has told its time

    def now(self) -> datetime:
        """The time, in UTC."""
        if self._anchor is None:
            return self._host()
        moment, seconds = self._anchor
        return moment + timedelta(seconds=self._seconds() - seconds)

    @property
    def difference(self) -> timedelta:
        """How far the machine's own clock is ahead of Discord's; behind it is below zero."""
        return self._host() - self.now()

    def heard(self, moment: datetime) -> None:
        """Something was just made at `moment` by Discord: it cannot be earlier than that."""
        if moment > self.now():
            self._set(moment)

    def look(self, response: aiohttp.ClientResponse, took_seconds: float) -> None:
        """Read the time of an answer; see bot.client.http_trace."""
        self.told(response.headers.get("Date", ""), took_seconds)

    def told(self, date: str, took_seconds: float) -> None:
        """Discord wrote `date`, a header, within the last seconds."""
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return
        told = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        latest = told + _SECOND + timedelta(seconds=took_seconds)
        now = self.now()
        # Nearer than a second the header tells nothing that the clock does not know.
        is_right = told - _SECOND <= now <= latest + _SECOND
        if not is_right:
            self._set(told + _SECOND / 2)
        elif self._anchor is None:
            self._set(now)
        self._warn()

    def _set(self, moment: datetime) -> None:
        self._anchor = moment, self._seconds()
        self.known.set()

    def _warn(self) -> None:
        """Tell of a machine's clock that is off: once, and again when it is off otherwise."""
        difference = self.difference
        is_off = abs(difference) > TOLERANCE
        if abs(difference - self._told) <= TOLERANCE and is_off == (self._told != _NONE):
            return
        self._told = difference if is_off else _NONE
        if not is_off:
            logger.info("The clock of this machine is that of Discord again.")
            return
        logger.warning(
            "The clock of this machine is %.0f s %s Discord's. The bot goes by Discord's; please "
            "let the machine set its clock by the network (NTP).",
            abs(difference.total_seconds()),
            "ahead of" if difference > _NONE else "behind",
        )
