"""What can be written on the command line, explained in the language of the terminal.

argparse has sentences of its own, which gettext could translate only for the whole process, from
catalogues that Python does not bring: a parser of ours says them itself.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bot.answering.text_completion import LENGTH
from bot.texts import explain, mark, say, unknown_command

EXIT_WRONG_LINE = 2  # as argparse ends a program

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
    """A parser whose every word is in the language of `locale`; it is given marked sentences."""

    def __init__(self, *, locale: str, **options: Any) -> None:
        super().__init__(add_help=False, formatter_class=partial(Formatter, locale), **options)
        self.locale = locale
        self._values = self.add_argument_group(say("arguments", locale))
        self._options = self.add_argument_group(say("options", locale))
        self._options.add_argument(
            "-h", "--help", action="help", help=say("show this help and exit", locale)
        )

    def take(self, name: str, explanation: str, metavar: str | None = None, **how: Any) -> None:
        """Take the value `name`, or the option where it begins with a dash.

        A place `{number}` of the explanation is the default. `how`: see argparse's add_argument.
        """
        if metavar is not None:
            how["metavar"] = say(metavar, self.locale)
        told = say(explanation, self.locale, number=how.get("default"))
        group = self._options if name.startswith("-") else self._values
        group.add_argument(name, help=told, **how)

    def commands(self, title: str, metavar: str, **how: Any) -> Callable[[str, str], "Parser"]:
        """What adds a command, by its name and its explanation; `how`: see add_subparsers."""
        added = self.add_subparsers(
            title=say(title, self.locale), metavar=say(metavar, self.locale), **how
        )

        def add(name: str, explanation: str) -> Parser:
            told = say(explanation, self.locale)
            parser: Parser = added.add_parser(name, locale=self.locale, help=told)
            return parser

        return add

    def error(self, message: str) -> NoReturn:
        """End the program with the usage and one sentence."""
        self.print_usage(sys.stderr)
        told = complaint_of(message, self.locale)
        self.exit(EXIT_WRONG_LINE, f"{say('error', self.locale)}: {told}\n")


def complaint_of(message: str, locale: str) -> str:
    """What argparse complains of, in the language of `locale`."""
    if choice := _CHOICE.fullmatch(message):
        return explain(unknown_command(choice["value"], _WORD.findall(choice["choices"])), locale)
    for pattern, sentence in _COMPLAINTS:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return say(sentence, locale, **found.groupdict())
    return message


def build_parser(locale: str) -> Parser:
    """The grammar of the command line, explained in the language of `locale`."""
    parser = Parser(
        locale=locale,
        prog="python -m bot",
        description=say("A Discord bot that talks with a model on this computer.", locale),
        epilog=say("Without a command the bot starts. Its settings are in .env.", locale),
    )
    parser.take(
        "--version", mark("show the version"), action="store_const", dest="command", const="version"
    )
    add = parser.commands(mark("commands"), mark("COMMAND"), dest="command")
    parser.set_defaults(command="run", locale=locale)
    _add_playground(add("playground", mark("try the bot in a browser, without Discord")))
    chat = add("chat", mark("talk with the bot in this terminal"))
    chat.take("--once", mark("print one reply and exit"), mark("TEXT"))
    _add_next(add("next", mark("go on with a text, word by word, and show why")))
    _add_doctor(add("doctor", mark("say what keeps the bot from running, and what to do")))
    add("health", mark("whether the bot of this folder is on Discord, for supervisors"))
    fetch = add("fetch", mark("download a model, convert and verify it"))
    fetch.take("model", mark("for example microsoft/DialoGPT-medium"), mark("MODEL"))
    fetch.take("--revision", mark("a commit, a tag or a branch of it"))
    _add_actions(add("db", mark("look after the database")))
    return parser


def _add_playground(playground: Parser) -> None:
    playground.take(
        "--port", mark("a port of this computer; the next one is used, too"), mark("PORT"), type=int
    )


def _add_next(following: Parser) -> None:
    following.take("text", mark("how the text begins"), mark("TEXT"))
    following.take(
        "--table",
        mark("show the likeliest tokens of each step, and how many were left"),
        action="store_true",
    )
    following.take(
        "--attention", mark("draw which tokens each token looks at"), mark("FILE.png"), type=Path
    )
    for name, kind, default, explanation in (
        ("--layer", int, None, mark("the layer in that picture, from 1; the last one by default")),
        ("--length", int, LENGTH, mark("how many tokens to add; {number} by default")),
        ("--seed", int, None, mark("draw the same tokens again")),
        ("--temperature", float, None, mark("how freely tokens are drawn")),
        ("--top-k", int, None, mark("draw from this many of the likeliest; 0 is all")),
        ("--top-p", float, None, mark("draw from the likeliest that hold this share together")),
    ):
        following.take(name, explanation, mark("N"), type=kind, default=default)


def _add_doctor(doctor: Parser) -> None:
    doctor.take(
        "--channel",
        mark("check whether the bot may talk there; the id or the link of a channel"),
        mark("CHANNEL"),
        nargs="+",
        action="extend",
        default=[],
        type=partial(_channel_id, doctor.locale),
    )


def _channel_id(locale: str, written: str) -> int:
    """The id in `123`, `<#123>` or https://discord.com/channels/45/123."""
    found = re.fullmatch(r"(?:<#|https?://\S+/channels/[\w@]+/)?(\d{1,19})(?:[>/].*)?", written)
    if found is None:
        raise argparse.ArgumentTypeError(
            say("“{value}” is not the id or the link of a channel", locale, value=written)
        )
    return int(found[1])


def _add_actions(database: Parser) -> None:
    add = database.commands(mark("actions"), mark("ACTION"), dest="action", required=True)
    add("upgrade", mark("bring it to the schema of this version"))
    add("backup", mark("copy it while it is in use")).take(
        "file",
        mark("where to write the copy; beside the database by default"),
        mark("FILE"),
        nargs="?",
    )
    add("check", mark("see whether it is sound"))
    add("release", mark("let the bot of another application use it"))
