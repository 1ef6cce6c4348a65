"""One gateway connection: frames out in order, compressed as the client asked."""

import asyncio
import importlib
import json
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web


class Encoder(Protocol):
    """Turns a frame's text into what the connection carries."""

    def encode(self, text: str) -> str | bytes:
        """One frame, complete."""


class _Plain:
    def encode(self, text: str) -> str | bytes:
        return text


class _ZlibStream:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj()

    def encode(self, text: str) -> str | bytes:
        head = self._compressor.compress(text.encode())
        return head + self._compressor.flush(zlib.Z_SYNC_FLUSH)


class _ZstdStream:
    """For Python 3.14, or where the package zstandard is installed: discord.py then asks for it."""

    def __init__(self) -> None:
        self._compress = _zstd_compressor()

    def encode(self, text: str) -> str | bytes:
        return self._compress(text.encode())


def _zstd_compressor() -> Callable[[bytes], bytes]:
    try:
        module: Any = importlib.import_module("zstandard")
    except ModuleNotFoundError:
        module = importlib.import_module("compression.zstd")
        whole: Any = module.ZstdCompressor()
        return lambda text: bytes(whole.compress(text, whole.FLUSH_BLOCK))
    part: Any = module.ZstdCompressor().compressobj()
    return lambda text: bytes(part.compress(text) + part.flush(module.COMPRESSOBJ_FLUSH_BLOCK))


def encoder_for(compression: str | None) -> Encoder:
    """The encoder for the query's `compress`; ValueError for one that Discord does not know."""
    if compression is None:
        return _Plain()
    if compression == "zlib-stream":
        return _ZlibStream()
    if compression == "zstd-stream":
        return _ZstdStream()
    raise ValueError(f"unknown compression {compression!r}")


def cut(transport: asyncio.BaseTransport | None, *, reset: bool = True) -> None:
    """Cut a TCP connection: by RST, or by an early FIN."""
    if not isinstance(transport, asyncio.WriteTransport):
        return
    raw = transport.get_extra_info("socket")
    if reset and raw is not None:
        # A linger time of zero makes the kernel answer with RST in place of FIN.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@dataclass(frozen=True, slots=True)
class _Close:
    code: int


class Connection:
    """A websocket with a queue, so that whoever sends need not wait."""

    def __init__(self, websocket: web.WebSocketResponse, encoder: Encoder) -> None:
        self._websocket = websocket
        self._encoder = encoder
        self._outgoing: asyncio.Queue[str | _Close] = asyncio.Queue()
        self._transport: asyncio.BaseTransport | None = None
        self.closing = False

    async def open(self, request: web.Request) -> None:
        """Finish the handshake."""
        self._transport = request.transport
        await self._websocket.prepare(request)

    def send(self, op: int, payload: Any = None) -> None:
        """Queue one frame that is not an event."""
        self.send_text(json.dumps({"op": op, "d": payload, "s": None, "t": None}))

    def send_text(self, text: str) -> None:
        """Queue one frame as it stands."""
        self._outgoing.put_nowait(text)

    def close(self, code: int) -> None:
        """Close after everything queued so far."""
        self.closing = True
        self._outgoing.put_nowait(_Close(code))

    def drop(self) -> None:
        """Cut the TCP connection now; what is still queued is lost."""
        self.closing = True
        cut(self._transport)

    async def write(self) -> None:
        """Send what is queued, until the connection closes."""
        while True:
            frame = await self._outgoing.get()
            if isinstance(frame, _Close):
                await self._websocket.close(code=frame.code)
                return
            encoded = self._encoder.encode(frame)
            if self._websocket.closed:
                return
            if isinstance(encoded, bytes):
                await self._websocket.send_bytes(encoded)
            else:
                await self._websocket.send_str(encoded)
