"""The tree of turns in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)

from bot.answering.ports import Draft, Head, ScopeStatus, Standing
from bot.delivery.clocks import Clock, utc_now
from bot.dialogue.sampling import Place
from bot.dialogue.turn import Exchange, Role, Scope, Turn
from bot.store.database.database import Database
from bot.store.database.rows import TURN_COLUMNS, scope_columns, turn_of
from bot.store.database.tables import conversation, inbox, reply_message, turn
from bot.store.exchange import Storing, ensure_conversation, next_epoch
from bot.store.inbox import State
from bot.store.locking import lock, scopes_of
from bot.store.sampling import overrides_at
from bot.store.tree import BLANK, answers_to, blank, path_from, path_of

_HEAD = (
    select(conversation.c.head_turn_id, conversation.c.epoch, turn.c.created_at)
    .outerjoin(turn, turn.c.id == conversation.c.head_turn_id)
    .where(
        conversation.c.channel_id == bindparam("channel_id"),
        conversation.c.user_id == bindparam("user_id"),
    )
)


class SqlHistory:
    """A HistoryStore; `origin` says where its turns come from: discord, playground or console."""

    def __init__(self, database: Database, *, origin: str, clock: Clock = utc_now) -> None:
        self._database = database
        self._origin = origin
        self._clock = clock

    async def head(self, scope: Scope) -> Head:
        """Where `scope` stands; a scope that was never used has an empty Head."""
        return await self._database.read(lambda connection: _head(connection, scope))

    async def standing(self, scope: Scope, place: Place, num_turns: int) -> Standing:
        """What a reply in `scope` begins with: in one read, since every reply waits for it."""
        cipher = self._database.cipher

        def look(connection: Connection) -> Standing:
            head, overrides = _head(connection, scope), overrides_at(connection, place)
            if head.turn_id is None:
                return Standing(head, overrides=overrides)
            turns = path_of(connection, head.turn_id, num_turns, cipher)
            return Standing(head, tuple(turns), overrides)

        return await self._database.read(look)

    async def turn_of_message(self, message_id: int) -> Turn | None:
        """The turn that a Discord message holds (the bot's or a member's), or None."""
        shown = select(reply_message.c.turn_id).where(reply_message.c.message_id == message_id)
        query: Select[Any] = (
            select(*TURN_COLUMNS)
            .where(or_(turn.c.source_message_id == message_id, turn.c.id.in_(shown)))
            .order_by(turn.c.id.desc())
            .limit(1)
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else turn_of(row, self._database.cipher)

    async def path(self, turn_id: int, num_turns: int) -> list[Turn]:
        """The turn and its ancestors, at most `num_turns` of them, oldest first.

        Blank ones count, but are left out.
        """
        cipher = self._database.cipher
        return await self._database.read(
            lambda connection: path_of(connection, turn_id, num_turns, cipher)
        )

    async def num_replies(self, turn_id: int) -> int:
        """How many of the bot's turns the path to the turn has, the turn and blank ones counted.

        The whole path is walked.
        """
        on_path = turn.c.id.in_(path_from(turn_id, start_id=0))
        query = select(func.count()).where(on_path, turn.c.role == Role.BOT)
        return await self._database.read(lambda connection: connection.scalar(query) or 0)

    async def remember(self, draft: Draft, expected: Head) -> Exchange:
        """Store an exchange, its candidates and the inbox row's next state in one transaction.

        Raises ScopeMovedError if the scope's head or epoch is not `expected` any more, and if
        the message was withdrawn, erased or answered meanwhile. A message that was edited
        meanwhile is remembered as it reads now.
        """
        storing = Storing(draft, expected, self._origin, self._clock(), self._database.cipher)
        return await self._database.write(storing)

    async def reset(self, scope: Scope) -> None:
        """Add one to the scope's epoch and empty its head."""
        now = self._clock()

        def move(connection: Connection) -> None:
            ensure_conversation(connection, scope, now)
            connection.execute(next_epoch(scope, now))

        await self._database.write(move)

    async def revise(self, message_id: int, text: str) -> bool:
        """Replace the text of the user turn of an edited message; "" withdraws it.

        Returns whether anything is kept of the message.
        """
        if not text:
            return await self.withdraw([message_id])
        if not await self._knows([message_id]):
            return False
        sealed = self._database.cipher.seal(text)
        said = turn.c.source_message_id == message_id

        def replace(connection: Connection) -> None:
            is_its_row = inbox.c.message_id == message_id
            scopes = scopes_of(select(turn.c.id).where(said))
            lock(connection, messages=is_its_row, scopes=scopes)
            words = update(turn).where(said, turn.c.text != BLANK)
            connection.execute(words.values(text=sealed, num_tokens=None))
            waiting = update(inbox).where(is_its_row, inbox.c.state != State.DONE)
            connection.execute(waiting.values(text=sealed))

        await self._database.write(replace)
        return True

    async def withdraw(self, message_ids: Sequence[int]) -> bool:
        """Blank the turns of deleted messages: a member's with the bot's answers, or the bot's.

        Returns whether anything is kept of one of them.
        """
        if not message_ids or not await self._knows(message_ids):
            return False
        gone = _withdrawn(message_ids)

        theirs = or_(inbox.c.message_id.in_(message_ids), inbox.c.reply_turn_id.in_(gone))

        def empty(connection: Connection) -> None:
            lock(connection, messages=theirs, scopes=scopes_of(gone))
            blank(connection, gone)
            done = update(inbox).where(theirs)
            connection.execute(done.values(state=State.DONE, text=BLANK, reply_text=None))

        await self._database.write(empty)
        return True

    async def status(self, scope: Scope) -> ScopeStatus:
        """What the newest reply of `scope` was made of; it costs O(turns in its context)."""
        return await self._database.read(lambda connection: _status(connection, scope))

    async def _knows(self, message_ids: Sequence[int]) -> bool:
        """Whether we keep anything of these messages: most that change are not ours."""
        answers = (reply_message.c.message_id, reply_message.c.answers_id)
        columns = (turn.c.source_message_id, *answers, inbox.c.message_id)
        kept = (select(literal(1)).where(column.in_(message_ids)).exists() for column in columns)
        query = select(or_(*kept))
        return bool(await self._database.read(lambda connection: connection.scalar(query)))


def _head(connection: Connection, scope: Scope) -> Head:
    """See SqlHistory.head."""
    row = connection.execute(_HEAD, scope_columns(scope)).one_or_none()
    return Head() if row is None else Head(*row)


def _status(connection: Connection, scope: Scope) -> ScopeStatus:
    """See SqlHistory.status."""
    head = _head(connection, scope)
    query = select(turn.c.num_prompt_tokens, turn.c.context_start_id)
    newest = connection.execute(query.where(turn.c.id == head.turn_id)).one_or_none()
    if head.turn_id is None or newest is None:
        return ScopeStatus(0, None, None)
    start_id = newest.context_start_id or head.turn_id
    in_context = turn.c.id.in_(path_from(head.turn_id, start_id))
    num_turns = connection.scalar(select(func.count()).where(in_context, turn.c.text != BLANK))
    start_at = connection.scalar(select(turn.c.created_at).where(turn.c.id == start_id))
    return ScopeStatus(num_turns or 0, newest.num_prompt_tokens, start_at)


def _withdrawn(message_ids: Sequence[int]) -> Select[Any]:
    """The ids of the turns that messages hold: a member's with the bot's answers, or the bot's."""
    said = turn.c.source_message_id.in_(message_ids)
    shown = select(reply_message.c.turn_id).where(reply_message.c.message_id.in_(message_ids))
    gone = or_(said, turn.c.id.in_(answers_to(said)), turn.c.id.in_(shown))
    return select(turn.c.id).where(gone)
