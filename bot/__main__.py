"""The command line: `python -m bot`. A start-up error becomes one sentence and an exit code.

Imports stand inside the functions here, and only here: nothing heavy is loaded before the
sub-command is known, so that `--help` is instant.
"""
# ruff: noqa: PLC0415, T201 - the reason stands above; and a command line prints

import argparse
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from bot.errors import ChatError, StartError
from bot.terminal.arguments import build_parser
from bot.texts import DEMONSTRATION, explain, mark, say, terminal_locale

logger = logging.getLogger(__name__)

EXIT_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_UNHEALTHY = 1
EXIT_PIPE_CLOSED = 141  # as a shell shows a program that SIGPIPE ended
NUM_COLUMNS = 120  # of a table where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sub-command that `arguments` name; returns the exit code."""
    locale = terminal_locale()
    options = build_parser(locale).parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except ChatError as error:
        print(explain(error, locale), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our lines is gone; without this Python complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED


def _run(options: argparse.Namespace) -> int:
    from bot.logs import configure_logs
    from bot.settings.env_file import exposed_to_others
    from bot.settings.settings import load_settings

    settings = load_settings(os.environ)
    if settings.discord_token is None:
        return _run_without_token(options)
    configure_logs(settings.log_level, settings.log_format, secrets=settings.secrets)
    if exposed_to_others():
        logger.warning(".env can be read by other users of this computer: run chmod 600 .env")

    _stop_quietly()
    from bot.startup.app import serve  # after the settings: a mistake in them is told at once

    return _run_to_its_end(serve(settings))


def _run_without_token(options: argparse.Namespace) -> int:
    from bot.startup.playground_packages import token_needed

    if (error := token_needed()) is not None:
        raise error
    print(
        say(
            "DISCORD_TOKEN is not set, so this is the playground: a page in your browser instead "
            "of Discord. To bring Banter to Discord, create an application on "
            "https://discord.com/developers/applications, press Reset Token on its page Bot, and "
            "put the token into .env as DISCORD_TOKEN=…",
            options.locale,
        )
    )
    return _playground(options)


def _playground(options: argparse.Namespace) -> int:
    from bot.settings.settings import EMBEDDED_MODEL
    from bot.startup.playground_packages import need_playground
    from bot.terminal.opening import open_settings

    need_playground()
    settings = open_settings()
    # simcord tries a client without intents when it is imported: discord.py warns of that.
    logging.getLogger("discord").setLevel(logging.ERROR)
    _stop_quietly()
    from bot.playground.playground import serve_playground  # heavy: discord and simcord

    def announce(direct: str, server: str) -> None:
        print(say("A direct message to Banter: {url}", options.locale, url=direct))
        print(say("Banter in a server: {url}", options.locale, url=server))
        if settings.model == EMBEDDED_MODEL:
            print(say(DEMONSTRATION, options.locale))
        print(say("Only this computer can open these pages. Ctrl-C closes them.", options.locale))
        sys.stdout.flush()

    port = getattr(options, "port", None)  # without a command there is no such option
    return _run_to_its_end(serve_playground(settings, port, options.locale, announce))


def _chat(options: argparse.Namespace) -> int:
    from bot.terminal.opening import open_settings

    settings = open_settings()
    from bot.terminal.console import chat  # after the settings: a mistake in them is told at once

    return chat(settings, options.once, options.locale)


def _next(options: argparse.Namespace) -> int:
    import asyncio

    from bot.answering.text_completion import (
        SAMPLING_OPTIONS,
        TextToComplete,
        check_text,
        params_for,
    )
    from bot.engine.protocol import LAST_LAYER
    from bot.rendering.attention_picture import check_drawable, save_picture
    from bot.terminal.next_table import table_of, text_of
    from bot.terminal.opening import open_settings

    settings = open_settings()
    wished = {name: getattr(options, name) for name in SAMPLING_OPTIONS}
    text, params = check_text(options.text), params_for(settings.sampling, wished)
    layer = options.layer
    if options.attention is not None:
        check_drawable(options.attention)
        layer = LAST_LAYER if layer is None else layer
    from bot.terminal.next_text import go_on  # after the mistakes that need no model

    completed = asyncio.run(go_on(settings, TextToComplete(text, params, options.length, layer)))
    print(text_of(completed.continuation), flush=True)
    if options.table:
        num_columns = shutil.get_terminal_size((NUM_COLUMNS, 24)).columns
        print(f"\n{table_of(completed.continuation, options.locale, num_columns)}", flush=True)
    if options.attention is not None:
        save_picture(completed.attention, options.attention, options.locale)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    import asyncio

    from bot.doctor.examination import examine
    from bot.doctor.findings import Finding, exit_code_of, line_of, summary_of
    from bot.logs import configure_logs

    def tell(finding: Finding) -> None:
        print(line_of(finding, options.locale), flush=True)

    configure_logs("ERROR", "text")  # what a library warns of, a line says better
    findings = asyncio.run(examine(os.environ, options.channel, tell))
    print(summary_of(findings, options.locale))
    return exit_code_of(findings)


def _stop_quietly() -> None:
    """Until the event loop listens to signals itself, a stop is an ordinary end."""
    from bot.startup.stopping import heeded_signals

    for number in heeded_signals():
        if number != signal.SIGINT:  # Ctrl-C has an exit code of its own
            signal.signal(number, lambda *_: sys.exit(0))


def _run_to_its_end(serving: Coroutine[Any, Any, int]) -> int:
    """The exit code of `serving`; a bug in it is logged."""
    import asyncio

    try:
        return asyncio.run(serving)
    except StartError:
        raise
    except Exception:
        logger.exception("This is a bug in Banter; please report what follows.")
        return EXIT_BUG


def _health(options: argparse.Namespace) -> int:
    from bot.startup.heartbeat import FOLDER, is_alive

    if is_alive(FOLDER, time.time()):
        print(say("The bot of this folder is on Discord.", options.locale))
        return 0
    sentence = mark("The bot of this folder is not on Discord now: its log says why.")
    if not FOLDER.exists():
        sentence = mark("No bot has run in this folder yet.")
    print(say(sentence, options.locale), file=sys.stderr)
    return EXIT_UNHEALTHY


def _fetch(options: argparse.Namespace) -> int:
    from bot.engine.checkpoints.fetch import fetch
    from bot.logs import configure_logs
    from bot.settings.settings import MODELS_FOLDER
    from bot.startup.chosen_hub import chosen_hub

    configure_logs("WARNING", "text")
    fetched = fetch(options.model, options.revision, MODELS_FOLDER, chosen_hub())
    sentence = mark("{model} is in {folder}.")
    if not fetched.fresh:
        sentence = mark("{model} was here already, and is sound: {folder}.")
    print(say(sentence, options.locale, model=options.model, folder=fetched.folder))
    return 0


def _database(options: argparse.Namespace) -> int:
    import asyncio

    from bot.terminal.opening import open_settings

    settings = open_settings()
    from bot.terminal.database_actions import ACTIONS  # after the settings

    return asyncio.run(ACTIONS[options.action](settings.database_url, options))


def _version(options: argparse.Namespace) -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("banter")
    except PackageNotFoundError:  # started from a folder that was never installed
        number = say("(not installed)", options.locale)
    print(f"banter {number}")
    return 0


COMMANDS = {
    "run": _run,
    "playground": _playground,
    "chat": _chat,
    "next": _next,
    "doctor": _doctor,
    "health": _health,
    "fetch": _fetch,
    "db": _database,
    "version": _version,
}

if __name__ == "__main__":
    sys.exit(main())
