"""What a person is told of a setting that cannot be."""

from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from bot.errors import WrongSettingsError
from bot.settings.bot_token import not_a_token
from bot.texts import mark

MAX_SHOWN = 80  # characters of a wrong value that are repeated in its sentence


def mistake_of(field_name: str, field: FieldInfo, value: str) -> WrongSettingsError:
    """The sentence for a field that refused `value`; a secret is not repeated."""
    name = field_name.upper()
    if field_name == "discord_token":
        return not_a_token(name, value)
    if field_name == "database_url":  # beyond its scheme it may hold a password
        scheme, found, _ = value.partition("://")
        return WrongSettingsError(
            "{name} must be sqlite+aiosqlite:///path/to/file.db or "
            "postgresql+asyncpg://user:password@host/database, not “{value}”.",
            name=name,
            value=f"{scheme}{found}…" if found else "…",
        )
    low, high = (
        next((getattr(one, key) for one in field.metadata if hasattr(one, key)), None)
        for key in ("ge", "le")
    )
    return WrongSettingsError(
        _sentence(name, field),
        name=name,
        value=value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…",
        choices=", ".join(map(str, get_args(field.annotation))),
        low=low,
        high=high,
    )


def _sentence(name: str, field: FieldInfo) -> str:
    """What is allowed where no secret is in danger, as the field's type says it."""
    if name == "PRIVACY_URL":
        return mark("{name} must be a web address that begins with https://, not “{value}”.")
    if name.endswith("_ID"):
        return mark("{name} must be one Discord id, a whole number, not “{value}”.")
    if name.endswith("_IDS"):
        return mark("{name} must be Discord ids, whole numbers separated by commas, not “{value}”.")
    if field.annotation is bool:
        return mark("{name} must be on or off, not “{value}”.")
    if get_origin(field.annotation) is Literal:
        return mark("{name} must be one of {choices}, not “{value}”.")
    return (
        mark("{name} must be a number from {low} to {high}, not “{value}”.")
        if field.annotation is float
        else mark("{name} must be a whole number from {low} to {high}, not “{value}”.")
    )
