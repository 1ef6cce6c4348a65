"""Starts that must be refused, each in a folder of its own, and what an operator reads then."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.discord_server.bot_process import BotProcess
from tests.whole_bot.home import Home

END_SECONDS = 60.0  # several at a time on two busy cores
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


@dataclass(frozen=True, slots=True)
class Refused:
    """How a start ended: `sentences` are the lines on stderr that are no log lines."""

    exit_code: int
    sentences: list[str]
    log: list[str]

    @property
    def sentence(self) -> str:
        """The only sentence."""
        (sentence,) = self.sentences
        return sentence


async def refused_start(home: Home, folder: Path, env: Mapping[str, str] | None = None) -> Refused:
    """Start the bot in `folder`, which is made, and wait for its end.

    The lock of the token lies in the folder too, so that several starts do not meet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bot = await BotProcess.start(
        home.server, folder=folder, env={**home.env, "TMPDIR": str(folder), **(env or {})}
    )
    async with bot:
        ended = await bot.ended(timeout=END_SECONDS)
    lines = bot.stderr.splitlines()
    assert "Traceback" not in bot.stderr, bot.stderr
    assert home.server.token not in bot.stderr
    assert bot.stdout == ""
    assert bot.strays == []
    return Refused(
        ended.exit_code,
        [line for line in lines if not _LOG_LINE.match(line)],
        [line for line in lines if _LOG_LINE.match(line)],
    )
