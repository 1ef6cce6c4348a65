"""A member's own data, in SQL: what is kept of them, and that nothing is left of it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, or_, select, update

from bot.delivery.clocks import Clock, utc_now
from bot.dialogue.turn import Scope
from bot.ports import Erased
from bot.store.database.crypto import Cipher
from bot.store.database.database import Database
from bot.store.database.rows import has, scope_columns
from bot.store.database.scrubbing import note_erased
from bot.store.database.tables import (
    candidate,
    conversation,
    inbox,
    member_locale,
    reply_message,
    sampling_override,
    turn,
)
from bot.store.exchange import next_epoch
from bot.store.inbox import forget_rows
from bot.store.locking import lock, scopes_of
from bot.store.tree import answers_to, blank

_Rows = Mapping[str, Sequence[Row[Any]]]


class SqlPrivacy:
    """A PrivacyStore. `mark_age`: how old a message may be to leave a nameless mark.

    Out of its reach: what other members or the bot, in answers to others, quote of a member;
    copies that the owner made; blocks that a file system keeps.
    """

    def __init__(
        self, database: Database, *, mark_age: timedelta = timedelta(), clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._mark_age = mark_age
        self._clock = clock

    async def export(self, user_id: int) -> Mapping[str, object]:
        """Everything that is stored of a member, ready for JSON; ids are strings."""
        mine = turn.c.author_id == user_id
        answers = answers_to(mine)
        own = or_(mine, turn.c.id.in_(answers))
        unused, overridden = (
            candidate.c.turn_id.in_(answers),
            sampling_override.c.user_id == user_id,
        )
        queries = {
            "turns": select(turn).where(own).order_by(turn.c.id),
            "unused_answers": select(candidate).where(unused).order_by(candidate.c.id),
            "inbox": select(inbox).where(inbox.c.author_id == user_id),
            "settings": select(sampling_override).where(overridden),
        }
        language = select(member_locale.c.locale).where(member_locale.c.user_id == user_id)

        def collect(connection: Connection) -> tuple[_Rows, str | None]:
            rows = {name: connection.execute(query).all() for name, query in queries.items()}
            return rows, connection.scalar(language)

        rows, locale = await self._database.read(collect, may_take_long=True)
        head = {"user_id": str(user_id), "exported_at": self._clock().isoformat(), "locale": locale}
        # In a thread: a month of a talkative member is much to decrypt.
        return head | await asyncio.to_thread(_opened, rows, self._database.cipher)

    async def erase(self, user_id: int) -> Erased:
        """Remove everything of a member so that no byte of their words is left on the disk.

        A scope in which no other member speaks goes whole. Elsewhere the turns stay in the tree as
        blank ones without an author, and so do the bot's answers to them, which may quote them.
        A message that waits for its answer, and one that a look back could find again, leaves a
        nameless mark: its id alone. So no reply to it is stored afterwards, nor made once more.
        Of a scope that is not a member's own (a thread, a direct message) its epoch stays, one
        higher, until retention takes it: a thread whose epoch began again would continue the
        path of its message, which may be another member's. A member's own scope leaves no row:
        what its threads could continue is in the member's own scopes, and gone too.
        The files are cleaned only when words went now, or earlier and were not cleaned up.
        Raises StoreUnavailableError also when only the last step, the cleaning of the files,
        did not succeed: erasing again finishes it.
        """
        theirs = inbox.c.author_id == user_id
        since = self._clock() - self._mark_age

        def remove(connection: Connection) -> Erased:
            lock(connection, messages=theirs, scopes=_spoken_in(user_id))
            num_turns = sum(
                self._delete_scope(connection, scope) for scope in _own_scopes(connection, user_id)
            )
            num_turns += _blank_shared(connection, user_id)
            if forget_rows(connection, theirs, since) or num_turns:
                note_erased(connection)
            connection.execute(delete(member_locale).where(member_locale.c.user_id == user_id))
            removed = connection.execute(
                delete(sampling_override).where(sampling_override.c.user_id == user_id)
            )
            return Erased(num_turns, removed.rowcount)

        erased = await self._database.write(remove, may_take_long=True)
        await self._database.scrub_if_due()
        return erased

    def _delete_scope(self, connection: Connection, scope: Scope) -> int:
        """Delete the turns of a scope, and end its epoch or delete its row; how many turns."""
        columns = scope_columns(scope)
        if scope.user_id is None:
            connection.execute(next_epoch(scope, self._clock()))
        else:
            connection.execute(delete(conversation).where(has(conversation, columns)))
        return connection.execute(delete(turn).where(has(turn, columns))).rowcount


def _spoken_in(user_id: int) -> ColumnElement[bool]:
    """Whether a conversation is this member's own, or one in which they spoke."""
    spoken = scopes_of(select(turn.c.id).where(turn.c.author_id == user_id))
    return or_(conversation.c.user_id == user_id, spoken)


def _own_scopes(connection: Connection, user_id: int) -> list[Scope]:
    """The scopes in which this member is the only one who speaks."""
    other = turn.alias()
    others = (
        select(other.c.id)
        .where(
            other.c.channel_id == turn.c.channel_id,
            other.c.user_id == turn.c.user_id,
            other.c.author_id != user_id,
        )
        .exists()
    )
    scopes = select(turn.c.channel_id, turn.c.user_id)
    spoken = scopes.where(turn.c.author_id == user_id, ~others)
    private = scopes.where(turn.c.user_id == user_id)
    unused = select(conversation.c.channel_id, conversation.c.user_id).where(
        conversation.c.user_id == user_id
    )
    rows = connection.execute(spoken.union(private, unused))
    return [Scope(channel_id, owner or None) for channel_id, owner in rows]


def _blank_shared(connection: Connection, user_id: int) -> int:
    """Blank what this member said in scopes of others, and the answers to it; how many turns."""
    mine = turn.c.author_id == user_id
    answers = answers_to(mine)
    connection.execute(
        update(reply_message).where(reply_message.c.turn_id.in_(answers)).values(answers_id=None)
    )
    num_turns = blank(connection, answers) + blank(connection, select(turn.c.id).where(mine))
    connection.execute(update(turn).where(mine).values(author_id=None, source_message_id=None))
    return num_turns


def _opened(rows: _Rows, cipher: Cipher) -> dict[str, object]:
    """The parts of an export, with their texts in clear."""
    return {
        "turns": [_turn_entry(row, cipher) for row in rows["turns"]],
        "unused_answers": [
            {"text": cipher.open(row.text), **_scores(row)} for row in rows["unused_answers"]
        ],
        "inbox": [_inbox_entry(row, cipher) for row in rows["inbox"]],
        "settings": [
            {"name": row.field, "value": row.value, "server_id": str(row.guild_id)}
            for row in rows["settings"]
        ],
    }


def _turn_entry(row: Row[Any], cipher: Cipher) -> dict[str, object]:
    """A turn, with its text in clear."""
    return {
        "role": row.role,
        "text": cipher.open(row.text),
        "created_at": row.created_at.isoformat(),
        **_place(row),
        **_scores(row),
    }


def _inbox_entry(row: Row[Any], cipher: Cipher) -> dict[str, object]:
    """A message on its way, with its texts in clear."""
    return {
        "state": row.state,
        "text": cipher.open(row.text),
        "reply": None if row.reply_text is None else cipher.open(row.reply_text),
        "message_id": str(row.message_id),
        "created_at": row.created_at.isoformat(),
        **_place(row),
    }


def _scores(row: Row[Any]) -> dict[str, object]:
    """The scores of a row, where it has any."""
    return {"scores": row.scores} if row.scores else {}


def _place(row: Row[Any]) -> dict[str, object]:
    """Where a row belongs; ids are strings."""
    server_id = None if row.guild_id is None else str(row.guild_id)
    return {"channel_id": str(row.channel_id), "server_id": server_id}
