"""What is kept for a server, and the language of a member, in SQL."""

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Delete,
    Table,
    delete,
    func,
    literal,
    or_,
    select,
    union,
    update,
)

from bot.delivery.clocks import Clock, utc_now
from bot.ports import KeptChannel
from bot.store.database.database import Database
from bot.store.database.rows import NO_ID, insert_or_replace
from bot.store.database.tables import (
    conversation,
    inbox,
    member_locale,
    sampling_override,
    server_setting,
    turn,
)
from bot.store.inbox import forget_rows
from bot.store.locking import lock
from bot.store.tree import delete_turns


class SqlServers:
    """A ServerStore."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def setting(self, guild_id: int, name: str) -> str | None:
        """A stored value; guild 0 stands for the bot itself."""
        table = server_setting.c
        query = select(table.value).where(table.guild_id == guild_id, table.name == name)
        return await self._database.read(lambda connection: connection.scalar(query))

    async def save_setting(self, guild_id: int, name: str, value: str) -> None:
        """Store a value."""
        row = {"guild_id": guild_id, "name": name, "value": value}
        await self._database.write(
            lambda connection: insert_or_replace(connection, server_setting, row)
        )

    async def locale(self, user_id: int) -> str | None:
        """The locale that Discord last told us of a member."""
        query = select(member_locale.c.locale).where(member_locale.c.user_id == user_id)
        return await self._database.read(lambda connection: connection.scalar(query))

    async def save_locale(self, user_id: int, locale: str) -> None:
        """Remember a member's locale; writes only when it changed."""
        if await self.locale(user_id) == locale:
            return
        row = {"user_id": user_id, "locale": locale, "saved_at": self._clock()}
        await self._database.write(
            lambda connection: insert_or_replace(connection, member_locale, row)
        )

    async def servers(self) -> list[int]:
        """The ids of all servers of which something is kept."""
        tables = (turn, conversation, inbox, sampling_override, server_setting)
        columns = [table.c.guild_id for table in tables]
        query = union(*(select(one).where(one.is_not(None), one != NO_ID) for one in columns))
        return await self._database.read(lambda connection: sorted(connection.scalars(query).all()))

    async def purge_server(self, guild_id: int, channel_ids: Sequence[int]) -> None:
        """Delete all that is kept of a server that the bot left, with its channels' history.

        Rows know their server, so `channel_ids` may be incomplete. (A scope that was reset but
        never talked in does not; retention takes it.) The file is then written anew.
        """
        if guild_id == NO_ID:
            raise ValueError("guild 0 is the bot itself")
        await self._purge(
            lambda table: or_(table.c.guild_id == guild_id, table.c.channel_id.in_(channel_ids)),
            delete(server_setting).where(server_setting.c.guild_id == guild_id),
            delete(sampling_override).where(sampling_override.c.guild_id == guild_id),
        )
        await self._database.scrub()

    async def purge_channel(self, channel_id: int) -> None:
        """Delete all that is kept of a channel that is gone, with its threads, or of a thread."""
        hung = [
            select(table.c.channel_id).where(table.c.parent_channel_id == channel_id)
            for table in (conversation, inbox)
        ]
        threads = await self._database.read(
            lambda connection: connection.scalars(union(*hung)).all()
        )
        gone = [channel_id, *threads]
        await self._purge(
            lambda table: table.c.channel_id.in_(gone),
            delete(sampling_override).where(sampling_override.c.channel_id.in_(gone)),
        )

    async def channels(self) -> list[KeptChannel]:
        """The channels and threads of servers of which something is kept, oldest first."""
        no_parent = literal(NO_ID, BigInteger)
        parents = (  # no turn without its conversation
            (conversation, conversation.c.parent_channel_id),
            (inbox, func.coalesce(inbox.c.parent_channel_id, no_parent)),
            (sampling_override, no_parent),  # a thread has the settings of its channel
        )
        kept = union(
            *(
                select(table.c.channel_id, table.c.guild_id, parent.label("parent_id")).where(
                    table.c.channel_id != NO_ID, table.c.guild_id.is_not(None)
                )
                for table, parent in parents
            )
        ).subquery()
        query = select(kept.c.channel_id, func.max(kept.c.guild_id), func.max(kept.c.parent_id))
        grouped = query.group_by(kept.c.channel_id).order_by(kept.c.channel_id)
        return await self._database.read(
            lambda connection: [KeptChannel(*row) for row in connection.execute(grouped)]
        )

    async def save_parent(self, channel_id: int, parent_id: int) -> None:
        """Store which channel a thread hangs on, where that is not known; 0: it is no thread."""

        def fill(connection: Connection) -> None:
            lock(connection, scopes=conversation.c.channel_id == channel_id)
            for table in (conversation, turn):
                is_unknown = table.c.parent_channel_id.is_(None)
                rows = update(table).where(table.c.channel_id == channel_id, is_unknown)
                connection.execute(rows.values(parent_channel_id=parent_id))

        await self._database.write(fill, may_take_long=True)

    async def _purge(self, belongs: Callable[[Table], ColumnElement[bool]], *more: Delete) -> None:
        """Delete the rows that belong to a place, with what `more` deletes; then its turns.

        Its conversations go last: a purge that did not come to its end is known by them.
        """
        theirs, scopes = belongs(inbox), belongs(conversation)

        def begin(connection: Connection) -> None:
            lock(connection, messages=theirs, scopes=scopes)
            for change in more:
                connection.execute(change)
            forget_rows(connection, theirs)

        def end(connection: Connection) -> None:
            lock(connection, scopes=scopes)
            connection.execute(delete(conversation).where(scopes))

        await self._database.write(begin, may_take_long=True)
        await delete_turns(self._database, belongs(turn))
        await self._database.write(end, may_take_long=True)
