"""The rooms of the core, put together for a test: real stores and cogs' stand-ins."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.answering.reply_maker import ReplyMaker
from bot.delivery.admission import Admission, AdmissionLimits
from bot.delivery.delivery import Delivery
from bot.delivery.facts import Facts
from bot.delivery.outbox import Outbox
from bot.dialogue.context import ContextBudget
from bot.dialogue.sampling import Defaults, SamplingParams
from bot.dialogue.turn import Scope, Utterance
from bot.store.database.database import Database
from bot.store.fact_file import FactFile
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers
from tests.fakes import InlineTokenizerThread, RecordingCourier, ScriptedEngine

CHANNEL = Scope(500)
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Rooms:
    """One bot without Discord; `restart` makes another on the same database."""

    database: Database
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    courier: RecordingCourier = field(default_factory=RecordingCourier)
    clock: Clock = field(default_factory=Clock)
    num_turns: int = 8
    num_tokens: int = 256
    idle: timedelta | None = None
    max_pending: int = 100
    params: SamplingParams = field(default_factory=SamplingParams)
    pause: Callable[[float], Awaitable[None]] | None = None  # what happens in a pause
    catch_up: timedelta = timedelta(0)  # as CATCH_UP_MINUTES

    def __post_init__(self) -> None:
        self.history = SqlHistory(self.database, origin="discord", clock=self.clock)
        self.inbox = SqlInbox(self.database, clock=self.clock)
        self.sampling = SqlSampling(self.database)
        self.pauses: list[float] = []
        self.looks: list[float] = []  # the pauses between looks into the inbox, in seconds
        self._next_look = asyncio.Semaphore(0)
        self.erasures = Erasures(self.engine)
        self.conversation = Conversation(
            erasures=self.erasures,
            reply_maker=ReplyMaker(
                engine=self.engine,
                tokenizer=InlineTokenizerThread(),
                budget=ContextBudget(self.num_tokens, self.num_turns),
                deadline_seconds=60,
            ),
            history=self.history,
            sampling=self.sampling,
            defaults=Defaults(self.params),
            num_turns=self.num_turns,
            idle=self.idle,
        )
        self.facts_path = Path(f"{self.database.address.path}.facts")
        self.facts = Facts(
            history=self.history,
            servers=SqlServers(self.database, clock=self.clock),
            erasures=self.erasures,
            file=FactFile(self.facts_path),
            pause=self._pause,
        )
        self.delivery = Delivery(
            conversation=self.conversation,
            erasures=self.erasures,
            inbox=self.inbox,
            facts=self.facts,
            admission=Admission(AdmissionLimits(100, self.max_pending, 0)),
            outbox=Outbox(self.inbox, pause=self._pause, clock=self.clock),
            catch_up=self.catch_up,
            pause=self._until_next_look,
        )

    def restart(self) -> "Rooms":
        """What a new run of the bot finds: the same database, courier and clock."""
        return Rooms(self.database, courier=self.courier, clock=self.clock, catch_up=self.catch_up)

    async def look(self) -> None:
        """Let the delivery look into the inbox again; what it takes up has its place then."""
        num_looks = len(self.looks)
        self._next_look.release()
        while len(self.looks) == num_looks:  # noqa: ASYNC110  # there is nothing else to wait for
            await asyncio.sleep(0)

    async def _until_next_look(self, seconds: float) -> None:
        self.looks.append(seconds)
        await self._next_look.acquire()

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.pause is not None:
            await self.pause(seconds)


def said(
    text: str,
    message_id: int,
    *,
    scope: Scope = CHANNEL,
    author_id: int = 7,
    reply_to_id: int | None = None,
    parent_channel_id: int | None = None,
    created_at: datetime = NOW,
) -> Utterance:
    """An utterance in a server."""
    return Utterance(
        message_id=message_id,
        scope=scope,
        author_id=author_id,
        text=text,
        created_at=created_at,
        guild_id=1,
        parent_channel_id=parent_channel_id,
        reply_to_id=reply_to_id,
    )


async def idle(rooms: Rooms) -> None:
    """Return when no message waits for a reply."""
    while rooms.delivery.num_pending:  # noqa: ASYNC110  # there is nothing else to wait for
        await asyncio.sleep(0)


async def settled(rooms: Rooms) -> None:
    """Return when no message waits for a reply and the bot has stopped."""
    await idle(rooms)
    await rooms.delivery.stop(within_seconds=30)


def answered(rooms: Rooms) -> list[int]:
    """The messages that got a reply, in order."""
    return [part.reply_to_id for part in rooms.courier.sent]
