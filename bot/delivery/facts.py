"""What Discord reports once: tried at once, and repeated until what is stored follows it.

A message that was deleted or edited, a channel or a server that is gone: while the database is
away each is kept in memory, and without its words in a file for the next start.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bot.answering.erasures import Erasures
from bot.answering.ports import HistoryStore
from bot.delivery.outbox import Pause
from bot.delivery.ports import Fact, FactKind, FactStore
from bot.errors import StoreUnavailableError
from bot.ports import ServerStore

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
LAST_ROUND_SECONDS = 1.0  # for what is not done yet at a stop
BATCH = 100  # deleted messages that are forgotten in one transaction
NUM_KEPT = 20_000  # a database may be away for days, and most messages are none of ours


@dataclass(eq=False)
class _Report:
    """A fact that is not done with.

    While messages of `under_way` are being answered, their exchanges may still be stored: the
    fact is repeated when they are through. `is_due`: it does not stand now. `has_failed`: since
    the store is away.
    """

    fact: Fact
    under_way: set[int]
    is_due: bool = True
    has_failed: bool = False


class Facts:
    """Makes what is stored follow what Discord reports once. `pause` waits some seconds.

    The newest fact of a subject counts, but a withdrawal is final. Each method says whether
    anything was kept of its subject; True where the store could not say.
    """

    def __init__(
        self,
        *,
        history: HistoryStore,
        servers: ServerStore,
        erasures: Erasures,
        file: FactStore,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._history = history
        self._servers = servers
        self._erasures = erasures
        self._file = file
        self._pause = pause
        self._reports: dict[tuple[FactKind, int], _Report] = {}
        self._one_at_a_time = asyncio.Lock()  # else an older text could overtake a newer one
        self._saving = asyncio.Lock()
        self._repeating: asyncio.Task[None] | None = None
        self._on_disk: tuple[Fact, ...] | None = None  # None: not known
        self._is_loaded = False
        self._complaints: set[str] = set()
        self._is_away = False  # the store, when it was last asked
        self._is_stopped = False

    async def withdraw(self, message_ids: Sequence[int], under_way: Iterable[int] = ()) -> bool:
        """Messages were deleted, or may not be read any more."""
        facts = [Fact(FactKind.WITHDRAW, message_id) for message_id in message_ids]
        return await self._report(facts, under_way)

    async def revise(self, message_id: int, text: str, under_way: Iterable[int] = ()) -> bool:
        """A message reads `text` now."""
        return await self._report([Fact(FactKind.REVISE, message_id, text)], under_way)

    async def purge_channel(self, channel_id: int, under_way: Iterable[int] = ()) -> bool:
        """A channel or thread is gone."""
        return await self._report([Fact(FactKind.PURGE_CHANNEL, channel_id)], under_way)

    async def purge_server(
        self, guild_id: int, channel_ids: Sequence[int], under_way: Iterable[int] = ()
    ) -> bool:
        """The bot is in a server no longer; `channel_ids` are the channels that it knew there."""
        fact = Fact(FactKind.PURGE_SERVER, guild_id, channel_ids=tuple(channel_ids))
        return await self._report([fact], under_way)

    def ended(self, message_id: int) -> None:
        """No exchange of a message will be stored any more: what waited for that is repeated."""
        for report in self._reports.values():
            if message_id in report.under_way:
                report.under_way.remove(message_id)
                report.is_due |= not report.under_way
        self._repeat_soon()

    async def begin(self) -> None:
        """Make stand what an earlier run left; call it before anything is answered."""
        async with self._saving:
            await self._load()
        await self._try_all()
        await self._save()
        self._repeat_soon()

    async def stop(self) -> None:
        """Repeat nothing any more; what does not stand is left to the next start."""
        self._is_stopped = True
        if self._repeating is not None:
            self._repeating.cancel()
        await self._save()  # first: a try that is under way may take longer than a stop may
        if self._repeating is not None:
            await asyncio.wait({self._repeating})
        if not self._is_away:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_ROUND_SECONDS):
                    await self._try_all()
        await self._save()

    async def _report(self, facts: Sequence[Fact], under_way: Iterable[int]) -> bool:
        reports = list(self._entered(facts, set(under_way)))
        were_kept = await self._try_at_once(reports)
        self._tell()
        if were_kept is None or self._on_disk:
            await self._save()
        self._repeat_soon()
        return were_kept is not False

    async def _try_at_once(self, reports: Sequence[_Report]) -> bool | None:
        """Whether anything was kept of what is reported; None where the store is away."""
        if not self._is_away:
            async with self._one_at_a_time:
                if not self._is_away:  # else those before it have found it so
                    with suppress(StoreUnavailableError):
                        return await self._settle(reports)
        for report in reports:
            report.has_failed = True
        return None

    def _entered(self, facts: Sequence[Fact], under_way: set[int]) -> Iterator[_Report]:
        """The reports of new facts, in the places of older ones about the same subjects."""
        for fact in facts:
            older = self._reports.get(fact.subject)
            if fact.kind is FactKind.REVISE and older and older.fact.kind is FactKind.WITHDRAW:
                continue
            self._reports.pop(fact.subject, None)
            if len(self._reports) >= NUM_KEPT:
                del self._reports[next(iter(self._reports))]
                self._complain("More than %s facts wait: the oldest are given up.", NUM_KEPT)
            report = self._reports[fact.subject] = _Report(fact, set(under_way))
            yield report

    def _due(self) -> list[_Report]:
        return [report for report in self._reports.values() if report.is_due]

    async def _settle(self, batch: Iterable[_Report]) -> bool:
        """Make a batch of facts stand, unless newer ones took their places.

        Returns whether anything was kept of them; raises StoreUnavailableError.
        """
        asked = [one for one in batch if one.is_due and self._is_newest(one)]
        were_under_way = [bool(one.under_way) for one in asked]
        if not asked:
            return True
        try:
            were_kept = await self._apply([one.fact for one in asked])
        except StoreUnavailableError:
            self._is_away = True
            for report in asked:
                report.has_failed = True
            raise
        except Exception:
            for report in asked:  # a fault of ours: it would come again and again
                self._reports.pop(report.fact.subject, None)
            raise
        self._is_away = False
        for report in asked:
            report.has_failed = False
        for report, was_under_way in zip(asked, were_under_way, strict=True):
            # An edit that was known to the store is in what an exchange is made of.
            is_known_edit = were_kept and report.fact.kind is FactKind.REVISE
            self._note_stands(report, is_final=is_known_edit or not was_under_way)
        return were_kept

    def _is_newest(self, report: _Report) -> bool:
        return self._reports.get(report.fact.subject) is report

    def _note_stands(self, report: _Report, *, is_final: bool) -> None:
        if not self._is_newest(report):
            return
        if is_final:
            del self._reports[report.fact.subject]
        else:
            report.is_due = not report.under_way  # they may have ended in between
            self._repeat_soon()

    async def _apply(self, facts: Sequence[Fact]) -> bool:
        """Change what is stored; several facts are withdrawals."""
        first = facts[0]
        match first.kind:
            case FactKind.WITHDRAW:
                return await self._history.withdraw([one.subject_id for one in facts])
            case FactKind.REVISE:
                return await self._history.revise(first.subject_id, first.text)
            case FactKind.PURGE_CHANNEL:
                await self._servers.purge_channel(first.subject_id)
            case FactKind.PURGE_SERVER:
                await self._servers.purge_server(first.subject_id, first.channel_ids)
        return True

    def _repeat_soon(self) -> None:
        """See to it that what is due is repeated."""
        is_running = self._repeating is not None and not self._repeating.done()
        if not is_running and not self._is_stopped and self._due():
            self._repeating = asyncio.create_task(self._repeat(), name="facts")

    async def _repeat(self) -> None:
        seconds = FIRST_PAUSE_SECONDS
        while self._due():
            await self._pause(seconds)
            await self._try_all()
            seconds = min(2 * seconds, LONGEST_PAUSE_SECONDS) if self._is_away else seconds
            await self._save()

    async def _try_all(self) -> None:
        """Try all that is due once, until the store is away."""
        try:
            await self._try_each()
        finally:
            self._tell()

    async def _try_each(self) -> None:
        for batch in _batches(self._due()):
            try:
                async with self._one_at_a_time:
                    if await self._settle(batch):
                        self._erasures.note()
            except StoreUnavailableError:
                return
            except Exception:
                logger.exception("What Discord reported could not be followed.")

    def _tell(self) -> None:
        """Let no reply be made of words that should be gone."""
        messages = (FactKind.WITHDRAW, FactKind.REVISE)
        failed = (one for one in self._due() if one.has_failed)
        self._erasures.are_due = any(one.fact.kind in messages for one in failed)

    async def _save(self) -> None:
        """Leave what is due to the next start, too: a write runs to its end."""
        await asyncio.shield(self._write())

    async def _write(self) -> None:
        async with self._saving:
            await self._load()  # before it is written over
            due = tuple(_without_words(report.fact) for report in self._due())
            if due == self._on_disk:
                return
            try:
                await asyncio.to_thread(self._file.write, due)
                self._on_disk = due
            except OSError as error:
                self._on_disk = None
                self._complain("What is to be forgotten cannot be noted: %s", error)

    def _complain(self, sentence: str, about: object) -> None:
        """Log an error, the first time."""
        if sentence not in self._complaints:
            self._complaints.add(sentence)
            logger.error(sentence, about)

    async def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        for fact in await asyncio.to_thread(self._file.read):
            self._reports.setdefault(fact.subject, _Report(fact, set()))


def _batches(due: Sequence[_Report]) -> Iterator[Sequence[_Report]]:
    """What is tried together, in order; servers come last: their files are written anew."""
    gone = [one for one in due if one.fact.kind is FactKind.WITHDRAW]
    others = [one for one in due if one.fact.kind is not FactKind.WITHDRAW]
    for start in range(0, len(gone), BATCH):
        yield gone[start : start + BATCH]
    for one in sorted(others, key=lambda one: one.fact.kind is FactKind.PURGE_SERVER):
        yield [one]


def _without_words(fact: Fact) -> Fact:
    """What the next start is told: of an edited message the old words go."""
    is_edit = fact.kind is FactKind.REVISE
    return replace(fact, kind=FactKind.WITHDRAW, text="") if is_edit else fact
