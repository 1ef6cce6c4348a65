"""Overrides of SamplingParams by layer, in SQL."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, or_, select

from bot.dialogue.sampling import BOUNDS, Layer, Number, Overrides, Place, check
from bot.store.database.database import Database
from bot.store.database.rows import NO_ID, has, insert_or_replace
from bot.store.database.tables import sampling_override

_ROW = sampling_override.c
_VALUES = select(_ROW.layer, _ROW.field, _ROW.value).where(_ROW.guild_id == bindparam("in_guild"))
_IS_MEMBERS = and_(_ROW.layer == Layer.MEMBER, _ROW.user_id == bindparam("of_user"))
_IS_CHANNELS = and_(_ROW.layer == Layer.CHANNEL, _ROW.channel_id == bindparam("in_channel"))
_OF_A_MEMBER = _VALUES.where(_IS_MEMBERS)
_AT_A_PLACE = _VALUES.where(or_(_ROW.layer == Layer.SERVER, _IS_CHANNELS, _IS_MEMBERS))


class SqlSampling:
    """A SamplingStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overrides(self, place: Place) -> Overrides:
        """What is set at `place`, by layer; in a direct message only the member's layer."""
        return await self._database.read(lambda connection: overrides_at(connection, place))

    async def save(self, layer: Layer, place: Place, values: Mapping[str, Number]) -> None:
        """Set `values` in `layer` at `place`; what is not named stays as it is.

        Raises InvalidSettingError, and ValueError for a server's layer in a direct message.
        """
        checked = {field: check(field, value) for field, value in values.items()}
        key = _key(layer, place)

        def put(connection: Connection) -> None:
            for field, value in checked.items():
                row = {**key, "field": field, "value": float(value)}
                insert_or_replace(connection, sampling_override, row)

        await self._database.write(put)

    async def clear(self, layer: Layer, place: Place) -> None:
        """Remove everything that is set in `layer` at `place`."""
        is_set = has(sampling_override, _key(layer, place))
        await self._database.execute(delete(sampling_override).where(is_set))


def overrides_at(connection: Connection, place: Place) -> Overrides:
    """See SqlSampling.overrides."""
    query = _AT_A_PLACE if place.guild_id else _OF_A_MEMBER
    ids = (place.guild_id or NO_ID, place.channel_id, place.user_id)
    names = ("in_guild", "in_channel", "of_user")
    found: dict[Layer, dict[str, Number]] = {}
    for layer, field, value in connection.execute(query, dict(zip(names, ids, strict=True))):
        found.setdefault(Layer(layer), {})[field] = _number(field, value)
    return found


def _key(layer: Layer, place: Place) -> dict[str, Any]:
    """The key of a layer's rows: an id that plays no part in it is NO_ID.

    A member's values are theirs in one server; in direct messages they have others.
    """
    if layer is Layer.DEFAULT:
        raise ValueError("the defaults come from the settings and are not stored")
    if layer is not Layer.MEMBER and not place.guild_id:
        raise ValueError("a direct message has no server whose layers could change")
    return {
        "layer": layer,
        "guild_id": place.guild_id or NO_ID,
        "channel_id": place.channel_id if layer is Layer.CHANNEL else NO_ID,
        "user_id": place.user_id if layer is Layer.MEMBER else NO_ID,
    }


def _number(field: str, value: float) -> Number:
    """A stored value as the number that its field takes; a field that is gone keeps the float."""
    bound = BOUNDS.get(field)
    return value if bound is None else bound.kind(value)
