"""SamplingParams, their bounds, presets, and the layers that settle each value."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from hashlib import sha256
from math import isfinite

from bot.errors import InvalidSettingError

Number = int | float


@dataclass(frozen=True, slots=True)
class Bound:
    """The kind and the inclusive range of one sampling value; `off` switches its step off."""

    kind: type[int] | type[float]
    low: Number
    high: Number
    off: Number | None = None


BOUNDS: Mapping[str, Bound] = {
    "temperature": Bound(float, 0.1, 2.0),
    "top_k": Bound(int, 0, 200, off=0),
    "top_p": Bound(float, 0.05, 1.0, off=1.0),
    "min_p": Bound(float, 0.0, 0.5, off=0.0),
    "repetition_penalty": Bound(float, 1.0, 2.0, off=1.0),
    "no_repeat_ngram_size": Bound(int, 0, 10, off=0),
    "no_repeat_own_ngram_size": Bound(int, 0, 10, off=0),
    "dry_multiplier": Bound(float, 0.0, 5.0, off=0.0),
    "min_new_tokens": Bound(int, 1, 16),
    "max_new_tokens": Bound(int, 8, 256),
    "num_candidates": Bound(int, 1, 16),
    "seed": Bound(int, 0, 2**31 - 1),
}


_MARKS = 2**12
MIN_WARM_TOP_K = 20  # with few words to choose from, warmth would change little


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the words of one reply are drawn; BOUNDS has the values that switch a step off.

    `repetition_penalty` and `no_repeat_ngram_size` look at the reply in progress only,
    `no_repeat_own_ngram_size` at the bot's own earlier turns of the context, `dry_multiplier` at
    both; none of them looks at the member's words. An own size of 1 or 2 forbids words and pairs
    that every reply needs ("I", "you are"), and where a vocabulary cuts names or Korean letters
    into several tokens even 4 spoils them: see EMBEDDED in bot.dialogue.profiles.
    `seed` None draws a new seed for every reply; of another each reply of a talk gets its own.
    Raises InvalidSettingError for a value outside BOUNDS: Discord's clients check typed
    ranges, a forged interaction does not.
    """

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.9
    min_p: float = 0.0
    repetition_penalty: float = 1.1
    no_repeat_ngram_size: int = 3
    no_repeat_own_ngram_size: int = 4
    dry_multiplier: float = 0.0
    min_new_tokens: int = 2
    max_new_tokens: int = 64
    num_candidates: int = 1
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.values().items():
            check(name, value)

    def values(self) -> dict[str, Number]:
        """Every value that is set, by its field's name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def has_chance(self) -> bool:
        """Whether there is anything to draw: with a `top_k` of 1 the likeliest token is taken."""
        return self.top_k != 1

    def after(self, num_replies: int) -> "SamplingParams":
        """The same for the reply after `num_replies` of the bot's: see seed_at."""
        return self if self.seed is None else replace(self, seed=seed_at(self.seed, num_replies))

    def warmer(self) -> "SamplingParams":
        """The same, drawn more freely and otherwise: for another try after an unfit reply.

        What leaves nothing to chance stays as it is.
        """
        if not self.has_chance:
            return self
        return replace(
            self,
            temperature=min(self.temperature + 0.3, float(BOUNDS["temperature"].high)),
            top_k=max(self.top_k, MIN_WARM_TOP_K) if self.top_k else 0,
            repetition_penalty=min(self.repetition_penalty + 0.1, 2.0),
            seed=None if self.seed is None else (self.seed + 1) % 2**31,
        )


def seed_at(seed: int, num_replies: int) -> int:
    """The seed of the reply after `num_replies` of the bot's on its path, where `seed` is set.

    One number for a whole talk would begin its replies alike: the same chance meets the same
    places. The first reply has `seed` itself; a later one 19 bits of a hash of both, and 12 bits
    by which the number is known as made for this place, so that it gives itself there: set as the
    seed, what /why shows brings the same reply.
    """
    if num_replies == 0 or seed % _MARKS == _mark(seed // _MARKS, num_replies):
        return seed
    base = _digest(seed, num_replies) % 2**19
    return base * _MARKS + _mark(base, num_replies)


def _mark(base: int, num_replies: int) -> int:
    return _digest(base, num_replies) % _MARKS


def _digest(*numbers: int) -> int:
    return int.from_bytes(sha256(",".join(map(str, numbers)).encode()).digest()[:8])


def check(name: str, value: Number) -> Number:
    """Return `value` in its field's kind; raise InvalidSettingError if it is no such number."""
    bound = BOUNDS.get(name)
    if bound is None:
        raise InvalidSettingError(name=name, low="-", high="-", value=value)
    if not _is_number(value, bound.kind) or not bound.low <= value <= bound.high:
        raise InvalidSettingError(name=name, low=bound.low, high=bound.high, value=value)
    return bound.kind(value)


def _is_number(value: object, kind: type[int] | type[float]) -> bool:
    """Whether `value` is a number, and a whole one where `kind` is int."""
    if isinstance(value, float):
        return isfinite(value) and (kind is float or value.is_integer())
    return isinstance(value, int) and not isinstance(value, bool)


# Chosen on validation dialogues: docs/decoding.md has the figures.
_PRESET_VALUES = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
_PRESETS: Mapping[str, tuple[Number, ...]] = {
    "balanced": (0.8, 50, 0.9, 0.0, 1.1),
    "creative": (1.2, 0, 1.0, 0.1, 1.1),
    "focused": (0.6, 40, 0.85, 0.0, 1.1),
    "deterministic": (0.1, 1, 1.0, 0.0, 1.1),
    "neutral": (1.0, 0, 1.0, 0.0, 1.0),
}
PRESETS: Mapping[str, Mapping[str, Number]] = {
    name: dict(zip(_PRESET_VALUES, values, strict=True)) for name, values in _PRESETS.items()
}


class Layer(StrEnum):
    """Where a setting comes from; a later one wins."""

    DEFAULT = "default"
    SERVER = "server"
    CHANNEL = "channel"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Place:
    """Who speaks and where, as far as the layers care.

    In a thread `channel_id` is the channel it hangs on; in a DM `guild_id` is None and only
    the default and the member layers apply.
    """

    guild_id: int | None
    channel_id: int
    user_id: int


@dataclass(frozen=True, slots=True)
class Defaults:
    """The lowest layer: the `params` of a `profile` under what the owner has set (`chosen`)."""

    params: SamplingParams
    profile: str = ""
    chosen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EffectiveParams:
    """The SamplingParams in force, and the layer that each value comes from.

    `profile` names the kind of model that the default of each of `assumed` was made for.
    """

    params: SamplingParams
    layers: Mapping[str, Layer]
    profile: str = ""
    assumed: frozenset[str] = frozenset()


Overrides = Mapping[Layer, Mapping[str, Number]]


def resolve(defaults: Defaults, overrides: Overrides) -> EffectiveParams:
    """Lay `overrides` over `defaults` in the order of Layer.

    A stored value that is out of bounds today (the bounds may have changed since) is left out.
    """
    values: dict[str, Number] = {}
    layers = dict.fromkeys(BOUNDS, Layer.DEFAULT)
    for layer in Layer:
        for name, value in overrides.get(layer, {}).items():
            with suppress(InvalidSettingError):
                values[name] = check(name, value)
                layers[name] = layer
    params = replace(defaults.params, **values)  # type: ignore[arg-type]  # by name
    assumed = frozenset(BOUNDS) - values.keys() - defaults.chosen if defaults.profile else ()
    return EffectiveParams(params, layers, defaults.profile, frozenset(assumed))
