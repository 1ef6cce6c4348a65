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
from bot.errors import UnavailableError
from bot.settings.env_file import ENV_FILE
from bot.texts import mark

logger = logging.getLogger(__name__)

Tell = Callable[[Finding], None]


async def examine(
    environ: Mapping[str, str],
    channel_ids: Collection[int],
    tell: Tell,
    env_file: Path = ENV_FILE,
) -> list[Finding]:
    """Look at everything at once; `tell` gets each finding as soon as those before it are told.

    Changes nothing: no file, no database, nothing on Discord.
    """
    read = read_settings(environ, env_file)
    parts = [
        asyncio.create_task(_told(examining))
        for examining in (
            ask_discord(read.settings, read.unsure, channel_ids),
            examine_model(read.settings, read.unsure),
            examine_database(read.settings, read.unsure),
        )
    ]
    findings = [_versions(), *read.findings]
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
        mark(
            "Versions: Python {python}, torch {torch}, transformers {transformers}, "
            "discord.py {discord}."
        ),
        python=platform.python_version(),
        torch=_version_of("torch"),
        transformers=_version_of("transformers"),
        discord=_version_of("discord.py"),
    )


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "–"


async def _told(examining: Awaitable[list[Finding]]) -> list[Finding]:
    """What a part found; a bug in it keeps nobody from seeing the other parts."""
    try:
        return await examining
    except Exception:
        logger.exception("This is a bug in Banter; please report what follows.")
        return [
            fault(
                UnavailableError(
                    "One part could not be checked because of a bug in Banter: please report the "
                    "lines above."
                )
            )
        ]
