"""The settings: every mistake is told, and the rest is still looked at."""

import re

import pytest

from tests.doctor.patient import Patient

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.canarycanarycanarycanarycanary12"


async def test_nothing_to_complain_of(patient: Patient) -> None:
    patient.write_env("TEMPERATURE=0.7\n")
    found = await patient.examine()
    assert found.exit_code == 0
    assert len(found.marked("ok")) == len(found.lines)
    found.the("ok", "The settings in .env are right.")
    assert found.summary == "The bot can run."


async def test_the_first_line_has_the_versions_that_a_report_needs(lonely: Patient) -> None:
    first = (await lonely.examine()).lines[0]
    versions = r"Python \d\S+, torch \d\S+, transformers \d\S+, discord\.py \d\S+"
    assert re.fullmatch(rf"ok +Versions: {versions}\.", first)


async def test_a_wrong_value_is_told_with_what_is_allowed(lonely: Patient) -> None:
    found = await lonely.examine(TEMPERATURE="9")
    assert found.exit_code == 78
    assert found.marked("fault") == [
        "fault    TEMPERATURE must be a number from 0.1 to 2.0, not “9”."
    ]


async def test_all_mistakes_are_told_at_once_and_the_rest_is_looked_at(patient: Patient) -> None:
    patient.write_env("TEMPRATURE=0.7\nTOP_K=many\nHISTORY=chanel\n")
    found = await patient.examine(MODEL="nowhere/")
    assert len(found.marked("fault")) == 4
    found.the("fault", "did you mean TEMPERATURE?")
    found.the("fault", "TOP_K must be a whole number")
    found.the("fault", "HISTORY must be one of channel, member")
    found.the("fault", "MODEL is nowhere/, but there is no such folder")
    found.the("ok", "Discord knows the token")
    assert found.exit_code == 78


@pytest.mark.parametrize(
    ("text", "words"),
    [("DISCORD_TOKEN\n", "not of the form NAME=value"), ("=\n\n=", "not of the form NAME=value")],
)
async def test_a_file_that_cannot_be_read_leaves_nothing_to_guess(
    patient: Patient, text: str, words: str
) -> None:
    """It may name another database, another model: these would be looked at in vain."""
    del patient.environ["DISCORD_TOKEN"]
    patient.write_env(text)
    found = await patient.examine()
    assert found.lines == (found.the("ok", "Versions: "), found.the("fault", words))


async def test_what_depends_on_a_wrong_value_is_left_alone(patient: Patient) -> None:
    wrong = {"DISCORD_TOKEN": "my token", "DATABASE_URL": "mysql://x/y", "MESSAGE_CONTENT": "?"}
    found = await patient.examine(**wrong, DEVICE="gpu")
    assert len(found.marked("fault")) == 4
    assert found.marked("ok") == [
        found.the("ok", "Versions: "),
        "ok       The model is the embedded demonstration voice, and it is whole.",
    ]
    assert found.marked("warning") == []


async def test_a_list_of_words_that_is_not_there_is_told(lonely: Patient) -> None:
    found = await lonely.examine(BLOCKED_WORDS="words.txt")
    found.the("fault", "words.txt cannot be read")
    assert found.exit_code == 78


async def test_a_file_that_others_may_read_is_told(lonely: Patient) -> None:
    lonely.write_env("TOP_K=10\n", mode=0o644)
    found = await lonely.examine()
    assert found.the("warning", "other users").endswith("run chmod 600 .env")
    assert found.exit_code == 0


async def test_without_a_token_the_playground_is_announced(lonely: Patient) -> None:
    found = await lonely.examine(1)
    assert found.exit_code == 0
    line = found.the("warning", "the start opens the playground")
    assert "press Reset Token" in line
    assert found.summary == (
        "Only the playground can run, not the bot on Discord. Warnings: "
        f"{len(found.marked('warning'))}."
    )
    found.the("warning", "The channels were not checked")


async def test_without_token_and_playground_nothing_can_start(
    lonely: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bot.startup.playground_packages.PLAYGROUND_PACKAGES", ("simcord_that_is_not_there",)
    )
    found = await lonely.examine()
    found.the("fault", "DISCORD_TOKEN is not set: create an application")
    assert found.exit_code == 78


async def test_a_bot_without_a_policy_or_encryption_is_warned_of(patient: Patient) -> None:
    found = await patient.examine(PRIVACY_URL="", HISTORY_KEY="off")
    found.the("warning", "set PRIVACY_URL to its address")
    found.the("warning", "HISTORY_KEY is off")
    assert found.exit_code == 0


async def test_no_secret_is_ever_told(lonely: Patient) -> None:
    """Also not where it stands in the wrong line."""
    lonely.write_env(f"MODEL={TOKEN}\nLOG_LEVEL={TOKEN}\nHISTORY_KEY=canary-of-history\n")
    url = "postgresql://banter:canary-of-postgres@127.0.0.1:1/banter"
    found = await lonely.examine(DISCORD_TOKEN=f"Bot {TOKEN}", DATABASE_URL=url)
    assert "canary" not in "\n".join(found.lines)
    found.the("fault", "DISCORD_TOKEN is not a token")
    found.the("fault", "banter:***@127.0.0.1:1/banter")


async def test_every_finding_is_one_line_in_the_language_of_the_terminal(lonely: Patient) -> None:
    found = await lonely.examine(locale="ko", MODEL="no\nwhere/")
    assert not [line for line in found.lines if "\n" in line]
