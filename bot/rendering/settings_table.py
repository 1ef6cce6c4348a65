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
    """A head, then every value in force with its name and the layer it comes from.

    A default that the owner has not set names the kind of model it was made for.
    """
    values = effective.params.values()
    head = (say("setting", locale), say("value", locale), say("set for", locale))
    return [
        head,
        *(
            (name, _cell(name, values.get(name), locale), _origin(name, effective, locale))
            for name in BOUNDS
        ),
    ]


def written(value: Number) -> str:
    """A value as one would type it."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def _origin(name: str, effective: EffectiveParams, locale: str) -> str:
    if name in effective.assumed:
        return say("default ({profile})", locale, profile=effective.profile)
    return say(LAYER_NAMES[effective.layers[name]], locale)


def _cell(name: str, value: Number | None, locale: str) -> str:
    if value is None:
        return say("new each time", locale)
    if BOUNDS[name].off == value:
        return say("{value} (off)", locale, value=written(value))
    return written(value)
