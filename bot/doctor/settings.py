"""Whether the settings are right, and the file that holds them is closed to others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bot.dialogue.blocked import load_blocked_words
from bot.doctor.findings import Finding, faults, ok, warn
from bot.errors import WrongSettingsError
from bot.settings.env_file import ENV_FILE, exposed_to_others
from bot.settings.settings import EMBEDDED_MODEL, VARIABLES, Settings, examine_settings
from bot.startup.playground_packages import token_needed


@dataclass(frozen=True, slots=True)
class KnownSettings:
    """The settings as far as they are right; `unsure` are those whose value is not known."""

    settings: Settings
    findings: tuple[Finding, ...]
    unsure: frozenset[str]


def read_settings(environ: Mapping[str, str], env_file: Path = ENV_FILE) -> KnownSettings:
    """Read what `python -m bot` would, and go on after a mistake."""
    settings, mistakes = examine_settings(environ, env_file)
    unsure = _unsure(mistakes)
    if settings.discord_token is None and "DISCORD_TOKEN" not in unsure:
        settings, _ = examine_settings(environ, env_file, default_model=EMBEDDED_MODEL)
    findings = [one for mistake in mistakes for one in faults(mistake)] or [_right(env_file)]
    findings += _examine_words(settings)
    findings += _open_doors(settings, env_file)
    if "DISCORD_TOKEN" not in unsure:
        findings += _what_starts(settings)
    return KnownSettings(settings, tuple(findings), unsure)


def _unsure(mistakes: list[WrongSettingsError]) -> frozenset[str]:
    """The variables that `mistakes` are about."""
    names = [mistake.values.get("name") for mistake in mistakes]
    meant = [mistake.values.get("meant") for mistake in mistakes]
    if None in names:  # the file cannot be read: it may hold anything
        return frozenset(VARIABLES)
    return frozenset(str(name) for name in (*names, *meant) if name)


def _right(env_file: Path) -> Finding:
    """Where the settings come from, which are all right."""
    if env_file.exists():
        return ok("The settings in {file} are right.", file=env_file)
    return ok(
        "There is no {file} in {folder}: what the environment does not set has its default.",
        file=env_file.name,
        folder=env_file.absolute().parent,
    )


def _examine_words(settings: Settings) -> list[Finding]:
    """Whether the owner's own list of blocked words can be read, if there is one."""
    if isinstance(settings.blocked_words, Path):
        try:
            load_blocked_words(settings.blocked_words)
        except WrongSettingsError as error:
            return faults(error)
    return []


def _open_doors(settings: Settings, env_file: Path) -> Iterator[Finding]:
    """What other users of this computer could read."""
    if exposed_to_others(env_file):
        yield warn(
            "{file} can be read by other users of this computer: run chmod 600 {file}",
            file=env_file,
        )
    key = settings.history_key
    if key is not None and key.get_secret_value().strip().lower() == "off":
        yield warn(
            "HISTORY_KEY is off, so what members write is stored in clear: leave it empty in a new "
            "database, unless the disk itself is encrypted."
        )


def _what_starts(settings: Settings) -> Iterator[Finding]:
    """What a start without a token, or a bot without a policy, means."""
    if settings.discord_token is not None:
        if not settings.privacy_url:
            yield warn(
                "PRIVACY_URL is not set: Discord wants every bot to have a privacy policy, so "
                "publish one and set PRIVACY_URL to its address."
            )
    elif (error := token_needed()) is not None:
        yield from faults(error)
    else:
        playground = warn(
            "DISCORD_TOKEN is not set, so the start opens the playground in a browser. For "
            "Discord, create an application on https://discord.com/developers/applications, "
            "press Reset Token on its page Bot, and put the token into .env as DISCORD_TOKEN=…"
        )
        yield replace(playground, only_playground=True)
