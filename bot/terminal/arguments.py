"""What can be written on the command line, explained in the language of the terminal.

argparse has sentences of its own, which gettext could translate only for the whole process, from
catalogues that Python does not bring: a parser of ours says them itself.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from bot.answering.completion import LENGTH
from bot.texts import explain, mark, say, unknown_command

EXIT_WRONG_LINE = 2  # as argparse ends a program

# argparse has no public name for what add_subparsers returns
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001

# What argparse complains of, and our sentence for it; a complaint of a Python to come stays as
# it is. Those that a `type` raises are whole sentences of ours already.
_COMPLAINTS = (
    (r"argument (?P<name>.+?): expected (at least )?one argument", mark("{name} needs a value.")),
    (
        r"argument (?P<name>.+?): invalid int value: '(?P<value>.*)'",
        mark("{name} must be a whole number, not “{value}”."),
    ),
    (
        r"argument (?P<name>.+?): invalid float value: '(?P<value>.*)'",
        mark("{name} must be a number, not “{value}”."),
    ),
    (
        r"argument (?P<name>.+?): ignored explicit argument '(?P<value>.*)'",
        mark("{name} takes no value, but “{value}” was given."),
    ),
    (r"the following arguments are required: (?P<names>.*)", mark("Missing: {names}.")),
    (r"unrecognized arguments: (?P<names>.*)", mark("Not understood: {names}.")),
    (
        r"ambiguous option: (?P<name>\S+) could match (?P<names>.*)",
        mark("{name} could be any of these: {names}."),
    ),
    (r"argument (?P<name>.+?): (?P<reason>“.*)", mark("{name}: {reason}.")),
)
_CHOICE = re.compile(
    r"argument .+?: invalid choice: '(?P<value>.*?)' \(choose from (?P<choices>.*)\)", re.DOTALL
)
_WORD = re.compile(r"[\w-]+")


class Formatter(argparse.HelpFormatter):
    """argparse's layout with a translated word before the usage."""

    def __init__(self, locale: str, **options: Any) -> None:
        super().__init__(**options)
        self._locale = locale

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None = None,
    ) -> None:
        """The usage; an empty `prefix` is one, as the parsers of the sub-commands have it."""
        shown = f"{say('usage', self._locale)}: " if prefix is None else prefix
        super().add_usage(usage, actions, groups, shown)


class Parser(argparse.ArgumentParser):
    """A parser whose every word is in the language of `locale`."""

    def __init__(self, *, locale: str, **options: Any) -> None:
        super().__init__(add_help=False, formatter_class=partial(Formatter, locale), **options)
        self._locale = locale
        self.values = self.add_argument_group(say("arguments", locale))
        self.options = self.add_argument_group(say("options", locale))
        self.options.add_argument(
            "-h", "--help", action="help", help=say("show this help and exit", locale)
        )

    def error(self, message: str) -> NoReturn:
        """End the program with the usage and one sentence."""
        self.print_usage(sys.stderr)
        told = complaint_of(message, self._locale)
        self.exit(EXIT_WRONG_LINE, f"{say('error', self._locale)}: {told}\n")


def complaint_of(message: str, locale: str) -> str:
    """What argparse complains of, in the language of `locale`."""
    if choice := _CHOICE.fullmatch(message):
        return explain(unknown_command(choice["value"], _WORD.findall(choice["choices"])), locale)
    for pattern, sentence in _COMPLAINTS:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return say(sentence, locale, **found.groupdict())
    return message


def build_parser(locale: str) -> argparse.ArgumentParser:
    """The grammar of the command line, explained in the language of `locale`."""
    parser = Parser(
        locale=locale,
        prog="python -m bot",
        description=say("A Discord bot that talks with a model on this computer.", locale),
        epilog=say("Without a command the bot starts. Its settings are in .env.", locale),
    )
    parser.options.add_argument(
        "--version",
        action="store_const",
        dest="command",
        const="version",
        help=say("show the version", locale),
    )
    commands = parser.add_subparsers(
        title=say("commands", locale), dest="command", metavar=say("COMMAND", locale)
    )
    parser.set_defaults(command="run", locale=locale)
    _add_playground_and_chat(commands, locale)
    _add_next(commands, locale)
    _add_doctor_and_health(commands, locale)
    _add_fetch(commands, locale)
    _add_database(commands, locale)
    return parser


def _add_playground_and_chat(commands: Commands, locale: str) -> None:
    playground = commands.add_parser(
        "playground", locale=locale, help=say("try the bot in a browser, without Discord", locale)
    )
    playground.options.add_argument(
        "--port",
        type=int,
        metavar=say("PORT", locale),
        help=say("a port of this computer; the next one is used, too", locale),
    )
    chat = commands.add_parser(
        "chat", locale=locale, help=say("talk with the bot in this terminal", locale)
    )
    chat.options.add_argument(
        "--once", metavar=say("TEXT", locale), help=say("print one reply and exit", locale)
    )


def _add_next(commands: Commands, locale: str) -> None:
    following = commands.add_parser(
        "next", locale=locale, help=say("go on with a text, word by word, and show why", locale)
    )
    following.set_defaults(length=LENGTH)
    following.values.add_argument(
        "text", metavar=say("TEXT", locale), help=say("how the text begins", locale)
    )
    following.options.add_argument(
        "--table",
        action="store_true",
        help=say("show the likeliest tokens of each step, and how many were left", locale),
    )
    following.options.add_argument(
        "--attention",
        type=Path,
        metavar=say("FILE.png", locale),
        help=say("draw which tokens each token looks at", locale),
    )
    number = say("N", locale)
    for name, kind, explanation in (
        ("--layer", int, say("the layer in that picture, from 1; the last one by default", locale)),
        (
            "--length",
            int,
            say("how many tokens to add; {number} by default", locale, number=LENGTH),
        ),
        ("--seed", int, say("draw the same tokens again", locale)),
        ("--temperature", float, say("how freely tokens are drawn", locale)),
        ("--top-k", int, say("draw from this many of the likeliest; 0 is all", locale)),
        ("--top-p", float, say("draw from the likeliest that hold this share together", locale)),
    ):
        following.options.add_argument(name, type=kind, metavar=number, help=explanation)


def _add_doctor_and_health(commands: Commands, locale: str) -> None:
    doctor = commands.add_parser(
        "doctor",
        locale=locale,
        help=say("say what keeps the bot from running, and what to do", locale),
    )
    doctor.options.add_argument(
        "--channel",
        nargs="+",
        action="extend",
        default=[],
        type=partial(_channel_id, locale),
        metavar=say("CHANNEL", locale),
        help=say("check whether the bot may talk there; the id or the link of a channel", locale),
    )
    commands.add_parser(
        "health",
        locale=locale,
        help=say("whether the bot of this folder is on Discord, for supervisors", locale),
    )


def _channel_id(locale: str, written: str) -> int:
    """The id in `123`, `<#123>` or https://discord.com/channels/45/123."""
    found = re.fullmatch(r"(?:<#|https?://\S+/channels/[\w@]+/)?(\d{1,19})(?:[>/].*)?", written)
    if found is None:
        raise argparse.ArgumentTypeError(
            say("“{value}” is not the id or the link of a channel", locale, value=written)
        )
    return int(found[1])


def _add_fetch(commands: Commands, locale: str) -> None:
    fetch = commands.add_parser(
        "fetch", locale=locale, help=say("download a model, convert and verify it", locale)
    )
    fetch.values.add_argument(
        "model",
        metavar=say("MODEL", locale),
        help=say("for example microsoft/DialoGPT-medium", locale),
    )
    fetch.options.add_argument("--revision", help=say("a commit, a tag or a branch of it", locale))


def _add_database(commands: Commands, locale: str) -> None:
    database = commands.add_parser("db", locale=locale, help=say("look after the database", locale))
    actions = database.add_subparsers(
        title=say("actions", locale), required=True, dest="action", metavar=say("ACTION", locale)
    )
    actions.add_parser(
        "upgrade", locale=locale, help=say("bring it to the schema of this version", locale)
    )
    backup = actions.add_parser(
        "backup", locale=locale, help=say("copy it while it is in use", locale)
    )
    backup.values.add_argument(
        "file",
        nargs="?",
        metavar=say("FILE", locale),
        help=say("where to write the copy; beside the database by default", locale),
    )
    actions.add_parser("check", locale=locale, help=say("see whether it is sound", locale))
