"""Stores an exchange: its two turns, what was not chosen, the scope's new head, the inbox row.

Every statement is made once, here: making it anew for each exchange cost more than executing it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, literal, select, update

from bot.answering.ports import Draft, Head
from bot.dialogue.turn import Exchange, Role, Scope, Turn, Utterance
from bot.errors import ScopeMovedError
from bot.store.database.crypto import Cipher
from bot.store.database.rows import insert_new, parameter, scope_columns
from bot.store.database.tables import candidate, conversation, inbox, turn
from bot.store.inbox import State

# What an exchange builds on: the inbox row and the parent, in one row that is always there,
# since either of the two may be missing.
_ALWAYS = select(literal(1).label("one")).subquery()
_GROUND = (
    select(
        inbox.c.state,
        inbox.c.text,
        turn.c.id.label("parent_id"),
        turn.c.channel_id,
        turn.c.user_id,
    )
    .select_from(_ALWAYS)
    .outerjoin(inbox, inbox.c.message_id == bindparam("message_id"))
    .outerjoin(turn, turn.c.id == parameter("of_parent", turn.c.id))
)
_NEW_TURN = insert(turn).returning(turn.c.id)
_HEAD_MOVES = (
    update(conversation)
    .where(
        conversation.c.channel_id == bindparam("in_channel"),
        conversation.c.user_id == bindparam("of_user"),
        conversation.c.head_turn_id.is_not_distinct_from(
            parameter("from_turn", conversation.c.head_turn_id)
        ),
        conversation.c.epoch == bindparam("in_epoch"),
    )
    .values(
        head_turn_id=parameter("to_turn", conversation.c.head_turn_id),
        touched_at=parameter("now", conversation.c.touched_at),
        guild_id=parameter("in_guild", conversation.c.guild_id),
    )
)
_IS_ANSWERED = (
    update(inbox)
    .where(inbox.c.message_id == bindparam("answers"))
    .values(
        state=State.ANSWERED,
        reply_text=parameter("sealed", inbox.c.reply_text),
        reply_turn_id=parameter("by_turn", inbox.c.reply_turn_id),
    )
)


@dataclass(frozen=True, slots=True)
class Storing:
    """One exchange on its way into the database. `expected` is the head that it was made from."""

    draft: Draft
    expected: Head
    origin: str
    now: datetime
    cipher: Cipher

    def __call__(self, connection: Connection) -> Exchange:
        """The exchange, stored; raises ScopeMovedError where something moved under it."""
        ids = {"message_id": self.draft.said.message_id, "of_parent": self.draft.parent_id}
        ground = connection.execute(_GROUND, ids).one()
        said_text = _text_now(ground, self.draft.said, self.cipher)
        _check_parent(ground, self.draft)
        user = self._insert(connection, said_text, self._said_row(said_text))
        bot = self._insert(connection, self.draft.text, self._reply_row(user.turn_id))
        self._insert_rejected(connection, bot.turn_id)
        self._move_head(connection, bot.turn_id)
        answered = {"sealed": self.cipher.seal(self.draft.text), "by_turn": bot.turn_id}
        connection.execute(_IS_ANSWERED, {"answers": self.draft.said.message_id, **answered})
        return Exchange(user, bot)

    def _insert(self, connection: Connection, text: str, row: dict[str, Any]) -> Turn:
        turn_id = connection.execute(_NEW_TURN, row).scalar_one()
        return Turn(
            turn_id=turn_id,
            scope=self.draft.said.scope,
            parent_id=row["parent_id"],
            role=row["role"],
            text=text,
            author_id=row["author_id"],
            epoch=row["epoch"],
            created_at=row["created_at"],
            context_start_id=row.get("context_start_id"),
        )

    def _said_row(self, text: str) -> dict[str, Any]:
        said = self.draft.said
        return {
            **scope_columns(said.scope),
            "guild_id": said.guild_id,
            "parent_id": self.draft.parent_id,
            "role": Role.USER,
            "author_id": said.author_id,
            "origin": self.origin,
            "text": self.cipher.seal(text),
            "num_tokens": self.draft.num_tokens[0] if text == said.text else None,
            "tokenizer": self.draft.tokenizer,
            "source_message_id": said.message_id,
            "epoch": self.expected.epoch,
            "created_at": said.created_at,
        }

    def _reply_row(self, user_turn_id: int) -> dict[str, Any]:
        draft, start_id = self.draft, self.draft.context_start_id
        return {
            **scope_columns(draft.said.scope),
            "guild_id": draft.said.guild_id,
            "parent_id": user_turn_id,
            "role": Role.BOT,
            "author_id": None,
            "origin": self.origin,
            "text": self.cipher.seal(draft.text),
            "num_tokens": draft.num_tokens[1],
            "tokenizer": draft.tokenizer,
            "epoch": self.expected.epoch,
            "created_at": self.now,
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

    def _insert_rejected(self, connection: Connection, turn_id: int) -> None:
        rows = [
            {
                "turn_id": turn_id,
                "rank": rank,
                "text": self.cipher.seal(rejected.text),
                "scores": dict(rejected.scores),
            }
            for rank, rejected in enumerate(self.draft.rejected, start=1)
        ]
        if rows:
            connection.execute(insert(candidate), rows)

    def _move_head(self, connection: Connection, turn_id: int) -> None:
        said, expected = self.draft.said, self.expected
        if expected.turn_id is None and expected.epoch == 0:  # perhaps nobody spoke here before
            ensure_conversation(connection, said.scope, self.now)
        columns = scope_columns(said.scope)
        moved = connection.execute(
            _HEAD_MOVES,
            {
                "in_channel": columns["channel_id"],
                "of_user": columns["user_id"],
                "from_turn": expected.turn_id,
                "in_epoch": expected.epoch,
                "to_turn": turn_id,
                "now": self.now,
                "in_guild": said.guild_id,
            },
        )
        if not moved.rowcount:
            raise ScopeMovedError


def ensure_conversation(connection: Connection, scope: Scope, now: datetime) -> None:
    """Give `scope` the row that its head and epoch stand in, unless it has one."""
    row = {**scope_columns(scope), "epoch": 0, "touched_at": now}
    insert_new(connection, conversation, row)


def _text_now(ground: Row[*tuple[Any, ...]], said: Utterance, cipher: Cipher) -> str:
    if ground.state is None:  # the terminal keeps no inbox; nor could an outage be noted in it
        return said.text
    if ground.state != State.PENDING:
        raise ScopeMovedError
    return cipher.open(ground.text) or said.text


def _check_parent(ground: Row[*tuple[Any, ...]], draft: Draft) -> None:
    """A parent is in the same scope, or in the channel that the thread hangs on.

    The last fence: nothing of a member's private scope may reach anybody else's.
    """
    if draft.parent_id is None:
        return
    if ground.parent_id is None:  # retention or an erasure took it while the reply was made
        raise ScopeMovedError
    scope = draft.said.scope
    near = ground.channel_id in {scope.channel_id, draft.said.parent_channel_id}
    if not near or ground.user_id not in {0, scope.user_id}:
        raise ValueError(f"turn {draft.parent_id} belongs to another scope than {scope}")
