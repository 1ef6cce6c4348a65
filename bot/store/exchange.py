"""Stores an exchange: its two turns, what was not chosen, the scope's new head, the inbox row.

Every statement is made once, here: making one for each exchange cost more than executing it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Update,
    bindparam,
    func,
    insert,
    literal,
    select,
    update,
)

from bot.answering.ports import Draft, Head
from bot.dialogue.turn import Exchange, Role, Scope, Turn, Utterance
from bot.errors import ScopeMovedError
from bot.store.database.crypto import Cipher
from bot.store.database.rows import (
    NO_ID,
    TURN_COLUMNS,
    has,
    insert_new,
    parameter,
    scope_columns,
    turn_of,
)
from bot.store.database.tables import candidate, conversation, inbox, turn
from bot.store.inbox import State
from bot.store.locking import lock
from bot.store.tree import BLANK

# What an exchange builds on: the inbox row, the parent and how many of the turns that it was made
# of have words; in one row that is always there, since either of the first two may be missing.
_WORDS = turn.alias()
_NUM_STANDING = (
    select(func.count())
    .select_from(_WORDS)
    .where(
        _WORDS.c.id.in_(bindparam("made_of", expanding=True, type_=turn.c.id.type)),
        _WORDS.c.text != BLANK,
    )
    .scalar_subquery()
)
_ALWAYS = select(literal(1).label("one")).subquery()
_GROUND = (
    select(
        inbox.c.state,
        inbox.c.text,
        turn.c.id.label("parent_id"),
        turn.c.channel_id,
        turn.c.user_id,
        _NUM_STANDING.label("num_standing"),
    )
    .select_from(_ALWAYS)
    .outerjoin(inbox, inbox.c.message_id == bindparam("message_id"))
    .outerjoin(turn, turn.c.id == parameter("of_parent", turn.c.id))
)
_NEW_TURN = insert(turn).returning(*TURN_COLUMNS)
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
        parent_channel_id=parameter("hangs_on", conversation.c.parent_channel_id),
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
        draft = self.draft
        self._lock(connection)
        ids = {"message_id": draft.said.message_id, "of_parent": draft.parent_id}
        ground = connection.execute(_GROUND, {**ids, "made_of": draft.made_of_ids}).one()
        said_text = _text_now(ground, self.draft.said, self.cipher)
        if ground.num_standing < len(draft.made_of_ids):  # erased while the reply was made
            raise ScopeMovedError
        _check_parent(ground, draft)
        user = self._insert(connection, Role.USER, said_text, self._said_columns(said_text))
        bot = self._insert(connection, Role.BOT, self.draft.text, self._reply_columns(user.turn_id))
        self._insert_rejected(connection, bot.turn_id)
        self._move_head(connection, bot.turn_id)
        answered = {"sealed": self.cipher.seal(self.draft.text), "by_turn": bot.turn_id}
        connection.execute(_IS_ANSWERED, {"answers": self.draft.said.message_id, **answered})
        return Exchange(user, bot)

    def _lock(self, connection: Connection) -> None:
        """Wait for what changes the rows that this exchange builds on, and keep it waiting."""
        said = self.draft.said
        lock(
            connection,
            messages=inbox.c.message_id == said.message_id,
            scopes=has(conversation, scope_columns(said.scope)),
            parent_id=self.draft.parent_id,
        )

    def _insert(
        self, connection: Connection, role: Role, text: str, columns: dict[str, Any]
    ) -> Turn:
        """Insert a turn with the columns that both have, and these."""
        row = {
            **scope_columns(self.draft.said.scope),
            "guild_id": self.draft.said.guild_id,
            "parent_channel_id": self.draft.said.parent_channel_id or NO_ID,
            "role": role,
            "origin": self.origin,
            "text": self.cipher.seal(text),
            "tokenizer": self.draft.tokenizer,
            "epoch": self.expected.epoch,
            **columns,
        }
        return turn_of(connection.execute(_NEW_TURN, row).one(), self.cipher)

    def _said_columns(self, text: str) -> dict[str, Any]:
        """What only the turn of the utterance holds; `text` is its text as it reads now."""
        said = self.draft.said
        return {
            "parent_id": self.draft.parent_id,
            "author_id": said.author_id,
            "num_tokens": self.draft.num_tokens[0] if text == said.text else None,
            "source_message_id": said.message_id,
            "created_at": said.created_at,
        }

    def _reply_columns(self, user_turn_id: int) -> dict[str, Any]:
        """What only the turn of the reply holds."""
        draft, start_id = self.draft, self.draft.context_start_id
        return {
            "parent_id": user_turn_id,
            "num_tokens": draft.num_tokens[1],
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
        """Insert the candidates that were not chosen, in the order of their rank."""
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
        """Move the head from where it was expected; raises ScopeMovedError where it is not."""
        said, expected = self.draft.said, self.expected
        if expected.turn_id is None and expected.epoch == 0:  # perhaps the scope has no row yet
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
                "hangs_on": said.parent_channel_id or NO_ID,
            },
        )
        if not moved.rowcount:
            raise ScopeMovedError


def ensure_conversation(connection: Connection, scope: Scope, now: datetime) -> None:
    """Give `scope` the row that its head and epoch stand in, unless it has one."""
    row = {**scope_columns(scope), "epoch": 0, "touched_at": now}
    insert_new(connection, conversation, row)


def next_epoch(scope: Scope, now: datetime) -> Update:
    """The statement that resets `scope`, which has a row: what was said before is not continued."""
    return (
        update(conversation)
        .where(has(conversation, scope_columns(scope)))
        .values(epoch=conversation.c.epoch + 1, head_turn_id=None, touched_at=now)
    )


def _text_now(ground: Row[*tuple[Any, ...]], said: Utterance, cipher: Cipher) -> str:
    """The utterance as it reads now; raises ScopeMovedError where it is not to be answered."""
    if ground.state is None:  # the terminal keeps no inbox; nor could an outage be noted in it
        return said.text
    if ground.state != State.PENDING:
        raise ScopeMovedError
    return cipher.open(ground.text) or said.text


def _check_parent(ground: Row[*tuple[Any, ...]], draft: Draft) -> None:
    """A parent is in the same scope, or in the channel that the thread hangs on.

    The last fence: nothing of a member's private scope may reach another member's.
    """
    if draft.parent_id is None:
        return
    if ground.parent_id is None:  # retention or an erasure took it while the reply was made
        raise ScopeMovedError
    scope = draft.said.scope
    near = ground.channel_id in {scope.channel_id, draft.said.parent_channel_id}
    if not near or ground.user_id not in {NO_ID, scope.user_id}:
        raise ValueError(f"turn {draft.parent_id} belongs to another scope than {scope}")
