"""SQL on the tree of turns: the way up, the answers, and making turns blank."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    literal,
    null,
    select,
    update,
)

from bot.dialogue.turn import Role, Turn
from bot.store.database.crypto import Cipher
from bot.store.database.database import Database
from bot.store.database.rows import TURN_COLUMNS, turn_of
from bot.store.database.scrubbing import note_aged
from bot.store.database.tables import candidate, conversation, inbox, turn
from bot.store.locking import lock

BLANK = b""
_BATCH = 500  # turns deleted in one transaction, so that other writers wait a moment only


def _path_query() -> Select[Any]:
    """From a turn towards the root, oldest first: each parent is looked up by its primary key."""
    walk = (
        select(turn.c.id, turn.c.parent_id, literal(1).label("depth"))
        .where(turn.c.id == bindparam("turn_id"))
        .cte("walk", recursive=True)
    )
    walk = walk.union_all(
        select(turn.c.id, turn.c.parent_id, walk.c.depth + 1).where(
            turn.c.id == walk.c.parent_id, walk.c.depth < bindparam("num_turns")
        )
    )
    return (
        select(*TURN_COLUMNS)
        .join(walk, turn.c.id == walk.c.id)
        .where(turn.c.text != BLANK)
        .order_by(walk.c.depth.desc())
    )


PATH = _path_query()  # of the turn `turn_id`, at most `num_turns` of them, blank ones left out


def path_of(connection: Connection, turn_id: int, num_turns: int, cipher: Cipher) -> list[Turn]:
    """The turns of PATH: O(num_turns) in a history of any length."""
    rows = connection.execute(PATH, {"turn_id": turn_id, "num_turns": num_turns})
    return [turn_of(row, cipher) for row in rows]


def path_from(turn_id: int, start_id: int) -> Select[Any]:
    """The ids from a turn up to its ancestor `start_id`: parents are older, so ids only fall."""
    walk = (
        select(turn.c.id, turn.c.parent_id).where(turn.c.id == turn_id).cte("walk", recursive=True)
    )
    walk = walk.union_all(
        select(turn.c.id, turn.c.parent_id).where(
            turn.c.id == walk.c.parent_id, turn.c.id >= start_id
        )
    )
    return select(walk.c.id)


def answers_to(said: ColumnElement[bool]) -> Select[Any]:
    """The ids of the bot's answers to the turns for which `said` is true."""
    asked = select(turn.c.id).where(said)
    return select(turn.c.id).where(turn.c.parent_id.in_(asked), turn.c.role == Role.BOT)


def blank(connection: Connection, turn_ids: Select[Any]) -> int:
    """Empty the texts of turns and drop what was not chosen for them; returns how many.

    The scores go, too: how much a reply echoes says something of what was said.
    """
    connection.execute(delete(candidate).where(candidate.c.turn_id.in_(turn_ids)))
    done = connection.execute(
        update(turn)
        .where(turn.c.id.in_(turn_ids))
        .values(text=BLANK, num_tokens=None, scores=null())
    )
    return done.rowcount


async def delete_turns(database: Database, condition: ColumnElement[bool]) -> int:
    """Delete turns, a batch in a transaction; heads and children let go of them by themselves."""
    batch = select(turn.c.id).where(condition).order_by(turn.c.id).limit(_BATCH)

    def delete_batch(connection: Connection) -> int:
        ids = connection.scalars(batch).all()
        if ids:
            # their heads and rows, which let go of them, before the turns
            let_go = inbox.c.reply_turn_id.in_(ids), conversation.c.head_turn_id.in_(ids)
            lock(connection, messages=let_go[0], scopes=let_go[1])
            connection.execute(delete(turn).where(turn.c.id.in_(ids)))
            note_aged(connection)
        return len(ids)

    num_deleted = 0
    while True:
        num_gone = await database.write(delete_batch, may_take_long=True)
        num_deleted += num_gone
        if num_gone < _BATCH:
            return num_deleted
