"""What `python -m bot db ACTION` does and prints; each action returns an exit code."""
# ruff: noqa: T201 - a command line prints

import argparse
import sys
import time
from pathlib import Path

from bot.errors import EXIT_UNAVAILABLE
from bot.store.database.connect import address_of
from bot.store.upkeep.by_hand import backup, check, release, upgrade
from bot.texts import explain, say


async def _upgrade(url: str, options: argparse.Namespace) -> int:
    if await upgrade(url):
        print(say("The database now has the schema of this version.", options.locale))
    else:
        print(say("The database has the schema of this version already.", options.locale))
    return 0


async def _backup(url: str, options: argparse.Namespace) -> int:
    original = address_of(url).path or Path("banter.db")
    beside = f"{original.stem}-{time.strftime('%Y%m%d-%H%M%S')}{original.suffix}"
    path = await backup(url, Path(options.file or original.with_name(beside)))
    print(
        say(
            "The copy is {path}: erasing someone's data does not change it, so delete it in time.",
            options.locale,
            path=path,
        )
    )
    return 0


async def _check(url: str, options: argparse.Namespace) -> int:
    findings = await check(url)
    for finding in findings:
        print(explain(finding, options.locale), file=sys.stderr)
    if findings:
        return EXIT_UNAVAILABLE
    print(say("The database is sound.", options.locale))
    return 0


async def _release(url: str, options: argparse.Namespace) -> int:
    application = await release(url)
    if application is None:
        print(say("No application has this database: any bot may use it.", options.locale))
    else:
        print(
            say(
                "The database is no longer that of the application {application}: the next bot "
                "that uses it gets it.",
                options.locale,
                application=application,
            )
        )
    return 0


ACTIONS = {"upgrade": _upgrade, "backup": _backup, "check": _check, "release": _release}
