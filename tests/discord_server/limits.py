"""Rate limits: buckets with Discord's headers, and 429 for whoever does not obey them."""

import hashlib
import math
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.discord_server.exchange import Answer, Call
from tests.discord_server.faults import TooMany


@dataclass(frozen=True, slots=True)
class Bucket:
    """At most `limit` requests in `per_seconds` for each path of a route."""

    method: str
    route: str
    limit: int
    per_seconds: float


@dataclass(slots=True)
class _Window:
    resets_at: float
    used: int = 0


# Discord counts neither answers to interactions nor webhooks towards a bot's global limit.
_OUTSIDE_OF_THE_GLOBAL_LIMIT = ("/interactions/", "/webhooks/")
_ROOMY = Bucket("*", "*", 1000, 1.0)
_GLOBAL = "global"


class Limits:
    """Counts requests in windows of real time; roomy where a test has set nothing.

    `per_second`: the global limit, over all routes together.
    """

    def __init__(self) -> None:
        self.per_second: int | None = None
        self._buckets: list[Bucket] = []
        self._windows: dict[tuple[Bucket | str, str], _Window] = {}

    def set(self, method: str, route: str, *, limit: int, per_seconds: float) -> None:
        """Enforce a bucket; `route` is a pattern like `/channels/*/messages`."""
        self._buckets.insert(0, Bucket(method, route, limit, per_seconds))

    def admit(self, call: Call) -> tuple[dict[str, str], TooMany | None]:
        """The headers for this request's answer, and the refusal if it came too early."""
        now = time.monotonic()
        if self.per_second is not None and not call.path.startswith(_OUTSIDE_OF_THE_GLOBAL_LIMIT):
            window = self._window((_GLOBAL, ""), 1.0, now)
            if window.used > self.per_second:
                return {}, TooMany(window.resets_at - now, scope="global")
        bucket = self._bucket(call)
        window = self._window((bucket, f"{call.method} {call.path}"), bucket.per_seconds, now)
        left = bucket.limit - window.used
        headers = _headers(bucket, call, remaining=max(left, 0), after=window.resets_at - now)
        return headers, TooMany(window.resets_at - now) if left < 0 else None

    def _bucket(self, call: Call) -> Bucket:
        for bucket in self._buckets:
            if bucket.method == call.method and fnmatchcase(call.path, bucket.route):
                return bucket
        return _ROOMY

    def _window(self, key: tuple[Bucket | str, str], seconds: float, now: float) -> _Window:
        window = self._windows.get(key)
        if window is None or window.resets_at <= now:
            window = self._windows[key] = _Window(now + seconds)
        window.used += 1
        return window


def _headers(bucket: Bucket, call: Call, *, remaining: int, after: float) -> dict[str, str]:
    name = hashlib.sha256(f"{call.method} {call.route}".encode()).hexdigest()[:32]
    return {
        "X-RateLimit-Limit": str(bucket.limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": f"{time.time() + after:.3f}",
        "X-RateLimit-Reset-After": f"{after:.3f}",
        "X-RateLimit-Bucket": name,
    }


def too_many(refusal: TooMany) -> tuple[Answer, dict[str, str]]:
    """The body and headers of a 429."""
    is_global = refusal.scope == "global"
    body = {
        "message": refusal.text,
        "retry_after": refusal.retry_after,
        "global": is_global,
        "code": refusal.code,
    }
    headers = {
        "Retry-After": str(math.ceil(refusal.retry_after)),
        "X-RateLimit-Scope": refusal.scope,
    }
    if is_global:
        headers["X-RateLimit-Global"] = "true"
    return Answer(body, 429), headers
