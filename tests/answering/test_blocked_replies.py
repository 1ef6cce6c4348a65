"""A reply with a blocked word is not said; which words those are is a setting."""

import math
from pathlib import Path

import pytest

from bot.answering.ports import Rejected
from bot.answering.reply_maker import ReplyMaker
from bot.dialogue.blocked import is_blocked
from bot.dialogue.context import ContextBudget
from bot.dialogue.guards import Fault, find_fault
from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import Cancellation
from bot.errors import NoFitReplyError, WrongSettingsError
from bot.settings.settings import Settings, load_settings
from bot.startup.foundation import open_foundation
from bot.terminal.console_answers import _refused
from tests.fakes import InlineTokenizerThread, ScriptedEngine
from tests.rooms import said

NO_FILE = Path("/nonexistent/.env")


@pytest.mark.parametrize(
    ("value", "meant"),
    [("on", True), ("Yes", True), ("off", False), ("0", False), ("w/x.txt", Path("w/x.txt"))],
)
def test_the_setting_is_on_off_or_a_file(value: str, *, meant: bool | Path) -> None:
    assert load_settings({"BLOCKED_WORDS": value}, NO_FILE).blocked_words == meant


def test_the_filter_is_on_where_nothing_is_set() -> None:
    assert load_settings({}, NO_FILE).blocked_words is True


async def test_a_wrong_list_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("***\n")
    settings = Settings(
        blocked_words=path, database_url=f"sqlite+aiosqlite:///{tmp_path}/x.db", model="embedded"
    )
    with pytest.raises(WrongSettingsError, match="Line 1 of"):
        async with open_foundation(settings):
            pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["words.txt"]


def test_a_blocked_word_makes_a_candidate_unfit() -> None:
    assert find_fault("Well, shit.", "hi", [], is_blocked) is Fault.BLOCKED_WORD
    assert find_fault("Well, well.", "hi", [], is_blocked) is None
    assert find_fault("Well, shit.", "hi", []) is None


def reply_maker(engine: ScriptedEngine) -> ReplyMaker:
    return ReplyMaker(
        engine=engine,
        tokenizer=InlineTokenizerThread(),
        budget=ContextBudget(256, 8),
        deadline_seconds=math.inf,
        is_blocked=is_blocked,
    )


async def test_a_reply_with_a_blocked_word_is_replaced_not_masked() -> None:
    engine = ScriptedEngine()
    engine.script = lambda _: [["Oh f.u.c.k no.", "Oh dear, no."][len(engine.asked) > 1]]
    answer = await reply_maker(engine).answer(said("hi", 1), [], SamplingParams(), Cancellation())
    assert answer.text == "Oh dear, no."
    assert [rejected.scores["fault"] for rejected in answer.rejected] == ["blocked_word"]


async def test_where_every_candidate_has_a_blocked_word_nothing_of_it_is_said() -> None:
    engine = ScriptedEngine(lambda _: ["Oh fuck no."])
    with pytest.raises(NoFitReplyError):
        await reply_maker(engine).answer(said("hi", 1), [], SamplingParams(), Cancellation())
    assert len(engine.asked) == 3


def test_why_names_the_fault_and_not_the_word() -> None:
    shown = _refused(Rejected("Oh fuck no.", {"fault": "blocked_word"}), "en")
    assert shown == "Refused (blocked_word): “…”"
