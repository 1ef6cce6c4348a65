from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.context import Context, ContextBudget, build_context, fit_window
from bot.dialogue.prompt import Tokenizer, encode_prompt
from bot.dialogue.text import clean, graphemes, is_blank
from bot.dialogue.turn import Role, Turn
from tests.dialogue.builders import path, started_at, talk
from tests.dialogue.byte_tokenizer import (
    END_OF_TEXT_ID,
    ByteTokenizer,
    TemplateByteTokenizer,
    WordTokenizer,
)

BYTES = ByteTokenizer()
TEMPLATE = TemplateByteTokenizer()
WIDE = ContextBudget(num_tokens=10_000, num_turns=100)

tokenizers = st.sampled_from([BYTES, TEMPLATE, WordTokenizer("the", "cat")])
texts = st.text(st.sampled_from("a b 가😀e\u0301 the cat"), max_size=30).map(clean)
budgets = st.builds(ContextBudget, st.integers(1, 120), st.integers(1, 9))


@st.composite
def paths(draw: st.DrawFn) -> list[Turn]:
    first_role: Role = draw(st.sampled_from(Role))
    turns = path(*draw(st.lists(texts, max_size=8)), first_role=first_role)
    start_id: int | None = draw(st.none() | st.integers(1, 9))
    return started_at(turns, start_id) if turns else turns


def texts_of(context: Context) -> list[str]:
    return [turn.text for turn in context.turns]


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0), (-1, 5)])
def test_a_budget_below_1_is_refused(wrong: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="below 1"):
        ContextBudget(*wrong)


def test_a_budget_is_cut_to_two_thirds_but_an_exchange_stays() -> None:
    assert ContextBudget(100, 8).cut() == ContextBudget(66, 5)
    assert ContextBudget(100, 4).cut() == ContextBudget(66, 3)
    assert ContextBudget(1, 1).cut() == ContextBudget(1, 1)


def test_a_first_utterance_is_the_whole_prompt() -> None:
    context = build_context([], "hi", WIDE, BYTES)
    assert context == Context((), (*b"hi", END_OF_TEXT_ID), None, 2, (), BYTES.name)


def test_the_prompt_holds_the_turns_and_then_the_utterance() -> None:
    turns = path("hi", "hello")
    context = build_context(turns, "how?", WIDE, BYTES)
    assert context.prompt_ids == (*b"hi", 256, *b"hello", 256, *b"how?", 256)
    assert (context.turns, context.start_id) == (tuple(turns), 1)
    assert context.own_ids == (tuple(b"hello"),)
    assert context.num_said_tokens == 4


def test_blank_turns_are_skipped() -> None:
    context = build_context(path("hi", "", "\u200b", "well", "so", "yes"), "ok", WIDE, BYTES)
    assert texts_of(context) == ["hi", "well", "so", "yes"]


def test_oldest_turns_are_dropped_first() -> None:
    turns = path("aa", "bb", "cc", "dd", "ee", "ff")
    context = build_context(turns, "gg", ContextBudget(20, 100), BYTES)
    assert texts_of(context) == ["ee", "ff"]  # 9 ids of at most 13
    assert context.start_id == 5


def test_a_context_over_its_tokens_is_cut_to_two_thirds_of_its_turns_too() -> None:
    turns = path(*"abcdefgh")
    assert len(build_context(turns, "i", ContextBudget(17, 9), BYTES).turns) == 4
    assert len(build_context(turns, "i", ContextBudget(18, 9), BYTES).turns) == 8


def test_a_context_over_its_turns_is_cut_to_two_thirds_of_its_tokens_too() -> None:
    turns = path("a" * 20, "b", "c" * 20, "d", "e", "f")
    assert len(build_context(turns, "g", ContextBudget(55, 7), BYTES).turns) == 6
    assert texts_of(build_context(turns, "g", ContextBudget(55, 6), BYTES)) == list("cdef")[2:]


def test_the_utterance_counts_as_a_turn() -> None:
    turns = path("a", "b", "c", "d")
    assert len(build_context(turns, "e", ContextBudget(100, 5), BYTES).turns) == 4
    assert len(build_context(turns, "e", ContextBudget(100, 4), BYTES).turns) == 2
    assert build_context(turns, "e", ContextBudget(100, 1), BYTES).turns == ()


def test_turns_are_never_cut() -> None:
    turns = path("a" * 50, "b" * 50, "c", "d" * 90)
    context = build_context(turns, "e", ContextBudget(60, 9), BYTES)
    assert (context.turns, context.start_id) == ((), None)


def test_the_context_runs_from_the_start_of_the_newest_answer() -> None:
    turns = started_at(path("a", "b", "c", "d", "e", "f"), 3)
    assert texts_of(build_context(turns, "g", WIDE, BYTES)) == list("cdef")


def test_a_start_older_than_the_path_leaves_the_path_whole() -> None:
    turns = started_at([replace(turn, turn_id=turn.turn_id + 50) for turn in path("a", "b")], 7)
    assert texts_of(build_context(turns, "c", WIDE, BYTES)) == ["a", "b"]


def test_a_start_that_was_deleted_gives_way_to_the_next_question() -> None:
    turns = started_at(path("a", "b", "", "d", "e", "f"), 3)
    assert texts_of(build_context(turns, "g", WIDE, BYTES)) == ["e", "f"]
    del turns[2]  # stores leave blank turns out
    assert texts_of(build_context(turns, "g", WIDE, BYTES)) == ["e", "f"]


def test_an_answer_that_was_given_to_its_question_alone_starts_there() -> None:
    turns = started_at(path("a", "b", "c", "d"), None)
    assert texts_of(build_context(turns, "e", WIDE, BYTES)) == ["c", "d"]


def test_an_answer_without_its_question_is_left_out_at_the_start() -> None:
    turns = path("a" * 40, "b", "c", "d")
    assert texts_of(build_context(turns, "e", ContextBudget(30, 9), BYTES)) == ["c", "d"]


def test_the_answer_that_is_replied_to_stays_without_its_question() -> None:
    turns = path("a" * 40, "b")
    assert texts_of(build_context(turns, "e", ContextBudget(30, 9), BYTES)) == ["b"]
    assert texts_of(build_context(path("", "b"), "e", WIDE, BYTES)) == ["b"]


def test_a_template_never_begins_with_the_bot() -> None:
    turns = path("", "b")
    assert texts_of(build_context(turns, "e", WIDE, TEMPLATE)) == []


def test_with_a_template_the_rendered_whole_is_measured() -> None:
    turns = path("aa", "bb")
    ids = 3 * (2 + 2) + 1
    assert len(build_context(turns, "cc", ContextBudget(ids, 9), TEMPLATE).prompt_ids) == ids
    assert build_context(turns, "cc", ContextBudget(ids - 1, 9), TEMPLATE).turns == ()


def test_a_long_utterance_keeps_its_end_from_the_beginning_of_a_word() -> None:
    context = build_context(path("a", "b"), "one two three four", ContextBudget(12, 9), BYTES)
    assert BYTES.decode(context.prompt_ids) == "three four"
    assert (context.turns, context.start_id, context.num_said_tokens) == ((), None, 18)


def test_a_korean_utterance_is_cut_at_a_word_and_else_at_a_syllable() -> None:
    def kept(said: str) -> str:
        return BYTES.decode(build_context([], said, ContextBudget(18, 9), BYTES).prompt_ids)

    assert kept("오늘은 날씨가 정말 좋네") == "정말 좋네"
    assert kept("오늘은날씨가정말좋네") == "가정말좋네"


def test_a_character_is_never_cut() -> None:
    family = "👨\u200d👩\u200d👧"  # 18 bytes
    for num_tokens in range(1, 40):
        context = build_context([], f"{family}{family}", ContextBudget(num_tokens, 9), BYTES)
        num_families = (num_tokens - 1) // 18
        assert BYTES.decode(context.prompt_ids) == family * min(num_families, 2)


def test_an_utterance_whose_end_has_more_tokens_than_its_whole_fits() -> None:
    tokenizer = WordTokenizer("extraordinary")
    context = build_context([], "an extraordinary", ContextBudget(4, 9), tokenizer)
    assert context.prompt_ids == (0, END_OF_TEXT_ID)


@given(paths(), texts, budgets, tokenizers)
def test_a_prompt_is_whole_turns_within_the_budget(
    turns: list[Turn], said: str, budget: ContextBudget, tokenizer: Tokenizer
) -> None:
    context = build_context(turns, said, budget, tokenizer)
    assert 1 <= len(context.prompt_ids) <= budget.num_tokens
    assert len(context.turns) + 1 <= budget.num_turns
    shown = [turn for turn in turns if not is_blank(turn.text)]
    assert list(context.turns) == shown[len(shown) - len(context.turns) :]
    assert context.start_id == (context.turns[0].turn_id if context.turns else None)
    assert len(context.own_ids) == sum(turn.role is Role.BOT for turn in context.turns)
    whole = [*((turn.role, turn.text) for turn in context.turns), (Role.USER, said)]
    if context.turns:
        assert list(context.prompt_ids) == encode_prompt(whole, tokenizer)


@given(texts, st.integers(1, 60))
def test_a_cut_utterance_is_an_end_of_it_in_whole_characters(said: str, num_tokens: int) -> None:
    ids = build_context([], said, ContextBudget(num_tokens, 1), BYTES).prompt_ids
    kept = BYTES.decode(ids)
    assert said.endswith(kept)
    clusters = graphemes(said)
    assert any("".join(clusters[i:]) == kept for i in range(len(clusters) + 1))
    assert ids[-1] == END_OF_TEXT_ID


def test_the_prefix_stays_the_same_for_many_turns() -> None:
    contexts = talk(["x" * 20] * 60, ContextBudget(1000, 100), BYTES, answer="y" * 20)
    num_kept = sum(
        after.prompt_ids[: len(before.prompt_ids)] == before.prompt_ids
        for before, after in pairwise(contexts)
    )
    assert num_kept >= 0.85 * len(contexts)
    assert all(len(context.prompt_ids) <= 1000 for context in contexts)
    assert all(len(context.prompt_ids) > 600 for context in contexts[25:])


@given(st.lists(st.text("ab ", min_size=1, max_size=30).map(str.strip), max_size=30), budgets)
def test_between_cuts_a_context_only_grows(sentences: list[str], budget: ContextBudget) -> None:
    contexts = talk([s or "a" for s in sentences], budget, BYTES, answer="yes")
    for before, after in pairwise(contexts):
        start_ids = [turn.turn_id for turn in after.turns]
        assert before.start_id is None or not start_ids or start_ids[0] >= before.start_id
        if before.start_id is not None and before.start_id == after.start_id:
            assert after.prompt_ids[: len(before.prompt_ids)] == before.prompt_ids


def test_a_context_costs_what_it_holds_and_not_what_was_said_before() -> None:
    class CountingTokenizer(ByteTokenizer):
        num_characters = 0

        def encode(self, text: str) -> list[int]:
            CountingTokenizer.num_characters += len(text)
            return super().encode(text)

    turns = started_at(path(*["hello there"] * 2000), 1)
    build_context(turns, "hi", ContextBudget(256, 8), CountingTokenizer())
    assert CountingTokenizer.num_characters < 1000


@given(st.integers(2, 4096), st.integers(1, 4096), st.integers(1, 4096))
def test_prompt_and_reply_fit_the_window(window: int, max_new: int, context_tokens: int) -> None:
    num_prompt, num_new = fit_window(window, max_new, context_tokens)
    assert num_prompt >= 1
    assert 1 <= num_new <= min(max_new, window / 2)
    assert num_prompt + num_new <= window
    assert num_prompt <= context_tokens
    assert num_prompt in {context_tokens, window - num_new}  # no room is given away


def test_dialogpt_has_room_for_the_usual_context() -> None:
    assert fit_window(1024, 64, 256) == (256, 64)
    assert fit_window(1024, 256, 4096) == (768, 256)
    assert fit_window(128, 256, 256) == (64, 64)


@pytest.mark.parametrize("wrong", [(1, 1, 1), (1024, 0, 256), (1024, 64, 0)])
def test_a_window_without_room_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no room"):
        fit_window(*wrong)
