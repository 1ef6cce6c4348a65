"""Gateway sessions: the events of each, numbered, kept for a resume."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.discord_server.intents import Intent
from tests.discord_server.state import Json
from tests.discord_server.wire import Connection


@dataclass(slots=True, eq=False)
class GatewaySession:
    """What outlives a connection: intents, the number of the last event, and the events."""

    intents: Intent
    shard_id: int
    num_shards: int
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    connection: Connection | None = None
    num_resumes: int = 0
    ended: bool = False
    _events: list[str] = field(default_factory=list)

    @property
    def sequence(self) -> int:
        """The number of the last event."""
        return len(self._events)

    @property
    def connected(self) -> bool:
        """Whether somebody listens now."""
        return self.connection is not None and not self.connection.closing

    def wants(self, needs: Intent, guild_id: int | None) -> bool:
        """Whether an event belongs here: by intents, and by shard (direct messages: shard 0)."""
        if self.ended or needs not in self.intents:
            return False
        shard_id = 0 if guild_id is None else (guild_id >> 22) % self.num_shards
        return shard_id == self.shard_id

    def dispatch(self, event: str, payload: Json) -> None:
        """Number an event, keep it, and send it if somebody listens."""
        number = len(self._events) + 1
        text = json.dumps({"op": 0, "t": event, "s": number, "d": payload})
        self._events.append(text)
        if self.connection is not None:
            self.connection.send_text(text)

    def replay(self, connection: Connection, seen: int) -> None:
        """Attach a new connection and send what came after event number `seen`."""
        self.connection = connection
        for text in self._events[seen:]:
            connection.send_text(text)

    def detach(self, connection: Connection) -> None:
        """The connection is gone; the session waits for a resume."""
        if self.connection is connection:
            self.connection = None


class Hub:
    """All sessions, and the one door through which events leave."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.sessions: list[GatewaySession] = []

    def dispatch(
        self,
        event: str,
        payload: Json | Callable[[Intent], Json],
        *,
        needs: Intent = Intent.NONE,
        guild_id: int | None = None,
    ) -> None:
        """Give an event to every session that may have it; a function sees the intents."""
        for one in self.sessions:
            if one.wants(needs, guild_id):
                shown = payload(one.intents) if callable(payload) else payload
                one.dispatch(event, shown)
        self._changed()

    def find(self, session_id: str) -> GatewaySession | None:
        """A session that can be resumed."""
        for one in self.sessions:
            if one.id == session_id and not one.ended:
                return one
        return None
