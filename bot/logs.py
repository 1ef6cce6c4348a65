"""Logging set-up: lines to stderr as text or JSON, with no message text and no secret in them.

Our own code logs ids, never words. Other people's code may: at DEBUG discord.py prints every
event and request, and the database's driver every value. So what is not ours is fixed at INFO or
above whatever LOG_LEVEL says, and every line is searched for what looks like a secret.
"""

import json
import logging
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, TextIO

LogFormat = Literal["text", "json"]

OURS = ("bot", "cogs", "migrations", "__main__")
TAME = (  # what they say at INFO is of no use to an operator
    "aiohttp.access",
    "aiosqlite",
    "alembic",
    "asyncio",
    "filelock",
    "httpcore",
    "httpx",
    "huggingface_hub",
    "sqlalchemy",
    "urllib3",
)
REDACTED = "[redacted]"
_SHORTEST_SECRET = 8  # a shorter one would blot out ordinary words
# A bot's token: its id in base64, a time stamp, a signature.
_BOT_TOKEN = re.compile(r"(?<![\w-])[\w-]{18,}\.[\w-]{5,}\.[\w-]{20,}", re.ASCII)
# The token of a webhook or an interaction stands in the path of the address.
_TOKEN_IN_PATH = re.compile(r"(/(?:webhooks|interactions)/\d+/)[^\s/?#\"'<>\\]+")


def configure_logs(
    level: str, log_format: LogFormat, *, secrets: Sequence[str] = (), stream: TextIO | None = None
) -> None:
    """Send all log lines to `stream` (stderr), replacing any earlier set-up.

    `level` is for our own code. Each of `secrets` is left out wherever it stands.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_FORMATTERS[log_format](secrets))
    handler.addFilter(_is_ours_or_important)
    floor = max(logging.INFO, logging.getLevelNamesMapping()[level])
    logging.basicConfig(handlers=[handler], level=floor, force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in TAME:
        logging.getLogger(name).setLevel(max(logging.WARNING, floor))
    logging.captureWarnings(True)  # noqa: FBT003  (the standard library takes it by position)


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """`text` without what is, or looks like, a secret."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, REDACTED)
    text = _TOKEN_IN_PATH.sub(rf"\1{REDACTED}", text)
    return _BOT_TOKEN.sub(REDACTED, text)


class TextFormatter(logging.Formatter):
    """One line for a person; a traceback follows on lines of its own."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line and its traceback, redacted."""
        return redact(super().format(record), self._secrets)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and a traceback if any."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The JSON text, every string in it redacted."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage(), self._secrets),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info), self._secrets)
        if record.stack_info:
            line["stack"] = redact(record.stack_info, self._secrets)
        return json.dumps(line, ensure_ascii=False)


_FORMATTERS = {"text": TextFormatter, "json": JsonFormatter}


def _is_ours_or_important(record: logging.LogRecord) -> bool:
    """Whether a record may be shown: other people's DEBUG holds words and tokens."""
    return record.levelno >= logging.INFO or record.name.partition(".")[0] in OURS
