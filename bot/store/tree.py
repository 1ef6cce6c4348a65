"""SQL on the tree of turns: the way up, and making turns blank."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, literal, null, select, update

from bot.store.database import Database
from bot.store.scrubbing import note_aged
from bot.store.tables import candidate, turn

BLANK = b""
_BATCH = 500  # turns deleted in one transaction, so that nobody waits long to write


def path_of(turn_id: int, num_turns: int) -> Select[Any]:
    """The rows from a turn towards the root, at most `num_turns`, oldest first, blank ones out.

    A recursive query that looks each parent up by its primary key: O(num_turns) in a history of
    any length.
    """
    walk = (
        select(turn.c.id, turn.c.parent_id, literal(1).label("depth"))
        .where(turn.c.id == turn_id)
        .cte("walk", recursive=True)
    )
    walk = walk.union_all(
        select(turn.c.id, turn.c.parent_id, walk.c.depth + 1).where(
            turn.c.id == walk.c.parent_id, walk.c.depth < num_turns
        )
    )
    return (
        select(turn)
        .join(walk, turn.c.id == walk.c.id)
        .where(turn.c.text != BLANK)
        .order_by(walk.c.depth.desc())
    )


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
        done = connection.execute(delete(turn).where(turn.c.id.in_(batch)))
        if done.rowcount:
            note_aged(connection)
        return done.rowcount

    num_deleted = 0
    while True:
        num_gone = await database.write(delete_batch)
        num_deleted += num_gone
        if num_gone < _BATCH:
            return num_deleted
