"""A command that fails answers with one sentence, privately; only bugs are logged as bugs."""

import logging
from collections.abc import AsyncIterator

import pytest

from bot.client.chat_bot import ChatBot
from bot.errors import OwnFaultError, StoreUnavailableError
from bot.settings.settings import Settings
from bot.store.database.database import Database
from tests.cogs.stage import Stage, build_services, open_stage
from tests.fakes import ScriptedEngine


@pytest.fixture
async def faulty(
    database: Database, engine: ScriptedEngine, settings: Settings
) -> AsyncIterator[Stage]:
    """A bot whose only command fails."""
    services = build_services(database, engine, settings)
    bot = ChatBot(services, ("cogs.errors", "cogs.chat", "tests.cogs.faulty"))
    async with open_stage(bot, engine) as stage:
        yield stage


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("memory", StoreUnavailableError.sentence),
        ("bound", "`top_k` must be between 0 and 200; you gave 999."),
        ("rights", "You need the permission “Manage Server” for that."),
        ("odd", "You need the permission “Mute Members” for that."),
        ("place", "That works only in a server, not in a direct message."),
        ("bug", OwnFaultError.sentence),
    ],
)
async def test_every_failure_has_its_sentence(
    faulty: Stage, how: str, sentence: str, wait: bool
) -> None:
    result = await faulty.alice.slash(faulty.channel, "fail", how=how, wait=wait)
    assert result.response is not None
    assert result.response.content == sentence
    assert result.ephemeral


async def test_a_bug_is_logged_with_ids(faulty: Stage, caplog: pytest.LogCaptureFixture) -> None:
    await faulty.alice.slash(faulty.channel, "fail", how="bug", wait=False)
    (record,) = [one for one in caplog.records if one.name == "cogs.errors"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    for known in ("fail", faulty.alice.id, faulty.channel.id, faulty.guild.id):
        assert str(known) in record.getMessage()


async def test_what_is_no_bug_is_not_logged(
    faulty: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await faulty.alice.slash(faulty.channel, "fail", how="memory", wait=False)
    assert [one for one in caplog.records if one.name == "cogs.errors"] == []


async def test_an_expired_interaction_is_only_logged(
    faulty: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    result = await faulty.alice.slash(faulty.channel, "fail", how="late", wait=False)
    assert result.response is None
    (record,) = [one for one in caplog.records if one.name == "cogs.errors"]
    assert record.levelno == logging.WARNING


async def test_a_sentence_that_cannot_be_told_is_logged(
    faulty: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.env.inject_error("POST", "/interactions/*", status=500, times=None)
    await faulty.alice.slash(faulty.channel, "fail", how="memory", wait=False)
    (record,) = [one for one in caplog.records if one.name == "cogs.errors"]
    assert record.getMessage().startswith("The error was not told: fail")


async def test_a_command_that_is_gone_says_so(faulty: Stage) -> None:
    faulty.bot.tree.remove_command("fail")
    result = await faulty.alice.slash(faulty.channel, "fail", how="memory", wait=False)
    assert result.response is not None
    assert result.response.content.startswith("This command has changed")
