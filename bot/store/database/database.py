"""Runs units of work on an open database, and scrubs its files."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import StoreUnavailableError
from bot.store.database.breaker import Breaker, Connections, UnansweredError
from bot.store.database.connect import OUTSIDE, READING, WRITING, Address
from bot.store.database.crypto import Cipher
from bot.store.database.failures import outages_translated, reason_of
from bot.store.database.rows import NO_ID, has
from bot.store.database.scrubbing import drop_note, note_erased, read_note, shred_all
from bot.store.database.tables import server_setting

T = TypeVar("T")
Unit = Callable[[Connection], T]
NUM_WRITERS = 10_000  # on a server: no limit
BUSY_SECONDS = 2.0
UNIT_SECONDS = 3.0  # that a reply waits for a server
LONG_SECONDS = 60.0  # for what no reply waits for: an erasure, an export, a sweep
_SCRUB_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
_FAREWELL_SECONDS = 2.0  # for a server to close its connections
_CHECKPOINT_TRIES = 3
_PROOF = {"guild_id": NO_ID, "name": "write_test"}

logger = logging.getLogger(__name__)


class Database:
    """One engine and the cipher of its texts.

    A unit of work is a plain function of a connection, so that nothing else can be waited for
    while it is open. Each one raises StoreUnavailableError when the database is locked, full,
    read-only or away. A unit waits `busy_seconds` for a lock, for a connection, and for the
    writers before it (longer during a scrub).

    A server may hang: over its `connections` a unit has `unit_seconds`, or LONG_SECONDS where it
    may take long. After the first one that took longer all fail at once, until the server answers
    again. On SQLite a unit runs to its end: where a disk hangs, what asks the database does, too.
    """

    def __init__(
        self,
        address: Address,
        engine: AsyncEngine,
        cipher: Cipher,
        busy_seconds: float,
        *,
        connections: Connections | None = None,
        unit_seconds: float = UNIT_SECONDS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.address = address
        self.cipher = cipher
        self._engine = engine
        self._busy_seconds = busy_seconds
        self._unit_seconds = unit_seconds
        self._connections = connections
        self._breaker = Breaker(self._probe, pause)
        # SQLite lets one connection write at a time and makes the others poll: ours queue here
        # instead. PostgreSQL sorts that out by itself, and its writers wait in the pool.
        self._writers = asyncio.Semaphore(1 if address.path else NUM_WRITERS)
        self._scrub_lock = asyncio.Lock()
        self._troubles: set[str] = set()
        self._num_open = 0
        self._all_done = asyncio.Event()
        self._closed = False

    async def read(self, unit: Unit[T], *, may_take_long: bool = False) -> T:
        """The result of `unit`, which sees one state of the database."""
        with self._watched("read"):
            return await self._run(unit, READING, may_take_long=may_take_long)

    async def write(self, unit: Unit[T], *, may_take_long: bool = False) -> T:
        """The result of `unit`: all that it writes becomes true, or nothing."""

        def proven(connection: Connection) -> T:
            _prove_writable(connection)
            return unit(connection)

        async with self._writing("written"):
            is_troubled = "written" in self._troubles
            chosen = proven if is_troubled else unit
            return await self._run(chosen, WRITING, may_take_long=may_take_long)

    async def execute(self, *changes: Executable) -> None:
        """Execute statements that change something, in one unit of work."""

        def execute_all(connection: Connection) -> None:
            for change in changes:
                connection.execute(change)

        await self.write(execute_all)

    async def checkpoint(self) -> bool:
        """Empty the write-ahead log; False while an open reader needs it."""
        if self.address.path is None:
            return True
        empty = text("PRAGMA wal_checkpoint(TRUNCATE)")
        with self._watched("emptied of old texts"):
            is_busy = await self._run(lambda connection: connection.scalar(empty), OUTSIDE)
        return not is_busy

    async def scrub(self) -> None:
        """Leave nothing on the disk of what was deleted before: file, log and backup.

        On PostgreSQL this does nothing: its own vacuum and its log are its owner's.
        Raises StoreUnavailableError when a long reader is in the way: try again.
        """
        if self.address.path is None:
            return
        await self.write(note_erased)
        await self.scrub_if_due()

    async def scrub_if_due(self) -> None:
        """Scrub when deleted words may be left, from now or from a scrub that failed.

        One at a time: a call that comes meanwhile waits, and finds the work done.
        `secure_delete` alone is not enough: where SQLite moves a row to another page, the
        bytes that stay behind in the unused part of the old page are not overwritten. VACUUM
        writes the file anew, and the checkpoint empties the log. The cost is O(file).
        Raises StoreUnavailableError when a long reader is in the way: the scrub stays due.
        """
        if self.address.path is None:
            return
        async with self._scrub_lock:
            note = await self.due_scrub()
            if note is None and not any(copy.exists() for copy in self.address.copies):
                return
            await self._shred_copies()
            async with self._writing("emptied of old texts"):
                await self._run(lambda connection: connection.execute(text("VACUUM")), OUTSIDE)
            await self._empty_log()
            if note is not None:
                await self.write(lambda connection: drop_note(connection, note))

    async def due_scrub(self) -> str | None:
        """The note of a scrub that is due, or None."""
        return await self.read(read_note)

    async def close(self) -> None:
        """Let the open units end, close every connection and its thread; may be called twice."""
        self._closed = True
        self._breaker.stop()
        if self._num_open:  # a connection that is lent would outlive the engine
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._all_done.wait()
            except TimeoutError:
                logger.warning("The database is closed although a unit of work is still open")
        farewell = asyncio.create_task(self._engine.dispose())
        if self._connections is not None:
            await asyncio.wait({farewell}, timeout=_FAREWELL_SECONDS)
            self._connections.cut()
        await farewell

    async def _run(
        self, unit: Unit[T], options: Mapping[str, Any], *, may_take_long: bool = False
    ) -> T:
        """The result of `unit`, run in a transaction of its own.

        A cancel stops it on PostgreSQL, and so does its limit. On SQLite it runs to its end
        first: a statement cannot be taken back from aiosqlite's thread.
        """

        async def run_there() -> T:
            async with self._transaction(options) as connection:
                return await connection.run_sync(unit)

        if self._connections is None:
            return await _to_its_end(run_there())
        if may_take_long:
            return await self._connections.within(LONG_SECONDS, run_there())
        try:
            return await self._connections.within(self._unit_seconds, run_there())
        except UnansweredError:
            self._breaker.open()
            raise

    async def _probe(self) -> None:
        """Ask for something, although the breaker is open."""
        with self._watched("read", is_probe=True):
            await self._run(lambda connection: connection.execute(select(1)), READING)

    @asynccontextmanager
    async def _transaction(self, options: Mapping[str, Any]) -> AsyncIterator[AsyncConnection]:
        """A connection from the pool, in a transaction that ends with the block."""
        async with self._engine.execution_options(**options).connect() as connection:
            lent = (
                nullcontext() if self._connections is None else self._connections.lent(connection)
            )
            try:
                with lent:
                    async with connection.begin():
                        yield connection
            finally:
                if self._closed:  # the engine may be gone that would close it
                    await connection.invalidate()

    async def _shred_copies(self) -> None:
        """Shred the backup, and what a kill left of one."""

        async def shred() -> None:
            # A migration holds the lock to write: a copy that is being made is left alone.
            async with self._transaction(WRITING):
                await asyncio.to_thread(shred_all, self.address.copies)

        async with self._writing("emptied of old texts"):
            await _to_its_end(shred())

    async def _empty_log(self) -> None:
        """Empty the log; raises StoreUnavailableError when a long reader is in the way."""
        for _ in range(_CHECKPOINT_TRIES):  # each one waits `busy_seconds` for readers
            if await self.checkpoint():
                return
        raise StoreUnavailableError

    @asynccontextmanager
    async def _writing(self, verb: str) -> AsyncIterator[None]:
        """Wait for the writers before, and watch what is written."""
        patience = _SCRUB_SECONDS if self._scrub_lock.locked() else self._busy_seconds
        with self._watched(verb):
            try:
                async with asyncio.timeout(patience):
                    await self._writers.acquire()
            except TimeoutError:
                reason = f"no turn to write for {patience:g} s (does another program hold it?)"
                raise TimeoutError(reason) from None
            try:
                yield
            finally:
                self._writers.release()

    @contextmanager
    def _watched(self, verb: str, *, is_probe: bool = False) -> Iterator[None]:
        """Count a unit, translate its outages, and log the first one and the end of them."""
        if self._closed:  # a disposed engine would quietly open new connections
            raise StoreUnavailableError
        if self._breaker.is_open and not is_probe:  # and the log says so already
            raise StoreUnavailableError
        self._num_open += 1
        try:
            with outages_translated():
                yield
        except StoreUnavailableError as outage:
            if verb not in self._troubles:
                reason = reason_of(outage.__cause__ or outage)
                logger.error("The database cannot be %s: %s", verb, reason)  # noqa: TRY400 (a traceback says nothing more)
            self._troubles.add(verb)
            raise
        finally:
            self._num_open -= 1
            if self._closed and not self._num_open:
                self._all_done.set()
        if verb in self._troubles:
            self._troubles.remove(verb)
            logger.info("The database can be %s again", verb)


def _prove_writable(connection: Connection) -> None:
    """Write something: a unit that happens to change nothing succeeds on a full disk, too."""
    connection.execute(insert(server_setting).values(**_PROOF, value=""))
    connection.execute(delete(server_setting).where(has(server_setting, _PROOF)))


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; a cancel is raised when `work` is over, and what it did stands."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # the first one is raised
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # else asyncio logs it as one that was never retrieved
        raise
