"""How the settings in force, and a change of them, read on Discord."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.dialogue.sampling import EffectiveParams, Layer, Number
from bot.rendering.columns import aligned
from bot.rendering.settings_table import settings_rows, written
from bot.texts import say


@dataclass(frozen=True, slots=True)
class Change:
    """What a member changed in a layer; `cleared` when the layer was emptied before."""

    layer: Layer
    values: Mapping[str, Number]
    cleared: bool
    in_server: bool


def settings_answer(effective: EffectiveParams, locale: str, *, in_server: bool) -> str:
    """Every value in force and the layer it comes from, and how to change one."""
    lines = [
        say("**How I write to you here**", locale),
        f"```\n{aligned(settings_rows(effective, locale))}\n```",
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
    lines.append(say("It takes effect with my next reply. `/settings` shows all values.", locale))
    return "\n".join(lines)


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
