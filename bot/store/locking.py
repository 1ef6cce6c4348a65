"""The rows that are locked first, so that what stores words and what takes them away take turns.

On PostgreSQL units of work run side by side, and none sees what another has not committed yet: an
erasure that looks for words would miss those of an exchange that is being stored. So each unit
that stores, changes or deletes words begins with `lock`: the second one waits there for the first
and sees afterwards what it left. The order is the same everywhere, or two could wait for each
other for ever:

1. rows of `inbox`, by message id;
2. rows of `conversation`, by channel id, then user id;
3. rows of `turn`.

SQLite has one writer at a time, whose transaction begins with the lock: nothing is done there.
"""

from sqlalchemy import ColumnElement, Connection, Select, select, tuple_

from bot.store.database.tables import conversation, inbox, turn


def lock(
    connection: Connection,
    *,
    messages: ColumnElement[bool] | None = None,
    scopes: ColumnElement[bool] | None = None,
    parent_id: int | None = None,
) -> None:
    """Lock rows of the inbox and of conversations, and a turn that is to be a parent.

    Locked turns may still be blanked, but not deleted.
    """
    if connection.dialect.name == "sqlite":
        return
    if messages is not None:
        rows = select(inbox.c.message_id).where(messages).order_by(inbox.c.message_id)
        connection.execute(rows.with_for_update()).all()
    if scopes is not None:
        key = (conversation.c.channel_id, conversation.c.user_id)
        connection.execute(select(*key).where(scopes).order_by(*key).with_for_update()).all()
    if parent_id is not None:
        parent = select(turn.c.id).where(turn.c.id == parent_id)
        connection.execute(parent.with_for_update(read=True, key_share=True)).all()


def scopes_of(turn_ids: Select[tuple[int]]) -> ColumnElement[bool]:
    """Whether a conversation is one that these turns belong to; for `lock` alone."""
    places = select(turn.c.channel_id, turn.c.user_id).where(turn.c.id.in_(turn_ids))
    return tuple_(conversation.c.channel_id, conversation.c.user_id).in_(places)
