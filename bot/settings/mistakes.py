"""What a person is told of a setting that cannot be."""

from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from bot.errors import WrongSettingsError

MAX_SHOWN = 80  # characters of a wrong value that are repeated in its sentence


def mistake_of(field_name: str, field: FieldInfo, value: str) -> WrongSettingsError:
    """The sentence for a field that refused `value`; a secret is not repeated."""
    name = field_name.upper()
    shown = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"
    match field_name:
        case "discord_token":
            return WrongSettingsError(
                "{name} is not a token: copy it from the page Bot of your application as it is, "
                "without the word Bot before it.",
                name=name,
            )
        case "database_url":  # beyond its scheme it may hold a password
            scheme, found, _ = value.partition("://")
            return WrongSettingsError(
                "{name} must be sqlite+aiosqlite:///path/to/file.db or "
                "postgresql+asyncpg://user:password@host/database, not “{value}”.",
                name=name,
                value=f"{scheme}{found}…" if found else "…",
            )
        case "privacy_url":
            return WrongSettingsError(
                "{name} must be a web address that begins with https://, not “{value}”.",
                name=name,
                value=shown,
            )
    return _mistake_of_kind(name, field, shown)


def _mistake_of_kind(name: str, field: FieldInfo, value: str) -> WrongSettingsError:
    """The sentence for a field whose type says what is allowed."""
    if name.endswith("_ID"):
        return WrongSettingsError(
            "{name} must be one Discord id, a whole number, not “{value}”.", name=name, value=value
        )
    if name.endswith("_IDS"):
        return WrongSettingsError(
            "{name} must be Discord ids, whole numbers separated by commas, not “{value}”.",
            name=name,
            value=value,
        )
    if field.annotation is bool:
        return WrongSettingsError(
            "{name} must be on or off, not “{value}”.", name=name, value=value
        )
    if get_origin(field.annotation) is Literal:
        return WrongSettingsError(
            "{name} must be one of {choices}, not “{value}”.",
            name=name,
            choices=", ".join(get_args(field.annotation)),
            value=value,
        )
    low = next(mark.ge for mark in field.metadata if hasattr(mark, "ge"))
    high = next(mark.le for mark in field.metadata if hasattr(mark, "le"))
    if field.annotation is float:
        return WrongSettingsError(
            "{name} must be a number from {low} to {high}, not “{value}”.",
            name=name,
            low=low,
            high=high,
            value=value,
        )
    return WrongSettingsError(
        "{name} must be a whole number from {low} to {high}, not “{value}”.",
        name=name,
        low=low,
        high=high,
        value=value,
    )
