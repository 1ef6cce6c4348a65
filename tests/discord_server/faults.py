"""Faults on demand: what a test lets go wrong with the next requests of a route."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from tests.discord_server.errors import Refusal
from tests.discord_server.exchange import Call


class When(Enum):
    """Before the request has its effect, or after it."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with a refusal; AFTER: although the effect took place."""

    refusal: Refusal
    when: When = When.BEFORE


@dataclass(frozen=True, slots=True)
class TooMany:
    """429 with Discord's headers; without `via` it looks like a ban by the proxy in front."""

    retry_after: float = 0.05
    scope: str = "user"
    via: bool = True
    code: int = 0
    text: str = "You are being rate limited."


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the TCP connection; `reset` says whether by RST or by an early FIN."""

    when: When = When.AFTER
    reset: bool = True


@dataclass(frozen=True, slots=True)
class Hold:
    """Hang until the test releases it, then go on as usual."""

    when: When = When.BEFORE


Kind = Fail | TooMany | Cut | Hold


@dataclass(slots=True, eq=False)
class Fault:
    """A fault that waits for its requests; `hits` counts those it met."""

    method: str
    route: str
    kind: Kind
    times: int
    hits: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, call: Call) -> bool:
        """Whether this request is meant, and some of the faults are left."""
        if self.hits >= self.times or self.method not in {call.method, "*"}:
            return False
        return fnmatchcase(call.path, self.route)

    def release(self) -> None:
        """Let held requests go on, and later ones pass."""
        self._released.set()

    async def hold(self) -> None:
        """Wait for the release."""
        await self._released.wait()


class Faults:
    """The faults of one server, oldest first."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._faults: list[Fault] = []
        self.weather: Callable[[Call], Kind | None] | None = None  # decides for each request

    def add(self, method: str, route: str, kind: Kind | Refusal, times: int = 1) -> Fault:
        """Let `times` requests to `route` (a path without /api/v10; `*` matches anything) fail."""
        if isinstance(kind, Refusal):
            kind = Fail(kind)
        fault = Fault(method, route, kind, times)
        self._faults.append(fault)
        return fault

    def take(self, call: Call) -> Fault | None:
        """The fault for this request, counted."""
        for fault in self._faults:
            if fault.matches(call):
                fault.hits += 1
                self._changed()
                return fault
        kind = None if self.weather is None else self.weather(call)
        return None if kind is None else Fault(call.method, call.path, kind, times=1, hits=1)

    def clear(self) -> None:
        """Release everything held and forget all faults, and the weather."""
        for fault in self._faults:
            fault.release()
        self._faults.clear()
        self.weather = None
