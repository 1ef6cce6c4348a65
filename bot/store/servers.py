"""What is kept for a server, and the language of a member, in SQL."""

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Connection, Delete, Table, delete, or_, select, union

from bot.store.database.database import Database
from bot.store.database.rows import NO_ID, Clock, insert_or_replace, utc_now
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
        """Delete all that is kept of a channel or thread that is gone."""
        await self._purge(
            lambda table: table.c.channel_id == channel_id,
            delete(sampling_override).where(sampling_override.c.channel_id == channel_id),
        )

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

        await self._database.write(begin)
        await delete_turns(self._database, belongs(turn))
        await self._database.write(end)
