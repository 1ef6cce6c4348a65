"""/settings: how the bot writes, for a member, a channel or a server."""

from collections.abc import Mapping
from typing import Annotated, Any

import discord
from discord import app_commands
from discord.app_commands import Choice, locale_str
from discord.app_commands.transformers import RangeTransformer
from discord.ext import commands

from bot.answering.ports import SamplingStore
from bot.client.chat_bot import ChatBot
from bot.dialogue.sampling import (
    BOUNDS,
    PRESETS,
    Defaults,
    EffectiveParams,
    Layer,
    Number,
    Place,
    check,
    resolve,
)
from bot.errors import RefusedError
from cogs._discord.places import NOT_HERE, place_of
from cogs._language import locale_of
from cogs._settings_answer import Change, change_answer, settings_answer
from cogs._telling import NUM_REPEATED, tell, unknown_choice

DEFAULTS = "defaults"  # the preset that empties a layer
LAYERS: Mapping[str, Layer] = {
    "me": Layer.MEMBER,
    "channel": Layer.CHANNEL,
    "server": Layer.SERVER,
}


def bounded(name: str) -> RangeTransformer:
    """An option with the range of the sampling value `name`.

    Discord's clients keep to the range, a forged interaction does not: the value is handed on
    as it came, and checked again before it is saved.
    """
    bound, kinds = BOUNDS[name], discord.AppCommandOptionType
    kind = kinds.integer if bound.kind is int else kinds.number
    return RangeTransformer(kind, min=bound.low, max=bound.high)


class SamplingCommands(commands.Cog):
    """Shows and changes the sampling values of a layer."""

    def __init__(self, sampling: SamplingStore, defaults: Defaults) -> None:
        self._sampling = sampling
        self._defaults = defaults

    @app_commands.command(
        name="settings", description=locale_str("See or change how I choose my words")
    )
    @app_commands.describe(
        preset=locale_str("A whole set of values at once"),
        temperature=locale_str("How daring: low is predictable, high is surprising"),
        top_k=locale_str("Choose among this many most likely words; 0 is off"),
        top_p=locale_str("Choose among the most likely words up to this share; 1 is off"),
        min_p=locale_str("Leave out words less likely than this share of the likeliest; 0 is off"),
        repetition_penalty=locale_str("How strongly I avoid words I just used; 1 is off"),
        no_repeat_ngram_size=locale_str("Never repeat a run of this many word pieces; 0 is off"),
        no_repeat_own_ngram_size=locale_str(
            "The same for what I said in earlier replies of the conversation; 0 is off"
        ),
        dry_multiplier=locale_str("How strongly I avoid repeating longer runs of words; 0 is off"),
        min_new_tokens=locale_str("The shortest reply, in word pieces"),
        max_new_tokens=locale_str("The longest reply, in word pieces"),
        num_candidates=locale_str("How many replies I think of before I choose one"),
        seed=locale_str("The same seed and the same words give the same reply"),
        apply_to=locale_str("For whom: only you, this channel, or the whole server"),
    )
    @app_commands.choices(
        preset=[
            Choice(name=locale_str("balanced: the usual voice"), value="balanced"),
            Choice(name=locale_str("creative: more surprising"), value="creative"),
            Choice(name=locale_str("focused: calmer, to the point"), value="focused"),
            Choice(name=locale_str("deterministic: hardly any chance"), value="deterministic"),
            Choice(name=locale_str("neutral: as the model learned it"), value="neutral"),
            Choice(name=locale_str("defaults: undo what is set"), value=DEFAULTS),
        ],
        apply_to=[
            Choice(name=locale_str("me"), value="me"),
            Choice(name=locale_str("this channel (Manage Channels)"), value="channel"),
            Choice(name=locale_str("this server (Manage Server)"), value="server"),
        ],
    )
    async def settings(
        self,
        interaction: discord.Interaction,
        *,
        preset: str | None = None,
        temperature: Annotated[float | None, bounded("temperature")] = None,
        top_k: Annotated[int | None, bounded("top_k")] = None,
        top_p: Annotated[float | None, bounded("top_p")] = None,
        min_p: Annotated[float | None, bounded("min_p")] = None,
        repetition_penalty: Annotated[float | None, bounded("repetition_penalty")] = None,
        no_repeat_ngram_size: Annotated[int | None, bounded("no_repeat_ngram_size")] = None,
        no_repeat_own_ngram_size: Annotated[int | None, bounded("no_repeat_own_ngram_size")] = None,
        dry_multiplier: Annotated[float | None, bounded("dry_multiplier")] = None,
        min_new_tokens: Annotated[int | None, bounded("min_new_tokens")] = None,
        max_new_tokens: Annotated[int | None, bounded("max_new_tokens")] = None,
        num_candidates: Annotated[int | None, bounded("num_candidates")] = None,
        seed: Annotated[int | None, bounded("seed")] = None,
        apply_to: str = "me",
    ) -> None:
        """Show the values in force, or change those that were named."""
        await interaction.response.defer(ephemeral=True)
        # The signature declares the options to Discord; here they are taken by name.
        named = {name: value for name, value in interaction.namespace if name in BOUNDS}
        if preset is None and not named:
            await self._show(interaction)
            return
        await self._change(interaction, chosen_layer(interaction, apply_to), preset, named)

    async def _show(self, interaction: discord.Interaction) -> None:
        effective = await self._effective(place_of(interaction))
        in_server = interaction.guild_id is not None
        text = settings_answer(effective, locale_of(interaction), in_server=in_server)
        await tell(interaction, text)

    async def _change(
        self,
        interaction: discord.Interaction,
        layer: Layer,
        preset: str | None,
        named: Mapping[str, Any],
    ) -> None:
        values = chosen_values(preset, named)
        place = place_of(interaction)
        cleared = preset == DEFAULTS
        if cleared:
            await self._sampling.clear(layer, place)
        if values:
            await self._sampling.save(layer, place, values)
        effective = await self._effective(place)
        change = Change(layer, values, cleared, in_server=interaction.guild_id is not None)
        await tell(interaction, change_answer(change, effective, locale_of(interaction)))

    async def _effective(self, place: Place) -> EffectiveParams:
        """What is in force, straight from the store: an answer must not hide that it is away."""
        return resolve(self._defaults, await self._sampling.overrides(place))


def chosen_layer(interaction: discord.Interaction, apply_to: str) -> Layer:
    """The layer that `apply_to` names, if the member may change it.

    Discord's own permissions for a command can be altered by a server: these are checked here.
    Raises RefusedError and MissingPermissions.
    """
    layer = LAYERS.get(apply_to)
    if layer is None:
        raise unknown_choice("apply_to", apply_to)
    if layer is Layer.MEMBER:
        return layer
    if interaction.guild_id is None:
        raise RefusedError(NOT_HERE)
    granted = interaction.permissions
    is_channel = layer is Layer.CHANNEL
    is_granted = granted.manage_channels if is_channel else granted.manage_guild
    if not (is_granted or granted.administrator):
        raise app_commands.MissingPermissions(["manage_channels" if is_channel else "manage_guild"])
    return layer


def chosen_values(preset: str | None, named: Mapping[str, Any]) -> dict[str, Number]:
    """The values of the preset, then those that were named one by one.

    Raises RefusedError and InvalidSettingError.
    """
    if preset is not None and preset != DEFAULTS and preset not in PRESETS:
        raise unknown_choice("preset", preset)
    values = {**PRESETS.get(preset or DEFAULTS, {}), **named}
    return {name: check(name, _beginning(value)) for name, value in values.items()}


def _beginning(value: Any) -> Any:
    """A number as it is, of anything else what fits an error's sentence."""
    return value if isinstance(value, int | float) else str(value)[:NUM_REPEATED]


async def setup(bot: ChatBot) -> None:
    """Add the command."""
    services = bot.services
    await bot.add_cog(SamplingCommands(services.sampling, services.conversation.defaults))
