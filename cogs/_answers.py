"""Answers to commands: how they are sent, and how settings read in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import east_asian_width

import discord

from bot.dialogue.sampling import BOUNDS, EffectiveParams, Layer, Number
from bot.texts import mark, say

LAYER_NAMES: Mapping[Layer, str] = {
    Layer.DEFAULT: mark("default"),
    Layer.SERVER: mark("this server"),
    Layer.CHANNEL: mark("this channel"),
    Layer.MEMBER: mark("you"),
}

OFF: Mapping[str, Number] = {
    "top_k": 0,
    "top_p": 1,
    "min_p": 0,
    "repetition_penalty": 1,
    "no_repeat_ngram_size": 0,
    "no_repeat_own_ngram_size": 0,
    "dry_multiplier": 0,
}  # the values that switch a step off


@dataclass(frozen=True, slots=True)
class Change:
    """What a member changed in a layer; `cleared` when the layer was emptied before."""

    layer: Layer
    values: Mapping[str, Number]
    cleared: bool
    in_server: bool


async def tell(
    interaction: discord.Interaction, text: str, files: Sequence[discord.File] = ()
) -> None:
    """Answer a command that was deferred, or at once and privately where it was not."""
    nobody = discord.AllowedMentions.none()
    if interaction.response.is_done():
        await interaction.edit_original_response(
            content=text, attachments=files, allowed_mentions=nobody
        )
        return
    await interaction.response.send_message(
        text, files=files, ephemeral=True, suppress_embeds=True, allowed_mentions=nobody
    )


def settings_answer(effective: EffectiveParams, locale: str, *, in_server: bool) -> str:
    """Every value in force and the layer it comes from, and how to change one."""
    values = effective.params.values()
    rows = [(say("setting", locale), say("value", locale), say("set for", locale))]
    for name in BOUNDS:
        layer_name = say(LAYER_NAMES[effective.layers[name]], locale)
        rows.append((name, _cell(name, values.get(name), locale), layer_name))
    lines = [
        say("**How I write to you here**", locale),
        f"```\n{aligned(rows)}\n```",
        say("Change it: `/settings temperature:0.9`, or several at once with `preset`.", locale),
    ]
    if in_server:
        lines.append(
            say(
                "`apply_to` says for whom: you in this server, this channel, or the whole server. "
                "Your own settings win over the channel's, and those over the server's.",
                locale,
            )
        )
    lines.append(say("Undo it: `/settings preset:defaults`.", locale))
    return "\n".join(lines)


def change_answer(change: Change, effective: EffectiveParams, locale: str) -> str:
    """What was changed, where it counts, and what a stronger layer keeps from the asker."""
    lines = []
    if change.cleared:
        lines.append(_cleared(change, locale))
    if change.values:
        lines.append(_set(change, locale))
    in_force = effective.params.values()
    order = list(Layer)
    for stronger in order[order.index(change.layer) + 1 :]:
        kept = {
            name: in_force[name] for name in change.values if effective.layers[name] is stronger
        }
        if kept:
            lines.append(_kept(stronger, kept, locale))
    lines.append(say("It counts from my next reply on. `/settings` shows all values.", locale))
    return "\n".join(lines)


def written(value: Number) -> str:
    """A value as one would type it."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def _listed(values: Mapping[str, Number]) -> str:
    return ", ".join(f"`{name}` {written(value)}" for name, value in values.items())


def _set(change: Change, locale: str) -> str:
    values = _listed(change.values)
    if change.layer is Layer.SERVER:
        return say("Set for this server: {values}.", locale, values=values)
    if change.layer is Layer.CHANNEL:
        return say("Set for this channel: {values}.", locale, values=values)
    if change.in_server:
        return say("Set for you in this server: {values}.", locale, values=values)
    return say("Set for you in our direct messages: {values}.", locale, values=values)


def _cleared(change: Change, locale: str) -> str:
    if change.layer is Layer.SERVER:
        return say("What was set for this server is gone.", locale)
    if change.layer is Layer.CHANNEL:
        return say("What was set for this channel is gone.", locale)
    if change.in_server:
        return say("What you had set for yourself in this server is gone.", locale)
    return say("What you had set for yourself in our direct messages is gone.", locale)


def _kept(stronger: Layer, values: Mapping[str, Number], locale: str) -> str:
    """Tell that another layer wins for the asker, with the values that stay in force."""
    listed = _listed(values)
    if stronger is Layer.CHANNEL:
        return say("⚠️ In this channel its own setting wins: {values}.", locale, values=listed)
    return say(
        "⚠️ For you, your own setting wins: {values}. `/settings preset:defaults` removes it.",
        locale,
        values=listed,
    )


def _cell(name: str, value: Number | None, locale: str) -> str:
    if value is None:
        return say("new each time", locale)
    if OFF.get(name) == value:
        return say("{value} (off)", locale, value=written(value))
    return written(value)


def model_name(model: str) -> str:
    """What the members see of MODEL: of a folder only its name, for its path is the operator's."""
    path = Path(model)
    is_folder = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return path.expanduser().resolve().name if is_folder else model


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as columns of equal width on the screen; the last one is not padded."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns that `text` takes in a fixed-width font: Hangul takes two a letter."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
