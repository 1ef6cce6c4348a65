"""The rules over a reply, on logits made by hand."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import GenerationRequest
from bot.engine.reference.rules import ReplyRules, completing, penalise
from bot.engine.sampling.rules import repeated


def test_what_was_said_becomes_less_likely_whatever_the_sign() -> None:
    logits = torch.tensor([[2.0, -2.0, 0.0, 1.0, -1.0]])
    reply = torch.tensor([[0, 1, 2, 1, 0]])  # said twice is punished once
    assert penalise(logits, reply, 2.0).tolist() == [[1.0, -4.0, 0.0, 1.0, -1.0]]
    assert logits.tolist() == [[2.0, -2.0, 0.0, 1.0, -1.0]]


def test_every_candidate_is_judged_by_its_own_words() -> None:
    logits = torch.ones(2, 3)
    reply = torch.tensor([[0], [2]])
    assert penalise(logits, reply, 2.0).tolist() == [[0.5, 1.0, 1.0], [1.0, 1.0, 0.5]]
    params = SamplingParams(repetition_penalty=1.0, no_repeat_ngram_size=1, min_new_tokens=1)
    rules = ReplyRules(GenerationRequest((1,), params), end_ids=(1,))
    prompt = torch.tensor([[1], [1]])
    assert rules(torch.cat([prompt, reply], dim=1), logits).isinf().tolist() == [
        [True, False, False],
        [False, False, True],
    ]
    assert logits.tolist() == [[1.0, 1.0, 1.0]] * 2


def test_an_empty_reply_forbids_nothing() -> None:
    reply = torch.empty(1, 0, dtype=torch.long)
    assert penalise(torch.ones(1, 3), reply, 2.0).tolist() == [[1.0, 1.0, 1.0]]
    assert completing([()], (), 1) == []


@given(ids=st.lists(st.integers(0, 3), max_size=24), size=st.integers(1, 5))
def test_banned_tokens_are_those_that_would_repeat_an_ngram(ids: list[int], size: int) -> None:
    def ngrams(of: list[int]) -> list[tuple[int, ...]]:
        return [tuple(of[start : start + size]) for start in range(len(of) - size + 1)]

    expected = {
        token
        for token in range(4)
        if ngrams([*ids, token])[-1:] and (ngrams([*ids, token])[-1] in ngrams(ids))
    }
    assert set(repeated(ids, size)) == set(completing([ids], ids, size)) == expected
