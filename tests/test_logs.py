"""Logs: whatever is logged, no secret and no words of a member come out."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.logs import OURS, REDACTED, TAME, LogFormat, configure_logs, redact

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def base64(low: int, high: int) -> st.SearchStrategy[str]:
    return st.text(alphabet=BASE64, min_size=low, max_size=high)


BOT_TOKENS = st.builds(".".join, st.tuples(base64(23, 28), base64(6, 7), base64(27, 38)))
# An interaction's token is base64 with padding; a webhook's is 68 characters of it.
PATH_TOKENS = base64(20, 240)
SURROUNDINGS = st.text(alphabet=" \n\t:='\"()[]{},;!?Öß한")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Puts every logger back, so that no other test sees our set-up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    named = {name: logging.getLogger(name).level for name in (*OURS, *TAME)}
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level
    for name, before in named.items():
        logging.getLogger(name).setLevel(before)


def fail(text: str) -> None:
    raise ValueError(text)


def logs_to(level: str = "INFO", log_format: LogFormat = "text", secret: str = "") -> io.StringIO:
    stream = io.StringIO()
    configure_logs(level, log_format, secrets=[secret], stream=stream)
    return stream


@given(BOT_TOKENS, SURROUNDINGS, SURROUNDINGS)
def test_a_bot_token_is_redacted_wherever_it_stands(token: str, before: str, after: str) -> None:
    assert redact(f"Bot{before}{token}{after}").count(token.split(".")[2]) == 0
    assert redact(f"{before} {token}{after}") == f"{before} {REDACTED}{after}"


@given(PATH_TOKENS, st.sampled_from(["webhooks", "interactions"]))
def test_a_token_in_an_address_is_redacted(token: str, kind: str) -> None:
    address = f"POST https://discord.com/api/v10/{kind}/1234/{token}/callback?wait=1 failed"
    assert redact(address) == address.replace(f"/{token}/", f"/{REDACTED}/")
    assert (
        redact(f"https://discord.com/{kind}/1/{token}")
        == f"https://discord.com/{kind}/1/{REDACTED}"
    )


@given(st.text(alphabet="abc123. -", min_size=8))
def test_a_secret_that_is_known_is_redacted_whatever_it_looks_like(secret: str) -> None:
    assert secret not in redact(f"key={secret};", [secret]).replace(REDACTED, "\0")


@pytest.mark.parametrize(
    "line",
    [
        "bot.dialogue.sampling.SamplingParams was built by transformers.models.gpt2.modeling_gpt2",
        "GET https://discord.com/api/v10/channels/1234567890123456789/messages took 12.5 s",
        "2026-01-01T00:00:00.000+00:00 sqlite+aiosqlite:///data/banter.db",
        "",
    ],
)
def test_ordinary_lines_stay_as_they_are(line: str) -> None:
    assert redact(line, ["", "short"]) == line


@pytest.mark.parametrize("log_format", ["text", "json"])
@given(token=BOT_TOKENS, key=st.text(alphabet=BASE64, min_size=8))
def test_no_secret_comes_out_of_messages_arguments_and_tracebacks(
    log_format: LogFormat, token: str, key: str
) -> None:
    stream = logs_to("DEBUG", log_format, key)
    logger = logging.getLogger("bot.somewhere")
    logger.debug("logging in with %s and %r", token, {"key": key})
    try:
        fail(f"https://discord.com/api/webhooks/1/{token}/messages {key}")
    except ValueError:
        logger.exception("failed with %s", token, stack_info=True)
    written = stream.getvalue()
    assert "failed with" in written
    assert "ValueError: https://discord.com/api/webhooks/1/[redacted]" in written
    assert token not in written
    assert key not in written.replace(REDACTED, "\0")


@pytest.mark.parametrize("name", ["discord.gateway", "discord.http", "aiosqlite", "other.library"])
def test_what_is_not_ours_never_logs_below_info(name: str) -> None:
    stream = logs_to("DEBUG")
    logger = logging.getLogger(name)
    logger.debug("For Shard ID None: WebSocket Event: {'content': 'canary'}")
    logger.setLevel(logging.DEBUG)
    logger.debug("canary: somebody switched it on")
    logger.setLevel(logging.NOTSET)
    assert stream.getvalue() == ""


def test_discord_may_still_say_what_goes_on() -> None:
    stream = logs_to("DEBUG")
    logging.getLogger("discord.gateway").info("Shard ID None has connected to Gateway")
    assert "has connected" in stream.getvalue()


@pytest.mark.parametrize(
    "name", ["sqlalchemy.engine.Engine", "alembic.runtime", "asyncio", "httpx"]
)
def test_chatty_libraries_are_heard_from_warnings_on(name: str) -> None:
    stream = logs_to("DEBUG")
    logging.getLogger(name).info("SELECT 1")
    logging.getLogger(name).warning("slow")
    assert "SELECT" not in stream.getvalue()
    assert "slow" in stream.getvalue()


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 4), ("INFO", 3), ("ERROR", 1)])
def test_the_level_is_for_our_own_code(level: str, shown: int) -> None:
    stream = logs_to(level)
    logger = logging.getLogger("cogs.chat")
    for write in (logger.debug, logger.info, logger.warning, logger.error):
        write("a line")
    assert stream.getvalue().count("a line") == shown


def test_setting_up_twice_writes_every_line_once() -> None:
    logs_to()
    stream = logs_to()
    logging.getLogger("bot").info("hello")
    assert stream.getvalue().count("hello") == 1


def test_a_json_line_is_one_object() -> None:
    stream = logs_to("INFO", "json")
    logging.getLogger("bot.startup.app").warning("zwei\nZeilen %s", "“한”")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line) | {"time": ""} == {
        "time": "",
        "level": "WARNING",
        "logger": "bot.startup.app",
        "message": "zwei\nZeilen “한”",
    }


def test_python_warnings_become_lines() -> None:
    stream = logs_to()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("this goes away", UserWarning, stacklevel=1)
    assert "UserWarning: this goes away" in stream.getvalue()
