from pathlib import Path
from typing import Any

import pytest

from bot.dialogue.sampling import BOUNDS, PRESETS, Layer, Place
from tests.cogs.commands_bot import AWAY, commands_world, text_of

MANAGE_NOTHING = 0
MANAGE_CHANNELS = 1 << 4
MANAGE_GUILD = 1 << 5
ADMINISTRATOR = 1 << 3


async def test_a_value_counts_for_the_member_who_set_it(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        result = await world.alice.slash(world.channel, "settings", temperature=0.5, top_k=20)
        assert await world.stored(world.place()) == {
            Layer.MEMBER: {"temperature": 0.5, "top_k": 20}
        }
        assert await world.stored(world.place(world.moderator)) == {}
        assert result.ephemeral
        assert "Set for you in this server: `temperature` 0.5, `top_k` 20." in text_of(result)


async def test_a_value_for_the_channel_or_the_server_needs_the_permission(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        for apply_to, permission in (("channel", "Manage Channels"), ("server", "Manage Server")):
            result = await world.alice.slash(
                world.channel, "settings", temperature=0.5, apply_to=apply_to
            )
            assert permission in text_of(result)
            assert result.ephemeral
        assert await world.stored(world.place()) == {}


@pytest.mark.parametrize(
    ("apply_to", "granted"),
    [
        ("channel", MANAGE_CHANNELS),
        ("channel", ADMINISTRATOR),
        ("server", MANAGE_GUILD),
        ("server", ADMINISTRATOR),
    ],
)
async def test_the_permission_is_that_of_the_interaction(
    tmp_path: Path, apply_to: str, granted: int
) -> None:
    async with commands_world(tmp_path) as world:
        options: dict[str, Any] = {"temperature": 0.5, "apply_to": apply_to}
        other = MANAGE_GUILD if granted == MANAGE_CHANNELS else MANAGE_CHANNELS
        for refused in (MANAGE_NOTHING, *([other] if granted != ADMINISTRATOR else [])):
            await world.use(
                world.moderator, world.channel, "settings", permissions=refused, **options
            )
            assert await world.stored(world.place()) == {}
        await world.use(world.alice, world.channel, "settings", permissions=granted, **options)
        assert await world.stored(world.place()) == {Layer(apply_to): {"temperature": 0.5}}


async def test_a_thread_has_the_settings_of_its_channel(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        thread = world.stage.thread()
        await world.moderator.slash(thread, "settings", top_p=0.5, apply_to="channel")
        assert await world.stored(world.place()) == {Layer.CHANNEL: {"top_p": 0.5}}
        shown = await world.alice.slash(thread, "settings")
        assert "this channel" in line_of(text_of(shown), "top_p")


async def test_a_direct_message_knows_only_the_member(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        user = world.alice.user
        for apply_to in ("channel", "server"):
            result = await user.slash("settings", temperature=0.5, apply_to=apply_to)
            assert text_of(result) == ("That works only in a server, not in a direct message.")
        assert await world.stored(world.place()) == {}
        result = await user.slash("settings", temperature=0.5)
        assert "in our direct messages" in text_of(result)
        place = Place(None, user.dm_channel.id, user.id)
        assert await world.stored(place) == {Layer.MEMBER: {"temperature": 0.5}}
        assert await world.stored(world.place()) == {}


async def test_a_preset_sets_all_its_values_and_named_ones_win_over_it(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.alice.slash(world.channel, "settings", preset="creative", top_k=7)
        expected = {**PRESETS["creative"], "top_k": 7}
        assert await world.stored(world.place()) == {Layer.MEMBER: expected}


@pytest.mark.parametrize("preset", PRESETS)
async def test_every_preset_is_offered(tmp_path: Path, preset: str) -> None:
    async with commands_world(tmp_path) as world:
        await world.alice.slash(world.channel, "settings", preset=preset)
        assert await world.stored(world.place()) == {Layer.MEMBER: dict(PRESETS[preset])}


async def test_defaults_empties_one_layer_and_no_other(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.moderator.slash(world.channel, "settings", top_k=9, apply_to="channel")
        await world.alice.slash(world.channel, "settings", temperature=0.5)
        result = await world.alice.slash(world.channel, "settings", preset="defaults")
        assert await world.stored(world.place()) == {Layer.CHANNEL: {"top_k": 9}}
        assert "is gone" in text_of(result)
        refused = await world.alice.slash(
            world.channel, "settings", preset="defaults", apply_to="channel"
        )
        assert "Manage Channels" in text_of(refused)
        assert await world.stored(world.place()) == {Layer.CHANNEL: {"top_k": 9}}


async def test_defaults_with_a_value_leaves_only_that_value(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.alice.slash(world.channel, "settings", temperature=0.5, top_k=9)
        await world.alice.slash(world.channel, "settings", preset="defaults", top_p=0.5)
        assert await world.stored(world.place()) == {Layer.MEMBER: {"top_p": 0.5}}


async def test_who_changes_a_channel_is_told_that_their_own_setting_wins(
    tmp_path: Path,
) -> None:
    async with commands_world(tmp_path) as world:
        await world.moderator.slash(world.channel, "settings", temperature=0.9)
        result = await world.moderator.slash(
            world.channel, "settings", temperature=0.5, apply_to="channel"
        )
        assert "your own setting wins: `temperature` 0.9" in text_of(result)


async def test_bare_settings_lists_every_value_privately(tmp_path: Path) -> None:
    async with commands_world(tmp_path, temperature=0.7) as world:
        await world.moderator.slash(world.channel, "settings", top_k=9, apply_to="server")
        await world.alice.slash(world.channel, "settings", min_p=0.1)
        result = await world.alice.slash(world.channel, "settings")
        text = text_of(result)
        assert result.ephemeral
        expected = {
            "temperature": ("0.7", "default"),
            "top_k": ("9", "this server"),
            "min_p": ("0.1", "you"),
        }
        for name in BOUNDS:
            value, layer = expected.get(name, ("", "default (dialogpt)"))
            assert line_of(text, name).endswith(layer)
            assert value in line_of(text, name)


@pytest.mark.parametrize("name", BOUNDS)
async def test_a_forged_value_out_of_its_bounds_is_refused(tmp_path: Path, name: str) -> None:
    bound = BOUNDS[name]
    async with commands_world(tmp_path) as world:
        for forged in (bound.high + 1, bound.low - 1, 10**400):
            option: dict[str, Any] = {name: forged}
            result = await world.use(world.alice, world.channel, "settings", **option)
            assert f"`{name}` must be between {bound.low} and {bound.high}" in text_of(result)
        assert await world.stored(world.place()) == {}


@pytest.mark.parametrize("forged", ["hot", "x" * 5000, True, float("nan"), float("inf")])
async def test_a_forged_value_of_another_kind_is_refused(tmp_path: Path, forged: object) -> None:
    async with commands_world(tmp_path) as world:
        result = await world.use(world.alice, world.channel, "settings", temperature=forged)
        assert text_of(result).startswith("`temperature` must be between 0.1 and 2.0")
        assert await world.stored(world.place()) == {}


async def test_a_forged_value_takes_the_right_ones_beside_it_along(
    tmp_path: Path,
) -> None:
    async with commands_world(tmp_path) as world:
        await world.use(world.alice, world.channel, "settings", top_k=20, temperature=9.0)
        assert await world.stored(world.place()) == {}


@pytest.mark.parametrize("options", [{"preset": "evil"}, {"top_k": 5, "apply_to": "everybody"}])
async def test_a_forged_choice_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    async with commands_world(tmp_path) as world:
        result = await world.use(world.alice, world.channel, "settings", **options)
        assert "is not a choice of" in text_of(result)
        assert await world.stored(world.place()) == {}


async def test_settings_without_a_database_says_so(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        for options in ({}, {"temperature": 0.5}, {"preset": "defaults"}):
            result = await world.alice.slash(world.channel, "settings", **options)
            assert text_of(result).startswith(AWAY)
            assert result.ephemeral


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{name} "))
