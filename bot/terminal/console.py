"""The bot in a terminal: reads lines, prints replies, and every start is a new conversation.

The event loop runs only while the bot thinks: between the replies the main thread waits for the
person, so that line editing, Ctrl-C and Ctrl-D work as they do everywhere.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.answering.conversation import Conversation
from bot.answering.live_reply import ShowWords
from bot.answering.ports import Draft, Head
from bot.dialogue.sampling import BOUNDS, PRESETS, Layer, Place, check
from bot.dialogue.text import clean, is_blank
from bot.dialogue.turn import Exchange, Scope, Utterance
from bot.engine.protocol import Cancellation
from bot.errors import ChatError, NoFitReplyError, RefusedError
from bot.settings.settings import DATA_FOLDER, EMBEDDED_MODEL, Settings
from bot.startup.building import build_conversation
from bot.startup.foundation import open_foundation, retention_of
from bot.store.history import SqlHistory
from bot.store.sampling import SqlSampling
from bot.terminal.console_answers import COMMANDS, HELP, QUIT, settings_answer, why_answer
from bot.terminal.live_line import LiveLine
from bot.texts import DEMONSTRATION, ONLY_TEXT, explain, say, unknown_command

DATABASE_URL = f"sqlite+aiosqlite:///{DATA_FOLDER / 'console.db'}"
LINES_PATH = DATA_FOLDER / "console_lines"
NUM_LINES = 1000
USER_ID = 1  # the person at the terminal
EXIT_UNANSWERED = 1


class WatchedHistory(SqlHistory):
    """A history that keeps how the newest reply came about, for /why."""

    newest: Draft | None = None

    async def remember(self, draft: Draft, expected: Head) -> Exchange:
        """Store an exchange."""
        exchange = await super().remember(draft, expected)
        self.newest = draft
        return exchange


@dataclass
class Console:
    """One conversation with the person at the terminal."""

    conversation: Conversation
    history: WatchedHistory
    sampling: SqlSampling
    locale: str
    scope: Scope = field(default_factory=lambda: Scope(time.time_ns() // 1000))
    num_said: int = 0

    @property
    def place(self) -> Place:
        """Where the settings are looked up: as in a direct message."""
        return Place(None, self.scope.channel_id, USER_ID)

    async def answer(self, line: str, show: ShowWords | None = None) -> str:
        """What `line` is answered with, whether it says something or is a command."""
        return await (self.command(line) if line[:1] == "/" else self.respond(line, show))

    async def respond(self, text: str, show: ShowWords | None = None) -> str:
        """The reply to `text`; `show` watches it grow. Raises a ChatError."""
        cleaned = clean(text)
        if is_blank(cleaned):
            raise RefusedError(ONLY_TEXT)
        self.num_said += 1
        said = Utterance(
            message_id=self.scope.channel_id + self.num_said,
            scope=self.scope,
            author_id=USER_ID,
            text=cleaned,
            created_at=datetime.now(UTC),
        )
        return (await self.conversation.respond(said, Cancellation(), show=show)).text

    async def command(self, line: str) -> str:
        """The answer to a line that begins with a slash; raises a ChatError."""
        match line.split():
            case ["/reset", *_]:
                await self.conversation.reset(self.scope)
                return say("I've started over: I no longer use what we said before.", self.locale)
            case ["/settings", *words]:
                return await self._settings(words)
            case ["/why", *_]:
                return await self._why()
            case ["/help", *_]:
                return say(HELP, self.locale)
        raise unknown_command(line.split(maxsplit=1)[0], COMMANDS)

    async def _settings(self, words: list[str]) -> str:
        match words:
            case []:
                pass
            case ["defaults"]:
                await self.sampling.clear(Layer.MEMBER, self.place)
            case ["preset", name] if name in PRESETS:
                await self.sampling.save(Layer.MEMBER, self.place, PRESETS[name])
            case [name, value] if name in BOUNDS:
                values = {name: check(name, _number(value))}
                await self.sampling.save(Layer.MEMBER, self.place, values)
            case _:
                return say(
                    "Write /settings NAME VALUE, /settings preset NAME ({presets}) or "
                    "/settings defaults.",
                    self.locale,
                    presets=", ".join(PRESETS),
                )
        return settings_answer(await self.conversation.effective(self.place), self.locale)

    async def _why(self) -> str:
        draft = self.history.newest
        if draft is None:
            return say("I haven't said anything yet.", self.locale)
        turns = (
            []
            if draft.context_start_id is None
            else await self.history.path(draft.context_start_id, 1)
        )
        return why_answer(draft, turns[0].text if turns else draft.said.text, self.locale)


def _number(text: str) -> Any:
    """`text` as a number; as it is where it is none, and then `check` refuses it."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def chat(settings: Settings, once: str | None, locale: str) -> int:
    """Talk with the person at the terminal or in the pipe; returns the exit code.

    Raises StartError when something that the bot needs is wrong or missing.
    """
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # text files, always
    is_talk = once is None and sys.stdin.isatty() and sys.stdout.isatty()
    here = settings.model_copy(update={"database_url": DATABASE_URL})
    if is_talk:
        _tell(say("Loading {model} …", locale, model=settings.model))
    with asyncio.Runner() as runner, _open_console(runner, here, locale) as console:
        if is_talk:
            return _talk(runner, console, here)
        lines = (line for line in sys.stdin if line.strip()) if once is None else [once]
        return answer_all(runner, console, lines)


@contextmanager
def _open_console(runner: asyncio.Runner, settings: Settings, locale: str) -> Iterator[Console]:
    stack = AsyncExitStack()
    try:
        foundation = runner.run(stack.enter_async_context(open_foundation(settings)))
        # To its end: a unit of work that waits for the person's next line would lock the database.
        runner.run(retention_of(foundation).attempt())
        history = WatchedHistory(foundation.database, origin="console")
        sampling = SqlSampling(foundation.database)
        conversation = build_conversation(foundation, history, sampling)
        yield Console(conversation, history, sampling, locale)
    finally:
        runner.run(stack.aclose())


def answer_all(runner: asyncio.Runner, console: Console, lines: Iterable[str]) -> int:
    """Print the answer to every line, up to /quit, and nothing else; returns the exit code."""
    exit_code = 0
    for line in map(str.strip, lines):
        if line == QUIT:
            break
        try:
            _tell(runner.run(console.answer(line)))
        except NoFitReplyError as error:
            _tell(explain(error, console.locale))
        except ChatError as error:
            sys.stderr.write(f"{explain(error, console.locale)}\n")
            exit_code = EXIT_UNANSWERED
    return exit_code


def _talk(runner: asyncio.Runner, console: Console, settings: Settings) -> int:
    """Talk until Ctrl-D or /quit; Ctrl-C gives a reply up, and ends the program at the prompt."""
    locale = console.locale
    if settings.model == EMBEDDED_MODEL:
        _tell(say(DEMONSTRATION, locale))
    _tell(say("/help lists the commands; Ctrl-D ends the conversation.", locale))
    with _line_editing(LINES_PATH):
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                _tell("")
                return 0
            except KeyboardInterrupt:
                _tell("")
                raise
            if line == QUIT:
                return 0
            if line:
                reply(runner, console, line)


def reply(runner: asyncio.Runner, console: Console, line: str) -> None:
    """Print the answer to `line`; its words are shown while they are made."""
    live = LiveLine()
    live.show("…")
    try:
        text = runner.run(console.answer(line, live.show))
    except KeyboardInterrupt:
        text = say("(stopped)", console.locale)
    except ChatError as error:
        text = explain(error, console.locale)
    live.clear()
    _tell(text)


@contextmanager
def _line_editing(path: Path) -> Iterator[None]:
    """Let `input` edit lines and know those of earlier conversations; only we may read them."""
    try:
        import readline  # noqa: PLC0415 - not in every Python, and it writes to a pipe
    except ImportError:
        yield
        return
    path.touch(mode=0o600)
    path.chmod(0o600)
    readline.set_history_length(NUM_LINES)
    _if_possible(readline.read_history_file, path)
    try:
        yield
    finally:
        _if_possible(readline.write_history_file, path)


def _if_possible(work: Callable[[Path], None], path: Path) -> None:
    """Lines that cannot be read or kept are no reason not to talk."""
    try:
        work(path)
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
