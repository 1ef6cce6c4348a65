"""What can be written on the command line, explained in the language of the terminal."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from bot.next_words import LENGTH
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
    for add in (
        *(_add_playground, _add_chat, _add_next, _add_doctor),
        *(_add_health, _add_fetch, _add_database),
    ):
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


def _add_next(commands: Commands, locale: str) -> None:
    following = commands.add_parser(
        "next", help=say("go on with a text, word by word, and show why", locale)
    )
    following.set_defaults(command="next", length=LENGTH)
    following.add_argument("text", metavar=say("TEXT", locale), help=say("how it begins", locale))
    following.add_argument(
        "--table",
        action="store_true",
        help=say("show the likeliest tokens of each step, and how many were left", locale),
    )
    following.add_argument(
        "--attention",
        type=Path,
        metavar=say("FILE.png", locale),
        help=say("draw which tokens each token looks at", locale),
    )
    number = say("N", locale)
    for name, kind, explanation in (
        ("--layer", int, say("of that picture, from 1; without it the last one", locale)),
        (
            "--length",
            int,
            say("how many tokens are added; without it {number}", locale, number=LENGTH),
        ),
        ("--seed", int, say("draw the same tokens again", locale)),
        ("--temperature", float, say("how freely tokens are drawn", locale)),
        ("--top-k", int, say("draw from so many of the likeliest; 0 is all", locale)),
        ("--top-p", float, say("draw from the likeliest that hold this share together", locale)),
    ):
        following.add_argument(name, type=kind, metavar=number, help=explanation)


def _add_doctor(commands: Commands, locale: str) -> None:
    doctor = commands.add_parser(
        "doctor", help=say("say what keeps the bot from running, and what to do", locale)
    )
    doctor.set_defaults(command="doctor")
    doctor.add_argument(
        "--channel",
        nargs="+",
        action="extend",
        default=[],
        type=_channel_reader(locale),
        metavar=say("CHANNEL", locale),
        help=say("may the bot talk there? The id or the link of a channel", locale),
    )


def _channel_reader(locale: str) -> Callable[[str], int]:
    def read(written: str) -> int:
        """The id in `123`, `<#123>` or https://discord.com/channels/45/123."""
        found = re.fullmatch(r"(?:<#|https?://\S+/channels/[\w@]+/)?(\d{1,19})(?:[>/].*)?", written)
        if found is None:
            raise argparse.ArgumentTypeError(
                say("“{value}” is not the id or the link of a channel", locale, value=written)
            )
        return int(found[1])

    return read


def _add_health(commands: Commands, locale: str) -> None:
    health = commands.add_parser(
        "health", help=say("whether the bot of this folder is on Discord, for supervisors", locale)
    )
    health.set_defaults(command="health")


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
