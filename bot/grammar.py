"""What can be written on the command line, explained in the language of the terminal."""

import argparse
from typing import TypeAlias

from bot.texts import say

# argparse has no public name for what add_subparsers returns
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


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
    for add in (_add_playground, _add_chat, _add_fetch, _add_database):
        add(commands, locale)
    return parser


def _add_playground(commands: Commands, locale: str) -> None:
    playground = commands.add_parser(
        "playground", help=say("try the bot in a browser, without Discord", locale)
    )
    playground.set_defaults(command="playground")
    playground.add_argument(
        "--port",
        type=int,
        metavar=say("PORT", locale),
        help=say("of this computer; this one and the next are used", locale),
    )


def _add_chat(commands: Commands, locale: str) -> None:
    chat = commands.add_parser("chat", help=say("talk with the bot in this terminal", locale))
    chat.set_defaults(command="chat")
    chat.add_argument(
        "--once", metavar=say("TEXT", locale), help=say("print one reply, and end", locale)
    )


def _add_fetch(commands: Commands, locale: str) -> None:
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


def _add_database(commands: Commands, locale: str) -> None:
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
