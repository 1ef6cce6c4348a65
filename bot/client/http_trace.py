"""Looks at every answer of Discord: discord.py takes one trace, and several want to look."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import aiohttp

Look = Callable[[aiohttp.ClientResponse, float], None]


def tracing(*looks: Look) -> aiohttp.TraceConfig:
    """A client's `http_trace`: each of `looks` gets every answer, and the seconds it took."""

    async def begin(
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        _request: aiohttp.TraceRequestStartParams,
    ) -> None:
        context.began_at = time.monotonic()

    async def end(
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        request: aiohttp.TraceRequestEndParams,
    ) -> None:
        for look in looks:
            look(request.response, time.monotonic() - context.began_at)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(begin)
    trace.on_request_end.append(end)
    return trace
