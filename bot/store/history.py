"""The tree of turns in SQL."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, literal, or_, select, update

from bot.dialogue.turn import Exchange, Role, Scope, Turn, Utterance
from bot.errors import ScopeMovedError
from bot.ports import Draft, Head, ScopeStatus
from bot.store.database import Database
from bot.store.inbox import State
from bot.store.rows import Clock, in_scope, insert_new, scope_columns, turn_of, utc_now
from bot.store.tables import candidate, conversation, inbox, reply_message, turn
from bot.store.tree import BLANK, blank, path_from, path_of


class SqlHistory:
    """A HistoryStore; `origin` says where its turns come from: discord, playground or console."""

    def __init__(self, database: Database, *, origin: str, clock: Clock = utc_now) -> None:
        self._database = database
        self._origin = origin
        self._clock = clock

    async def head(self, scope: Scope) -> Head:
        """Where `scope` stands; a scope that nobody used yet has an empty Head."""
        return await self._database.read(lambda connection: _head(connection, scope))

    async def turn_of_message(self, message_id: int) -> Turn | None:
        """The turn that a Discord message holds (the bot's or a member's), or None."""
        shown = select(reply_message.c.turn_id).where(reply_message.c.message_id == message_id)
        query = (
            select(turn)
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
        query = path_of(turn_id, num_turns)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [turn_of(row, self._database.cipher) for row in rows]

    async def remember(self, draft: Draft, expected: Head) -> Exchange:
        """Store an exchange, its candidates and the inbox row's next state in one transaction.

        Raises ScopeMovedError if the scope's head or epoch is not `expected` any more, and if
        the message was withdrawn, erased or answered meanwhile. A message that was edited
        meanwhile is remembered as it reads now.
        """

        def store(connection: Connection) -> Exchange:
            said_text = self._text_now(connection, draft.said)
            _check_parent(connection, draft)
            said = self._said_values(draft, expected, said_text)
            user = self._insert(connection, said)
            reply = self._reply_values(draft, expected, user.turn_id)
            bot = self._insert(connection, reply)
            self._insert_rejected(connection, draft, bot.turn_id)
            self._move_head(connection, draft.said, expected, bot.turn_id)
            self._answered(connection, draft, bot.turn_id)
            return Exchange(user, bot)

        return await self._database.write(store)

    async def reset(self, scope: Scope) -> None:
        """Add one to the scope's epoch and empty its head."""
        next_epoch = update(conversation).where(in_scope(conversation, scope))
        next_epoch = next_epoch.values(
            epoch=conversation.c.epoch + 1, head_turn_id=None, touched_at=self._clock()
        )

        def move(connection: Connection) -> None:
            self._ensure_conversation(connection, scope)
            connection.execute(next_epoch)

        await self._database.write(move)

    async def revise(self, message_id: int, text: str) -> None:
        """Replace the text of the user turn of an edited message; "" withdraws it."""
        if not text:
            await self.withdraw([message_id])
            return
        if not await self._knows([message_id]):
            return
        sealed = self._database.cipher.seal(text)

        def replace(connection: Connection) -> None:
            connection.execute(
                update(turn)
                .where(turn.c.source_message_id == message_id, turn.c.text != BLANK)
                .values(text=sealed, num_tokens=None)
            )
            connection.execute(
                update(inbox)
                .where(inbox.c.message_id == message_id, inbox.c.state != State.DONE)
                .values(text=sealed)
            )

        await self._database.write(replace)

    async def withdraw(self, message_ids: Sequence[int]) -> None:
        """Blank the turns of deleted messages: a member's with the bot's answers, or the bot's."""
        if not message_ids or not await self._knows(message_ids):
            return
        gone = _withdrawn(message_ids)

        def empty(connection: Connection) -> None:
            blank(connection, gone)
            connection.execute(
                update(inbox)
                .where(or_(inbox.c.message_id.in_(message_ids), inbox.c.reply_turn_id.in_(gone)))
                .values(state=State.DONE, text=BLANK, reply_text=None)
            )

        await self._database.write(empty)

    async def status(self, scope: Scope) -> ScopeStatus:
        """What the newest reply of `scope` was made of; it costs O(turns in its context)."""
        return await self._database.read(lambda connection: _status(connection, scope))

    async def _knows(self, message_ids: Sequence[int]) -> bool:
        """Whether we keep anything of these messages: most that change are not ours."""
        columns = (turn.c.source_message_id, reply_message.c.message_id, inbox.c.message_id)
        kept = (select(literal(1)).where(column.in_(message_ids)).exists() for column in columns)
        query = select(or_(*kept))
        return bool(await self._database.read(lambda connection: connection.scalar(query)))

    def _text_now(self, connection: Connection, said: Utterance) -> str:
        query = select(inbox.c.state, inbox.c.text).where(inbox.c.message_id == said.message_id)
        row = connection.execute(query).one_or_none()
        if row is None:  # the terminal keeps no inbox; nor could an outage be noted in it
            return said.text
        if row.state != State.PENDING:
            raise ScopeMovedError
        return self._database.cipher.open(row.text) or said.text

    def _insert(self, connection: Connection, values: dict[str, Any]) -> Turn:
        query = insert(turn).values(values).returning(turn)
        return turn_of(connection.execute(query).one(), self._database.cipher)

    def _said_values(self, draft: Draft, expected: Head, text: str) -> dict[str, Any]:
        said = draft.said
        return {
            **scope_columns(said.scope),
            "guild_id": said.guild_id,
            "parent_id": draft.parent_id,
            "role": Role.USER,
            "author_id": said.author_id,
            "origin": self._origin,
            "text": self._database.cipher.seal(text),
            "num_tokens": draft.num_tokens[0] if text == said.text else None,
            "tokenizer": draft.tokenizer,
            "source_message_id": said.message_id,
            "epoch": expected.epoch,
            "created_at": said.created_at,
        }

    def _reply_values(self, draft: Draft, expected: Head, user_turn_id: int) -> dict[str, Any]:
        start_id = draft.context_start_id
        return {
            **scope_columns(draft.said.scope),
            "guild_id": draft.said.guild_id,
            "parent_id": user_turn_id,
            "role": Role.BOT,
            "author_id": None,
            "origin": self._origin,
            "text": self._database.cipher.seal(draft.text),
            "num_tokens": draft.num_tokens[1],
            "tokenizer": draft.tokenizer,
            "epoch": expected.epoch,
            "created_at": self._clock(),
            "context_start_id": user_turn_id if start_id is None else start_id,
            "num_prompt_tokens": draft.num_prompt_tokens,
            "model": draft.model,
            "revision": draft.revision,
            "params": asdict(draft.params),
            "seed": draft.seed,
            "finish_reason": draft.finish_reason,
            "latency_ms": draft.latency_ms,
            "scores": dict(draft.scores),
        }

    def _insert_rejected(self, connection: Connection, draft: Draft, turn_id: int) -> None:
        rows = [
            {
                "turn_id": turn_id,
                "rank": rank,
                "text": self._database.cipher.seal(rejected.text),
                "scores": dict(rejected.scores),
            }
            for rank, rejected in enumerate(draft.rejected, start=1)
        ]
        if rows:
            connection.execute(insert(candidate), rows)

    def _move_head(
        self, connection: Connection, said: Utterance, expected: Head, turn_id: int
    ) -> None:
        self._ensure_conversation(connection, said.scope)
        moved = connection.execute(
            update(conversation)
            .where(
                in_scope(conversation, said.scope),
                conversation.c.head_turn_id.is_not_distinct_from(expected.turn_id),
                conversation.c.epoch == expected.epoch,
            )
            .values(head_turn_id=turn_id, touched_at=self._clock(), guild_id=said.guild_id)
        )
        if not moved.rowcount:
            raise ScopeMovedError

    def _answered(self, connection: Connection, draft: Draft, turn_id: int) -> None:
        connection.execute(
            update(inbox)
            .where(inbox.c.message_id == draft.said.message_id)
            .values(
                state=State.ANSWERED,
                reply_text=self._database.cipher.seal(draft.text),
                reply_turn_id=turn_id,
            )
        )

    def _ensure_conversation(self, connection: Connection, scope: Scope) -> None:
        values = {**scope_columns(scope), "epoch": 0, "touched_at": self._clock()}
        connection.execute(insert_new(connection, conversation, values))


def _head(connection: Connection, scope: Scope) -> Head:
    query = (
        select(conversation.c.head_turn_id, conversation.c.epoch, turn.c.created_at)
        .outerjoin(turn, turn.c.id == conversation.c.head_turn_id)
        .where(in_scope(conversation, scope))
    )
    row = connection.execute(query).one_or_none()
    return Head() if row is None else Head(*row)


def _status(connection: Connection, scope: Scope) -> ScopeStatus:
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


def _check_parent(connection: Connection, draft: Draft) -> None:
    """A parent is in the same scope, or in the channel that the thread hangs on.

    The last fence: nothing of a member's private scope may reach anybody else's.
    """
    if draft.parent_id is None:
        return
    query = select(turn.c.channel_id, turn.c.user_id).where(turn.c.id == draft.parent_id)
    parent = connection.execute(query).one_or_none()
    if parent is None:  # retention or an erasure took it while the reply was made
        raise ScopeMovedError
    scope = draft.said.scope
    near = parent.channel_id in {scope.channel_id, draft.said.parent_channel_id}
    if not near or parent.user_id not in {0, scope.user_id}:
        raise ValueError(f"turn {draft.parent_id} belongs to another scope than {scope}")


def _withdrawn(message_ids: Sequence[int]) -> Select[Any]:
    said: ColumnElement[bool] = turn.c.source_message_id.in_(message_ids)
    answers = turn.c.parent_id.in_(select(turn.c.id).where(said)) & (turn.c.role == Role.BOT)
    shown = select(reply_message.c.turn_id).where(reply_message.c.message_id.in_(message_ids))
    return select(turn.c.id).where(or_(said, answers, turn.c.id.in_(shown)))
