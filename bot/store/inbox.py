"""Utterances on their way, in SQL."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    union,
    union_all,
    update,
)

from bot.delivery.clocks import Clock, utc_now
from bot.delivery.ports import InboxEntry, Spot
from bot.dialogue.turn import Scope, Utterance
from bot.store.database.crypto import Cipher
from bot.store.database.database import Database
from bot.store.database.rows import NO_ID, insert_new, scope_columns
from bot.store.database.tables import conversation, inbox, reply_message, turn
from bot.store.lease import SqlLease
from bot.store.locking import lock
from bot.store.tree import BLANK, answers_to


class State(StrEnum):
    """How far an utterance is."""

    PENDING = "pending"  # no reply yet
    ANSWERED = "answered"  # the reply is stored, perhaps not all of it sent
    DONE = "done"  # nothing more to do: the texts are gone, the message id stays known


# What a mark holds beside the id and the moment of its message: not who said what, nor where.
NAMELESS = {
    "guild_id": None,
    "channel_id": NO_ID,
    "user_id": NO_ID,
    "parent_channel_id": None,
    "author_id": NO_ID,
    "reply_to_id": None,
    "text": BLANK,
    "reply_text": None,
    "reply_turn_id": None,
    "state": State.DONE,
    "application_id": None,
    "not_before": None,
}
_OF_MESSAGE = inbox.c.message_id == bindparam("of_message")
_IS_DONE = update(inbox).where(_OF_MESSAGE).values(state=State.DONE, text=BLANK, reply_text=None)
_REPLY_TURN_ID = select(inbox.c.reply_turn_id).where(_OF_MESSAGE)


class SqlInbox:
    """An InboxStore; with a `lease`, of the messages to the application that has it."""

    def __init__(
        self, database: Database, *, clock: Clock = utc_now, lease: SqlLease | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease

    async def record(self, said: Utterance) -> bool:
        """Note a new utterance as pending; False when its message id is known already."""
        values = {
            **scope_columns(said.scope),
            "message_id": said.message_id,
            "guild_id": said.guild_id,
            "parent_channel_id": said.parent_channel_id,
            "author_id": said.author_id,
            "reply_to_id": said.reply_to_id,
            "text": self._database.cipher.seal(said.text),
            "state": State.PENDING,
            "attempts": 0,
            "created_at": said.created_at,
            "application_id": self._application_id,
        }
        return await self._database.write(lambda connection: insert_new(connection, inbox, values))

    async def mark(self, passed_over: Sequence[Utterance]) -> None:
        """Note messages that are not answered: ids alone, so that no look back takes them in."""

        def leave(connection: Connection) -> None:
            for said in passed_over:
                row = {**NAMELESS, "message_id": said.message_id, "created_at": said.created_at}
                insert_new(connection, inbox, {**row, "attempts": 0})

        await self._database.write(leave)

    async def known(self, message_ids: Sequence[int]) -> set[int]:
        """Those of these messages that were noted, marked, remembered or answered before."""
        columns = (inbox.c.message_id, turn.c.source_message_id, reply_message.c.answers_id)
        queries = [select(column).where(column.in_(message_ids)) for column in columns]
        return await self._database.read(
            lambda connection: set(connection.scalars(union(*queries)).all())
        )

    async def spoken_in(self, limit: int) -> list[Spot]:
        """Where the bot was spoken to, at most `limit` places, those of lately first."""
        spoken = union_all(
            select(conversation.c.channel_id, conversation.c.guild_id, conversation.c.touched_at),
            select(inbox.c.channel_id, inbox.c.guild_id, inbox.c.created_at),
        ).subquery()
        newest = func.max(spoken.c.touched_at)
        query = (
            select(spoken.c.channel_id, func.max(spoken.c.guild_id))
            .where(spoken.c.channel_id != NO_ID)
            .group_by(spoken.c.channel_id)
            .order_by(newest.desc())
            .limit(limit)
        )
        return await self._database.read(
            lambda connection: [Spot(*row) for row in connection.execute(query)]
        )

    async def record_part(self, message_id: int, part: int, sent_id: int) -> None:
        """Note that part `part` (from 0) of the reply went out as message `sent_id`."""

        def note(connection: Connection) -> None:
            lock(connection, messages=inbox.c.message_id == message_id)
            values = {
                "message_id": sent_id,
                "answers_id": message_id,
                "turn_id": _reply_turn_id(connection, message_id),
                "part": part,
                "created_at": self._clock(),
            }
            insert_new(connection, reply_message, values)

        await self._database.write(note)

    async def postpone(self, message_id: int, not_before: datetime) -> bool:
        """Note that Discord takes nothing before; whether there is a row that is not done."""
        is_open = (inbox.c.message_id == message_id, inbox.c.state != State.DONE)
        later = update(inbox).where(*is_open).values(not_before=not_before)
        return await self._database.write(
            lambda connection: bool(connection.execute(later).rowcount)
        )

    async def close(self, message_id: int) -> None:
        """The row is done, answered or not: its text goes, its message id stays known."""
        await self._database.write(
            lambda connection: connection.execute(_IS_DONE, {"of_message": message_id})
        )

    async def unfinished(self, *, is_start: bool = True) -> list[InboxEntry]:
        """The rows that are not done, oldest first.

        At a start one is added to the attempts of each that may be tried now; an entry's
        `attempts` count it. Another application's rows stay as they are.
        """
        is_ours = or_(
            inbox.c.application_id == self._application_id,
            inbox.c.application_id.is_(None),  # from an older version
        )
        open_rows = and_(inbox.c.state != State.DONE, is_ours)
        may_go = or_(inbox.c.not_before.is_(None), inbox.c.not_before <= self._clock())

        def take(connection: Connection) -> list[tuple[Row[Any], tuple[int, ...]]]:
            if is_start:
                lock(connection, messages=open_rows)
                attempt = update(inbox).where(open_rows, may_go)
                connection.execute(attempt.values(attempts=inbox.c.attempts + 1))
            query = select(inbox).where(open_rows).order_by(inbox.c.message_id)
            return [
                (row, _sent_ids(connection, row.message_id))
                for row in connection.execute(query).all()
            ]

        taken = await self._database.write(take)
        return [_entry(row, sent_ids, self._database.cipher) for row, sent_ids in taken]

    @property
    def _application_id(self) -> int | None:
        return None if self._lease is None else self._lease.application_id


def forget_rows(
    connection: Connection, condition: ColumnElement[bool], marked_since: datetime | None = None
) -> int:
    """Delete rows, but leave nameless marks of some. Returns how many rows there were.

    A mark of what is not done keeps a reply that is being made from being stored afterwards; one
    of a message after `marked_since` keeps a look back from answering it once more.
    """
    messages = select(inbox.c.message_id).where(condition)
    connection.execute(
        delete(reply_message).where(
            reply_message.c.answers_id.in_(messages), reply_message.c.turn_id.is_(None)
        )
    )
    past = delete(inbox).where(condition, inbox.c.state == State.DONE)
    if marked_since is not None:
        past = past.where(inbox.c.created_at <= marked_since)
    gone = connection.execute(past)
    marks = connection.execute(update(inbox).where(condition).values(NAMELESS))
    return gone.rowcount + marks.rowcount


def _reply_turn_id(connection: Connection, message_id: int) -> int | None:
    """The turn that the reply to a message is remembered as, or None."""
    known: int | None = connection.scalar(_REPLY_TURN_ID, {"of_message": message_id})
    if known is not None:
        return known
    # No row, when the database was away as the utterance came in: the turn may be there even so.
    answers = answers_to(turn.c.source_message_id == message_id)
    newest: int | None = connection.scalar(answers.order_by(turn.c.id.desc()).limit(1))
    return newest


def _sent_ids(connection: Connection, message_id: int) -> tuple[int, ...]:
    """Our messages that answer a message, part by part."""
    query = (
        select(reply_message.c.message_id)
        .where(reply_message.c.answers_id == message_id)
        .order_by(reply_message.c.part)
    )
    return tuple(connection.scalars(query).all())


def _entry(row: Row[Any], sent_ids: tuple[int, ...], cipher: Cipher) -> InboxEntry:
    """The InboxEntry of a row, with its texts in clear."""
    said = Utterance(
        message_id=row.message_id,
        scope=Scope(row.channel_id, row.user_id or None),
        author_id=row.author_id,
        text=cipher.open(row.text),
        created_at=row.created_at,
        guild_id=row.guild_id,
        parent_channel_id=row.parent_channel_id,
        reply_to_id=row.reply_to_id,
    )
    reply_text = None if row.reply_text is None else cipher.open(row.reply_text)
    return InboxEntry(said, reply_text, row.reply_turn_id, sent_ids, row.attempts, row.not_before)
