"""Lets the bot live through an event that discord.py cannot read: by itself that ends it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import discord

logger = logging.getLogger(__name__)

TELL_SECONDS = 600.0  # between two lines about events of one name
# What a connection begins with: without it the bot would be connected and hear nothing.
_NEEDED = frozenset({"READY", "RESUMED"})
_CHANGING = ("GUILD_", "CHANNEL_", "THREAD_")  # how events begin that change what is known
_IDS = {"guild_id": "server", "channel_id": "channel", "id": "id"}

Parse = Callable[[Any], None]


class EventGuard:
    """Stands before discord.py's reading of events; `num_unread` counts those that failed.

    The server and the channel that such an event is about stay as they were: half a server, say
    one without its roles, would be a silent one. `clock` gives seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.num_unread = 0
        self._clock = clock
        self._told_at: dict[str, float] = {}

    def protect(self, client: discord.Client) -> None:
        """Guard every event of `client` but those that a connection begins with."""
        parsers = client._connection.parsers  # noqa: SLF001 - there is no public place
        for name, parse in parsers.items():
            if name not in _NEEDED:
                parsers[name] = self.guarded(name, parse, client)

    def guarded(self, name: str, parse: Parse, client: discord.Client) -> Parse:
        """`parse`, whose errors are counted, told of, and leave what `client` knows as it was."""

        def attempt(payload: Any) -> None:
            known = _snapshots(client, payload) if name.startswith(_CHANGING) else []
            try:
                parse(payload)
            except Exception as error:
                self._note(name, payload, error)
                for thing, state in known:
                    _restore(thing, state)

        return attempt

    def can_read(self, interaction: discord.Interaction[Any]) -> bool:
        """Whether discord.py finds out who used which command; it looks only while it runs it."""
        try:
            _ = (interaction.user.id, interaction.command, interaction.namespace)
        except Exception as error:
            self._note("INTERACTION_CREATE", {"id": interaction.id}, error)
            return False
        return True

    def _note(self, name: str, payload: object, error: Exception) -> None:
        self.num_unread += 1
        now = self._clock()
        if now - self._told_at.get(name, -TELL_SECONDS) < TELL_SECONDS:
            return
        self._told_at[name] = now
        logger.warning(
            "An event of Discord could not be read: %s (%s; %s). The bot goes on without it.",
            name,
            _reason(error),
            _ids_in(payload),
        )


def _snapshots(client: discord.Client, payload: object) -> list[tuple[object, Any]]:
    """The server and the channel of an event, as `client` knows them before it."""
    found = payload if isinstance(payload, dict) else {}
    ids = [int(found[key]) for key in ("guild_id", "id") if _is_id(found.get(key))]
    things = [*map(client.get_guild, ids), *map(client.get_channel, ids)]
    return [(thing, thing.__getstate__()) for thing in things if thing is not None]


def _restore(thing: object, state: Any) -> None:
    """Put back what `__getstate__` returned: attributes by name, beside those in slots."""
    for attributes in state if isinstance(state, tuple) else (state,):
        for name, value in (attributes or {}).items():
            setattr(thing, name, value)


def _reason(error: Exception) -> str:
    """Which error, and where: what it says may be a person's words."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {Path(trace.tb_frame.f_code.co_filename).name}"
    line = "" if trace is None else f", line {trace.tb_lineno}"
    return f"{type(error).__name__}{where}{line}"


def _ids_in(payload: object) -> str:
    """The ids that say what the event was about, and nothing else of it."""
    found = payload if isinstance(payload, dict) else {}
    ids = [f"{word} {found[key]}" for key, word in _IDS.items() if _is_id(found.get(key))]
    return ", ".join(ids) or "it names no id"


def _is_id(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdecimal())
