"""The reference engine against plain transformers and against slow, obvious code."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import GenerationRequest
from tests.engine.running import GREEDY, OpenedReference, one
from tests.engine.slow_letters import WholeLettersByPython

Turns = Sequence[tuple[int, ...]]


def forward(opened: OpenedReference, ids: list[int]) -> torch.Tensor:
    """Logits (num_tokens, vocabulary) of a plain forward pass."""
    with torch.no_grad():
        logits: torch.Tensor = opened.loaded.network(torch.tensor([ids])).logits[0]
    return logits


def dry_by_hand(reply: list[int], own: Turns, multiplier: float) -> dict[int, float]:
    """What is taken from every token's logit, one token at a time."""
    losses: dict[int, float] = {}
    for text in (tuple(reply), *own):
        for end in range(len(text)):
            match = 0
            while match < min(end, len(reply)) and text[end - 1 - match] == reply[-1 - match]:
                match += 1
            if match >= 2:
                loss = multiplier * 1.75 ** (match - 2)
                losses[text[end]] = max(loss, losses.get(text[end], 0))
    return losses


def greedy_by_hand(
    opened: OpenedReference, params: SamplingParams, prompt: tuple[int, ...], own: Turns = ()
) -> list[int]:
    """The reply that the rules of SamplingParams define, one whole forward pass a token."""
    reply: list[int] = []
    end_id = opened.loaded.end_ids[0]
    while len(reply) < params.max_new_tokens:
        logits = forward(opened, [*prompt, *reply])[-1].tolist()
        for token_id in set(reply):
            factor = params.repetition_penalty
            value = logits[token_id]
            logits[token_id] = value * factor if value < 0 else value / factor
        for token_id, loss in dry_by_hand(reply, own, params.dry_multiplier).items():
            logits[token_id] -= loss if token_id != end_id else 0
        for size, texts in (
            (params.no_repeat_ngram_size, [tuple(reply)]),
            (params.no_repeat_own_ngram_size, own),
        ):
            grams = [text[i : i + size] for text in texts for i in range(len(text) - size + 1)]
            for token_id in range(len(logits)):
                new = tuple([*reply, token_id][-size:])
                if size and token_id != end_id and new in grams:
                    logits[token_id] = float("-inf")
        if len(reply) < params.min_new_tokens:
            logits[end_id] = float("-inf")
        num_left = params.max_new_tokens - len(reply)
        may_come = [i for i in range(len(logits)) if opened.slow.may_come(reply, i, num_left)]
        best = max(may_come, key=logits.__getitem__)
        assert logits[best] > float("-inf")
        if best == end_id:
            break
        reply.append(best)
    return reply


async def test_greedy_reply_equals_plain_generate(opened: OpenedReference) -> None:
    completion = await one(opened, GREEDY)
    expected = opened.loaded.network.generate(
        torch.tensor([opened.prompt]),
        do_sample=False,
        max_new_tokens=24,
        logits_processor=[WholeLettersByPython(opened.slow, len(opened.prompt), 24)],
    )[0].tolist()[len(opened.prompt) :]
    assert list(completion.ids) == [i for i in expected if i not in opened.loaded.end_ids]


@pytest.mark.parametrize(
    "changes",
    [
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2},
        {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2},
        {"min_new_tokens": 13},
    ],
    ids=str,
)
@pytest.mark.parametrize("start", ["as it is", "its own words", "one end"])
async def test_rules_over_the_reply_equal_slow_obvious_code(
    opened: OpenedReference, changes: dict[str, float], start: str
) -> None:
    params = replace(GREEDY, max_new_tokens=14, **changes)  # type: ignore[arg-type]  # a test's
    prompt = opened.prompt
    if start == "its own words":  # rules that looked at the prompt would now differ
        prompt = (*prompt, *greedy_by_hand(opened, GREEDY, prompt))
    if start == "one end":
        prompt = (opened.loaded.end_ids[0],)
    (completion,) = await opened.engine.generate(GenerationRequest(prompt, params))
    assert list(completion.ids) == greedy_by_hand(opened, params, prompt)


@pytest.mark.parametrize(
    "changes",
    [
        {"no_repeat_own_ngram_size": 1},
        {"no_repeat_own_ngram_size": 2, "no_repeat_ngram_size": 2},
        {"no_repeat_own_ngram_size": 4, "repetition_penalty": 1.2},
        {"dry_multiplier": 0.3},
        {"dry_multiplier": 5.0, "no_repeat_own_ngram_size": 3},
    ],
    ids=str,
)
async def test_rules_over_earlier_turns_equal_slow_obvious_code(
    opened: OpenedReference, changes: dict[str, float]
) -> None:
    plain = greedy_by_hand(opened, GREEDY, opened.prompt)
    own = (tuple(plain[:9]), tuple(plain[5:]), (plain[0], *opened.loaded.end_ids))
    params = replace(GREEDY, max_new_tokens=14, **changes)  # type: ignore[arg-type]  # a test's
    (completion,) = await opened.engine.generate(GenerationRequest(opened.prompt, params, own))
    assert list(completion.ids) == greedy_by_hand(opened, params, opened.prompt, own)
    assert list(completion.ids) != plain[:14]


async def test_the_words_of_members_may_be_said_again(opened: OpenedReference) -> None:
    plain = greedy_by_hand(opened, GREEDY, opened.prompt)
    prompt = (*plain, *opened.loaded.end_ids, *opened.prompt)
    params = replace(GREEDY, no_repeat_own_ngram_size=1, dry_multiplier=5.0, no_repeat_ngram_size=2)
    without = replace(params, no_repeat_own_ngram_size=0, dry_multiplier=0)
    by_members, free, by_the_bot = [
        (await opened.engine.generate(GenerationRequest(prompt, each, own)))[0].ids
        for each, own in ((params, ()), (without, (prompt,)), (params, (prompt,)))
    ]
    assert by_members == free
    assert by_the_bot != free


async def test_rules_change_this_reply(opened: OpenedReference) -> None:
    plain = await one(opened, GREEDY)
    assert (await one(opened, replace(GREEDY, repetition_penalty=2.0))).ids != plain.ids
    assert len(set(plain.ids)) < len(plain.ids)
    distinct = await one(opened, replace(GREEDY, no_repeat_ngram_size=1))
    assert len(set(distinct.ids)) == len(distinct.ids)
