"""Overrides by layer, on both databases."""

import pytest

from bot.dialogue.sampling import Defaults, Layer, Place, SamplingParams, resolve
from bot.errors import InvalidSettingError
from bot.store.database.database import Database
from bot.store.sampling import SqlSampling

HERE = Place(guild_id=900, channel_id=500, user_id=7)
NEXT_DOOR = Place(guild_id=900, channel_id=501, user_id=8)
ELSEWHERE = Place(guild_id=901, channel_id=600, user_id=7)
DIRECT = Place(guild_id=None, channel_id=700, user_id=7)


@pytest.fixture
def sampling(database: Database) -> SqlSampling:
    return SqlSampling(database)


async def test_nothing_is_set_at_first(sampling: SqlSampling) -> None:
    assert await sampling.overrides(HERE) == {}


async def test_each_layer_reaches_as_far_as_it_says(sampling: SqlSampling) -> None:
    await sampling.save(Layer.SERVER, HERE, {"temperature": 0.5})
    await sampling.save(Layer.CHANNEL, HERE, {"top_k": 10})
    await sampling.save(Layer.MEMBER, HERE, {"top_p": 0.7})
    assert await sampling.overrides(HERE) == {
        Layer.SERVER: {"temperature": 0.5},
        Layer.CHANNEL: {"top_k": 10},
        Layer.MEMBER: {"top_p": 0.7},
    }
    assert await sampling.overrides(NEXT_DOOR) == {Layer.SERVER: {"temperature": 0.5}}
    assert await sampling.overrides(ELSEWHERE) == {}
    assert await sampling.overrides(DIRECT) == {}


async def test_direct_messages_know_only_the_member(sampling: SqlSampling) -> None:
    await sampling.save(Layer.MEMBER, DIRECT, {"temperature": 1.5})
    assert await sampling.overrides(DIRECT) == {Layer.MEMBER: {"temperature": 1.5}}
    assert await sampling.overrides(HERE) == {}
    for layer in (Layer.SERVER, Layer.CHANNEL):
        with pytest.raises(ValueError, match="has no server"):
            await sampling.save(layer, DIRECT, {"temperature": 1.5})
        with pytest.raises(ValueError, match="has no server"):
            await sampling.clear(layer, DIRECT)


async def test_saving_again_replaces_only_what_is_named(sampling: SqlSampling) -> None:
    await sampling.save(Layer.CHANNEL, HERE, {"temperature": 0.5, "top_k": 10})
    await sampling.save(Layer.CHANNEL, HERE, {"temperature": 0.6})
    assert await sampling.overrides(HERE) == {Layer.CHANNEL: {"temperature": 0.6, "top_k": 10}}


async def test_clearing_a_layer_leaves_the_others(sampling: SqlSampling) -> None:
    for layer in (Layer.SERVER, Layer.CHANNEL, Layer.MEMBER):
        await sampling.save(layer, HERE, {"temperature": 0.5})
    await sampling.save(Layer.CHANNEL, NEXT_DOOR, {"temperature": 0.5})
    await sampling.clear(Layer.CHANNEL, HERE)
    assert set(await sampling.overrides(HERE)) == {Layer.SERVER, Layer.MEMBER}
    assert Layer.CHANNEL in await sampling.overrides(NEXT_DOOR)


async def test_numbers_come_back_in_their_kind_and_in_full(sampling: SqlSampling) -> None:
    await sampling.save(Layer.SERVER, HERE, {"seed": 2**31 - 1, "temperature": 1, "min_p": 0.1})
    stored = (await sampling.overrides(HERE))[Layer.SERVER]
    assert repr(dict(sorted(stored.items()))) == repr(
        {"min_p": 0.1, "seed": 2**31 - 1, "temperature": 1.0}
    )
    effective = resolve(Defaults(SamplingParams()), await sampling.overrides(HERE))
    assert effective.params.seed == 2**31 - 1
    assert effective.layers["seed"] is Layer.SERVER


@pytest.mark.parametrize("values", [{"temperature": 9.0}, {"top_k": 0.5}, {"colour": 1}])
async def test_a_value_out_of_bounds_is_refused_before_anything_is_saved(
    sampling: SqlSampling, values: dict[str, float]
) -> None:
    with pytest.raises(InvalidSettingError):
        await sampling.save(Layer.SERVER, HERE, {"top_p": 0.5, **values})
    assert await sampling.overrides(HERE) == {}


async def test_the_defaults_are_not_stored(sampling: SqlSampling) -> None:
    with pytest.raises(ValueError, match="not stored"):
        await sampling.save(Layer.DEFAULT, HERE, {"temperature": 0.5})
