"""The whole examination: everything is looked at, whatever was found before."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

from bot.doctor.account import ask_discord
from bot.doctor.database import examine_database
from bot.doctor.findings import Finding, fault
from bot.doctor.model import examine_model
from bot.doctor.settings import read_settings
from bot.env_file import ENV_FILE
from bot.errors import UnavailableError

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
    for finding in read.findings:
        tell(finding)
    findings = [*read.findings]
    for part in parts:
        for finding in await part:
            tell(finding)
            findings.append(finding)
    return findings


async def _told(examining: Awaitable[list[Finding]]) -> list[Finding]:
    """What a part found; a bug in it keeps nobody from seeing the other parts."""
    try:
        return await examining
    except Exception:
        logger.exception("This is a bug in Banter; please report what follows.")
        return [
            fault(
                UnavailableError(
                    "One part could not be looked at because of a bug in Banter: please report "
                    "the lines above."
                )
            )
        ]
