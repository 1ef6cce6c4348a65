"""The rules over a reply, for a whole batch, against transformers' and the reference's own."""

import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    LogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import GenerationRequest
from bot.engine.reference.rules import ReplyRules
from bot.engine.sampling.letters import WHOLE, WholeLetters
from bot.engine.sampling.rules import OwnTurns, ReplyRow, apply_rules

NUM_IDS = 24
END_IDS = (0, 5)
OFF = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "no_repeat_own_ngram_size": 0,
    "min_new_tokens": 1,
}


# Few tokens: letters are often in the middle, and what would end them is often banned.
SPELLING = [b"", b"\xec", b"\x95", b"\x88", b"a", b"", b"\x80\xc3", b"\xbf", *[b" "] * 16]
LETTERS = WholeLetters(SPELLING, torch.device("cpu"))


def logits_for(num_rows: int, seed: int = 0) -> Tensor:
    return torch.randn(num_rows, NUM_IDS, generator=torch.Generator().manual_seed(seed)) * 3


def replies(num_rows: int) -> list[list[int]]:
    """Ragged replies of few words, so that much is repeated; the tokens that end are not in."""
    rng = random.Random(1)
    ragged = [rng.choices((1, 2, 3, 4, 6), k=rng.randint(0, 20)) for _ in range(num_rows - 1)]
    return [*ragged, [1, 2, 3, 4, 6, 6, 4, 3, 2, 1, 7] * 2]


def with_rules(**changes: float) -> SamplingParams:
    return SamplingParams(**OFF | changes)  # type: ignore[arg-type]  # a test's keyword arguments


def said(
    ids: list[int], params: SamplingParams, own: Sequence[Sequence[int]], place: int = WHOLE
) -> ReplyRow:
    return ReplyRow(ids, params, OwnTurns(own, params), place)


def theirs(params: SamplingParams) -> list[LogitsProcessor]:
    """transformers' processors for one row, which is given its reply as if it were all."""
    made: list[LogitsProcessor] = []
    if params.repetition_penalty != 1:
        made.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    if params.no_repeat_ngram_size:
        made.append(NoRepeatNGramLogitsProcessor(params.no_repeat_ngram_size))
    made.append(MinNewTokensLengthLogitsProcessor(0, params.min_new_tokens, list(END_IDS)))
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"repetition_penalty": 1.1},
        {"repetition_penalty": 2.0},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2},
        {"no_repeat_ngram_size": 10},
        {"min_new_tokens": 16},
        {"repetition_penalty": 1.5, "no_repeat_ngram_size": 3, "min_new_tokens": 8},
    ],
    ids=str,
)
def test_every_rule_equals_that_of_transformers(changes: dict[str, float]) -> None:
    params = with_rules(**changes)
    spoken = replies(40)
    logits = logits_for(len(spoken))
    ruled = apply_rules(logits, [ReplyRow(ids, params) for ids in spoken], END_IDS)
    for row, ids in enumerate(spoken):
        expected = logits[row : row + 1].clone()
        for processor in theirs(params):
            expected = processor(torch.tensor([ids], dtype=torch.long), expected)
        assert torch.equal(ruled[row : row + 1], expected)
    begun = [number for number, ids in enumerate(spoken) if ids]  # elsewhere the end is banned
    assert torch.equal(ruled[begun], logits[begun]) == (not changes)


@pytest.mark.parametrize("letters", [None, LETTERS], ids=["any", "whole letters"])
def test_every_row_is_ruled_by_its_own_params(letters: WholeLetters | None) -> None:
    rng = random.Random(2)
    rows = [
        said(
            ids,
            with_rules(
                repetition_penalty=rng.choice((1.0, 1.2, 2.0)),
                no_repeat_ngram_size=rng.choice((0, 1, 2, 3)),
                no_repeat_own_ngram_size=rng.choice((0, 1, 2, 3)),
                dry_multiplier=rng.choice((0.0, 0.8)),
                min_new_tokens=rng.randint(1, 16),
            ),
            rng.choices(replies(9), k=2),
            place=LETTERS.place(LETTERS.after(WHOLE, ids), rng.randint(1, 6)),
        )
        for ids in replies(60)
    ]
    logits = logits_for(60)
    together = apply_rules(logits, rows, END_IDS, letters)
    for number, row in enumerate(rows):
        alone = apply_rules(logits[number : number + 1], [row], END_IDS, letters)
        assert torch.equal(together[number : number + 1], alone)


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(1, 4), max_size=20),
    own=st.lists(st.lists(st.integers(0, 5), max_size=12), max_size=4),
    changes=st.fixed_dictionaries(
        {
            "repetition_penalty": st.sampled_from((1.0, 1.3, 2.0)),
            "no_repeat_ngram_size": st.integers(0, 5),
            "no_repeat_own_ngram_size": st.integers(0, 5),
            "dry_multiplier": st.sampled_from((0.0, 0.8, 5.0)),
            "min_new_tokens": st.integers(1, 16),
        }
    ),
    prompt=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    letters=st.sampled_from((None, LETTERS)),
    num_left=st.integers(1, 6),
)
def test_rules_are_those_of_the_reference_engine(
    ids: list[int],
    own: list[list[int]],
    changes: dict[str, float],
    prompt: list[int],
    letters: WholeLetters | None,
    num_left: int,
) -> None:
    params = with_rules(**changes)
    logits = logits_for(1, seed=len(ids))
    asked = GenerationRequest(tuple(prompt), params, own_ids=tuple(map(tuple, own)))
    rules = ReplyRules(asked, END_IDS, letters, len(ids) + num_left)
    expected = rules(torch.tensor([[*prompt, *ids]], dtype=torch.long), logits)
    row = said(ids, params, own, LETTERS.place(LETTERS.after(WHOLE, ids), num_left))
    assert torch.equal(apply_rules(logits, [row], END_IDS, letters), expected)
    assert bool((expected > -torch.inf).any())


def test_a_letter_is_ended_although_what_ends_it_is_banned() -> None:
    params = with_rules(no_repeat_ngram_size=1, min_new_tokens=16)
    ids = [1, 2, 3, 1, 2]  # the second 안 lacks its end
    row = said(ids, params, (), LETTERS.place(LETTERS.after(WHOLE, ids), 9))
    ruled = apply_rules(logits_for(1), [row], END_IDS, LETTERS)
    left = [i for i, logit in enumerate(ruled[0].tolist()) if logit > -torch.inf]
    assert left == [6, 7]  # others that end it, but not those that were said
    ids = [*ids, 7, 6, 1, 2]
    row = said(ids, params, (), LETTERS.place(LETTERS.after(WHOLE, ids), 9))
    ruled = apply_rules(logits_for(1), [row], END_IDS, LETTERS)
    left = [i for i, logit in enumerate(ruled[0].tolist()) if logit > -torch.inf]
    assert left == [2, 3, 6, 7]  # all were said: the ban falls


def test_the_rules_read_nothing_back_from_a_device() -> None:
    """A tensor without memory raises where a step would wait for its numbers."""
    letters = WholeLetters(SPELLING, torch.device("meta"))
    params = with_rules(repetition_penalty=2.0, no_repeat_ngram_size=1, dry_multiplier=0.8)
    rows = [ReplyRow([1, 2, 3, 1], params, place=LETTERS.place(state, 9)) for state in (0, 3)]
    ruled = apply_rules(torch.zeros(2, NUM_IDS, device="meta"), rows, END_IDS, letters)
    assert ruled.shape == (2, NUM_IDS)


def test_the_logits_that_come_in_are_left_as_they_were() -> None:
    logits = logits_for(2)
    before = logits.clone()
    params = with_rules(repetition_penalty=2.0, no_repeat_ngram_size=1, min_new_tokens=4)
    ruled = apply_rules(logits, [ReplyRow([1, 2], params)] * 2, END_IDS)
    assert torch.equal(logits, before)
    assert ruled[:, [0, 1, 2, 5]].isinf().all()


def test_the_end_is_banned_before_the_least_length_only() -> None:
    rows = [ReplyRow([1] * length, with_rules(min_new_tokens=3)) for length in (0, 2, 3, 4)]
    ended = apply_rules(logits_for(4), rows, END_IDS)[:, list(END_IDS)].isinf()
    assert ended.tolist() == [[True, True], [True, True], [False, False], [False, False]]
