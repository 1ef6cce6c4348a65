"""A server between a PostgreSQL server and its clients, which can hold the bytes back."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, make_url


class Proxy:
    """Passes bytes on, as long as they may flow; what is held back is not lost."""

    def __init__(self, server: URL, url: str) -> None:
        self._server = server
        self._may_flow = True
        self.url = url
        self.flows: list[asyncio.Event] = []  # one for each connection, the oldest first
        self._serving: list[asyncio.Task[None] | None] = []
        self.num_chunks = 0  # that clients sent

    def hang(self) -> None:
        """Answer nothing any more, on old connections and on new ones."""
        self._may_flow = False
        for flow in self.flows:
            flow.clear()

    def go_on(self) -> None:
        """Pass on what was held back, and what comes."""
        self._may_flow = True
        for flow in self.flows:
            flow.set()

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Pass on the bytes of one connection, both ways."""
        flow = asyncio.Event()
        self.flows.append(flow)
        if self._may_flow:
            flow.set()
        self._serving.append(asyncio.current_task())
        server, to_server = await self._connect()
        ways = (self._count(client, to_server, flow), _pass_on(server, to_client, flow))
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in (to_server, to_client):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        folder = self._server.query.get("host")
        if folder:
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        return await asyncio.open_connection(self._server.host, self._server.port or 5432)

    async def _count(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event
    ) -> None:
        async def counted() -> bytes:
            chunk = await reader.read(65536)
            self.num_chunks += bool(chunk)
            return chunk

        while chunk := await counted():
            await flow.wait()
            writer.write(chunk)
        writer.close()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event
) -> None:
    while chunk := await reader.read(65536):
        await flow.wait()
        writer.write(chunk)
    writer.close()


@asynccontextmanager
async def proxy_of(url: str) -> AsyncIterator[Proxy]:
    """A proxy of the server at `url`, on a Unix socket in a folder that goes away."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has 107 bytes at most
    server = make_url(url)
    here = server.set(host=None, port=None, query={"host": str(folder)})
    proxy = Proxy(server, here.render_as_string(hide_password=False))
    listening = await asyncio.start_unix_server(proxy.serve, folder / ".s.PGSQL.5432")
    try:
        yield proxy
    finally:
        proxy.go_on()
        listening.close()
        await asyncio.gather(*filter(None, proxy._serving))
        shutil.rmtree(folder)
