"""The whole examination: everything is looked at, whatever was found before."""

import asyncio
import logging
import platform
from collections.abc import Awaitable, Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bot.doctor.account import ask_discord
from bot.doctor.database import examine_database
from bot.doctor.findings import Finding, fault, ok
from bot.doctor.model import examine_model
from bot.doctor.settings import read_settings
from bot.settings.env_file import ENV_FILE

logger = logging.getLogger(__name__)


async def examine(
    environ: Mapping[str, str],
    channel_ids: Collection[int],
    tell: Callable[[Finding], None],
    env_file: Path = ENV_FILE,
) -> list[Finding]:
    """Look at everything at once; `tell` gets each finding as soon as those before it are told.

    Changes nothing: no file, no database, nothing on Discord.
    """
    known = read_settings(environ, env_file)
    parts = [
        asyncio.create_task(_told(examining))
        for examining in (
            ask_discord(known.settings, known.unsure, channel_ids),
            examine_model(known.settings, known.unsure),
            examine_database(known.settings, known.unsure),
        )
    ]
    findings = [_versions(), *known.findings]
    for finding in findings:
        tell(finding)
    for part in parts:
        for finding in await part:
            tell(finding)
            findings.append(finding)
    return findings


def _versions() -> Finding:
    """Python's version and those of the packages that matter most, none of which is imported."""
    return ok(
        "Versions: Python {python}, torch {torch}, transformers {transformers}, "
        "discord.py {discord}.",
        python=platform.python_version(),
        torch=_version_of("torch"),
        transformers=_version_of("transformers"),
        discord=_version_of("discord.py"),
    )


def _version_of(package: str) -> str:
    """The version of an installed package, or a dash."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "–"


async def _told(examining: Awaitable[list[Finding]]) -> list[Finding]:
    """What a part found; a bug in it does not hide the other parts."""
    try:
        return await examining
    except Exception:
        logger.exception("This is a bug in Banter; please report what follows.")
        bug = fault(
            "One part could not be checked because of a bug in Banter: please report the lines "
            "above."
        )
        return [bug]
