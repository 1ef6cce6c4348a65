"""The settings in force as rows of a table, the same on Discord and in a terminal."""

from collections.abc import Mapping

from bot.dialogue.sampling import BOUNDS, EffectiveParams, Layer, Number
from bot.texts import mark, say

LAYER_NAMES: Mapping[Layer, str] = {
    Layer.DEFAULT: mark("default"),
    Layer.SERVER: mark("this server"),
    Layer.CHANNEL: mark("this channel"),
    Layer.MEMBER: mark("you"),
}


def settings_rows(effective: EffectiveParams, locale: str) -> list[tuple[str, str, str]]:
    """A head, then every value in force with its name and the layer it comes from."""
    values = effective.params.values()
    rows = [(say("setting", locale), say("value", locale), say("set for", locale))]
    for name in BOUNDS:
        layer_name = say(LAYER_NAMES[effective.layers[name]], locale)
        rows.append((name, _cell(name, values.get(name), locale), layer_name))
    return rows


def written(value: Number) -> str:
    """A value as one would type it."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def _cell(name: str, value: Number | None, locale: str) -> str:
    if value is None:
        return say("new each time", locale)
    if BOUNDS[name].off == value:
        return say("{value} (off)", locale, value=written(value))
    return written(value)
