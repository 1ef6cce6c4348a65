"""Whether the database can be used, its key fits, and there is room on its disk."""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from bot.doctor.findings import Finding, fault, faults, ok, warn
from bot.errors import DatabaseError
from bot.paths import is_open_to_others, is_there, nearest_folder
from bot.settings.settings import DATA_FOLDER, Settings
from bot.startup.foundation import key_path_for
from bot.store.upkeep.inspection import Inspected, inspect
from bot.store.upkeep.migration import Schema

LEAST_BYTES = 64 * 2**20  # below it, soon nothing can be written
FEW_BYTES = 512 * 2**20


async def examine_database(settings: Settings, unsure: Collection[str]) -> list[Finding]:
    """Look at the database of `settings` and at its key; changes not a byte."""
    if "DATABASE_URL" in unsure:
        return []
    url, secret = settings.database_url, settings.history_key
    try:
        key_path = key_path_for(url)
        inspected = await inspect(
            url,
            history_key=None if secret is None else secret.get_secret_value(),
            key_path=key_path,
        )
    except DatabaseError as error:
        return faults(error)
    findings = [_examine_schema(inspected), *_examine_use(inspected)]
    if "HISTORY_KEY" not in unsure:
        findings += _examine_key(inspected, settings, key_path)
    return [*findings, _examine_disk(inspected)]


def _examine_schema(inspected: Inspected) -> Finding:
    """What the start has to do with the database."""
    where = inspected.address
    match inspected.schema:
        case Schema.ABSENT:
            return ok("There is no database {where} yet: the start makes it.", where=where)
        case Schema.OLDER:
            return warn(
                "The database {where} was made by an older Banter: the start migrates it after a "
                "backup, or `python -m bot db upgrade` does it now.",
                where=where,
            )
        case Schema.CURRENT:
            return ok(
                "The database {where} can be read and written, and is up to date.", where=where
            )


def _examine_use(inspected: Inspected) -> Iterator[Finding]:
    """Whose bot is using the database now: another application's would be refused at its start."""
    if inspected.application_id is not None:
        yield ok(
            "The bot of the application {application} is using the database {where} now.",
            application=inspected.application_id,
            where=inspected.address,
        )


def _examine_key(inspected: Inspected, settings: Settings, key_path: Path) -> Iterator[Finding]:
    """Whether the key fits, and its file is closed to others."""
    if inspected.key_error is not None:
        yield from faults(inspected.key_error)
    elif settings.history_key is not None or not is_there(key_path):
        return
    elif is_open_to_others(key_path):
        yield warn(
            "The key file {path} can be read by other users of this computer: run chmod 600 {path}",
            path=key_path,
        )
    else:
        yield ok(
            "The key file {path} is there: keep a copy of it, but not beside the backups.",
            path=key_path,
        )


def _examine_disk(inspected: Inspected) -> Finding:
    """Whether there is room for what is written, and for an erasure or a migration."""
    folder = nearest_folder(inspected.address.path or DATA_FOLDER / "any")
    free = shutil.disk_usage(folder).free
    told = {"folder": folder, "free": round(free / 1e6)}
    if free < max(LEAST_BYTES, inspected.num_bytes):
        return fault(
            "The disk of {folder} is nearly full ({free} MB free): make room on it.", **told
        )
    # an erasure and a migration write the database anew, beside itself
    if free < max(FEW_BYTES, 2 * inspected.num_bytes):
        return warn("The disk of {folder} has only {free} MB free: make room on it soon.", **told)
    return ok("The disk of {folder} has {free} MB free.", **told)
