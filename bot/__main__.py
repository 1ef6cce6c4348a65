"""The command line: `python -m bot`. A start-up error becomes one sentence and an exit code.

Imports stand inside the functions here, and only here: nothing heavy is loaded before the
sub-command is known, so that `--help` is instant.
"""
# ruff: noqa: PLC0415, T201 - the reason stands above; and a command line prints

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bot.errors import EXIT_UNAVAILABLE, SeveralWrongSettingsError, StartError, WrongSettingsError
from bot.texts import explain, mark, say, terminal_locale

logger = logging.getLogger(__name__)

EXIT_BUG = 70
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sub-command that `arguments` name; returns the exit code."""
    locale = terminal_locale()
    options = build_parser(locale).parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except StartError as error:
        print(tell(error, locale), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def build_parser(locale: str) -> argparse.ArgumentParser:
    """The grammar of the command line, explained in the language of `locale`."""
    parser = argparse.ArgumentParser(
        prog="python -m bot",
        description=say("A Discord bot that talks with a model on this computer.", locale),
        epilog=say("Without a command the bot is started. Settings stand in .env.", locale),
    )
    parser.set_defaults(command="run", locale=locale)
    parser.add_argument(
        "--version",
        action="store_const",
        dest="command",
        const="version",
        help=say("show the version", locale),
    )
    commands = parser.add_subparsers(title=say("commands", locale), metavar=say("COMMAND", locale))
    fetch = commands.add_parser(
        "fetch", help=say("download a model, convert and verify it", locale)
    )
    fetch.set_defaults(command="fetch")
    fetch.add_argument(
        "model",
        metavar=say("MODEL", locale),
        help=say("for example microsoft/DialoGPT-medium", locale),
    )
    fetch.add_argument("--revision", help=say("a commit, a tag or a branch of it", locale))
    database = commands.add_parser("db", help=say("look after the database", locale))
    database.set_defaults(command="db")
    actions = database.add_subparsers(required=True, dest="action", metavar=say("ACTION", locale))
    actions.add_parser("upgrade", help=say("bring it to the schema of this version", locale))
    backup = actions.add_parser("backup", help=say("copy it while it is in use", locale))
    backup.add_argument(
        "file",
        nargs="?",
        metavar=say("FILE", locale),
        help=say("the copy; without it, beside it", locale),
    )
    actions.add_parser("check", help=say("see whether it is sound", locale))
    return parser


def tell(error: StartError, locale: str) -> str:
    """The sentence of `error`; one a line where it holds several."""
    if isinstance(error, SeveralWrongSettingsError):
        return "\n".join(explain(mistake, locale) for mistake in error.mistakes)
    return explain(error, locale)


def _run(_options: argparse.Namespace) -> int:
    import asyncio

    from bot.env_file import exposed_to_others
    from bot.logs import configure_logs
    from bot.settings import load_settings

    settings = load_settings(os.environ)
    if settings.discord_token is None:
        raise WrongSettingsError(
            "DISCORD_TOKEN is not set: create an application on "
            "https://discord.com/developers/applications, press Reset Token on its page Bot, and "
            "put the token into .env as DISCORD_TOKEN=…"
        )
    configure_logs(settings.log_level, settings.log_format, secrets=settings.secrets)
    if exposed_to_others():
        logger.warning(".env can be read by other users of this computer: run chmod 600 .env")

    # Until the event loop listens to signals itself, a stop is an ordinary end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from bot.app import serve  # after the settings: a mistake in them is told before torch loads

    try:
        return asyncio.run(serve(settings))
    except StartError:
        raise
    except Exception:
        logger.exception("This is a bug in Banter; please report what follows.")
        return EXIT_BUG


def _fetch(options: argparse.Namespace) -> int:
    from bot.engine.fetch import fetch
    from bot.logs import configure_logs
    from bot.settings import MODELS_FOLDER

    configure_logs("WARNING", "text")
    fetched = fetch(options.model, options.revision, MODELS_FOLDER)
    sentence = mark("{model} is in {folder}.")
    if not fetched.fresh:
        sentence = mark("{model} was here already, and is sound: {folder}.")
    print(say(sentence, options.locale, model=options.model, folder=fetched.folder))
    return 0


def _database(options: argparse.Namespace) -> int:
    import asyncio

    from bot.logs import configure_logs
    from bot.settings import load_settings

    settings = load_settings(os.environ)
    configure_logs("WARNING", settings.log_format, secrets=settings.secrets)
    return asyncio.run(_ACTIONS[options.action](settings.database_url, options))


async def _upgrade(url: str, options: argparse.Namespace) -> int:
    from bot.store.upkeep import upgrade

    if await upgrade(url):
        print(say("The database now has the schema of this version.", options.locale))
    else:
        print(say("The database has the schema of this version already.", options.locale))
    return 0


async def _backup(url: str, options: argparse.Namespace) -> int:
    from bot.store.connect import address_of
    from bot.store.upkeep import backup

    original = address_of(url).path or Path("banter.db")
    beside = f"{original.stem}-{time.strftime('%Y%m%d-%H%M%S')}{original.suffix}"
    path = await backup(url, Path(options.file or original.with_name(beside)))
    print(
        say(
            "The copy is {path}: an erasure does not reach it, so delete it in time.",
            options.locale,
            path=path,
        )
    )
    return 0


async def _check(url: str, options: argparse.Namespace) -> int:
    from bot.store.upkeep import check

    findings = await check(url)
    for finding in findings:
        print(tell(finding, options.locale), file=sys.stderr)
    if findings:
        return EXIT_UNAVAILABLE
    print(say("The database is sound.", options.locale))
    return 0


_ACTIONS = {"upgrade": _upgrade, "backup": _backup, "check": _check}


def _version(options: argparse.Namespace) -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("banter")
    except PackageNotFoundError:  # started from a folder that was never installed
        number = say("(not installed)", options.locale)
    print(f"banter {number}")
    return 0


COMMANDS = {"run": _run, "fetch": _fetch, "db": _database, "version": _version}

if __name__ == "__main__":
    sys.exit(main())
