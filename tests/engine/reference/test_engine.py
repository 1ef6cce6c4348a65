"""The reference engine against plain transformers and against slow, obvious code."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import Completion, FinishReason, GenerationRequest
from bot.errors import ContextTooLongError
from tests.engine.running import Opened

GREEDY = SamplingParams(
    temperature=1.0,
    top_k=1,
    top_p=1.0,
    repetition_penalty=1.0,
    no_repeat_ngram_size=0,
    min_new_tokens=1,
    max_new_tokens=24,
)
FREE = replace(GREEDY, top_k=0, seed=7)
Turns = Sequence[tuple[int, ...]]


def request(opened: Opened, params: SamplingParams, **changes: object) -> GenerationRequest:
    asked = GenerationRequest(opened.prompt, params)
    return replace(asked, **changes)  # type: ignore[arg-type]  # a test's keyword arguments


async def one(opened: Opened, params: SamplingParams) -> Completion:
    (completion,) = await opened.engine.generate(request(opened, params))
    return completion


def forward(opened: Opened, ids: list[int]) -> torch.Tensor:
    """Logits (num_tokens, vocabulary) of a plain forward pass."""
    with torch.no_grad():
        logits: torch.Tensor = opened.loaded.network(torch.tensor([ids])).logits[0]
    return logits


def favour_the_end(opened: Opened, strength: float) -> None:
    """Make the end-of-text token by far the likeliest everywhere."""
    transformer = opened.loaded.network.transformer
    with torch.no_grad():
        transformer.ln_f.bias += strength * transformer.wte.weight[opened.loaded.end_ids[0]]


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
    opened: Opened, params: SamplingParams, prompt: tuple[int, ...], own: Turns = ()
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
        best = max(range(len(logits)), key=logits.__getitem__)
        if best == end_id:
            break
        reply.append(best)
    return reply


async def test_greedy_reply_equals_plain_generate(opened: Opened) -> None:
    completion = await one(opened, GREEDY)
    expected = opened.loaded.network.generate(
        torch.tensor([opened.prompt]), do_sample=False, max_new_tokens=24
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
    opened: Opened, changes: dict[str, float], start: str
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
    opened: Opened, changes: dict[str, float]
) -> None:
    plain = greedy_by_hand(opened, GREEDY, opened.prompt)
    own = (tuple(plain[:9]), tuple(plain[5:]), (plain[0], *opened.loaded.end_ids))
    params = replace(GREEDY, max_new_tokens=14, **changes)  # type: ignore[arg-type]  # a test's
    (completion,) = await opened.engine.generate(GenerationRequest(opened.prompt, params, own))
    assert list(completion.ids) == greedy_by_hand(opened, params, opened.prompt, own)
    assert list(completion.ids) != plain[:14]


async def test_the_words_of_members_may_be_said_again(opened: Opened) -> None:
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


async def test_rules_change_this_reply(opened: Opened) -> None:
    plain = await one(opened, GREEDY)
    assert (await one(opened, replace(GREEDY, repetition_penalty=2.0))).ids != plain.ids
    assert len(set(plain.ids)) < len(plain.ids)
    distinct = await one(opened, replace(GREEDY, no_repeat_ngram_size=1))
    assert len(set(distinct.ids)) == len(distinct.ids)


async def test_same_seed_gives_the_same_words(opened: Opened) -> None:
    params = replace(FREE, num_candidates=3)
    first = await opened.engine.generate(request(opened, params))
    await one(opened, replace(FREE, seed=1))
    again = await opened.engine.generate(request(opened, params))
    assert [c.ids for c in first] == [c.ids for c in again]
    assert {c.seed for c in first} == {7}
    assert len({c.ids for c in first}) == 3


async def test_different_seeds_give_different_words(opened: Opened) -> None:
    replies = {(await one(opened, replace(FREE, seed=seed))).ids for seed in range(5)}
    assert len(replies) == 5


async def test_a_drawn_seed_is_told_and_reproduces(opened: Opened) -> None:
    drawn = await one(opened, replace(FREE, seed=None))
    again = await one(opened, replace(FREE, seed=drawn.seed))
    assert 0 <= drawn.seed < 2**31
    assert drawn.ids == again.ids


async def test_generation_leaves_the_random_numbers_of_others_alone(opened: Opened) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    await one(opened, FREE)
    assert torch.equal(torch.rand(4), expected)


async def test_log_probabilities_are_those_of_a_plain_forward_pass(opened: Opened) -> None:
    params = replace(FREE, temperature=0.5, top_k=20, repetition_penalty=1.5, seed=5)
    completion = await one(opened, params)
    ends = completion.finish_reason is FinishReason.STOP
    ids = [*opened.prompt, *completion.ids, *(opened.loaded.end_ids if ends else ())]
    table = forward(opened, ids).log_softmax(-1)
    start = len(opened.prompt)
    expected = [float(table[at - 1, ids[at]]) for at in range(start, len(ids))]
    assert completion.logprobs == pytest.approx(expected, abs=1e-4)


async def test_a_stopped_reply_has_the_end_in_its_log_probabilities_only(opened: Opened) -> None:
    favour_the_end(opened, 20)
    completion = await one(opened, replace(FREE, min_new_tokens=4))
    assert completion.finish_reason is FinishReason.STOP
    assert len(completion.logprobs) == len(completion.ids) + 1
    assert not set(completion.ids) & set(opened.loaded.end_ids)
    assert completion.end_id in opened.loaded.end_ids


async def test_a_full_length_reply_ends_by_length(opened: Opened) -> None:
    completion = await one(opened, replace(GREEDY, min_new_tokens=16, max_new_tokens=16))
    assert completion.finish_reason is FinishReason.LENGTH
    assert len(completion.ids) == len(completion.logprobs) == 16


@pytest.mark.parametrize("min_new_tokens", [1, 8, 16])
async def test_no_reply_is_shorter_than_asked(opened: Opened, min_new_tokens: int) -> None:
    favour_the_end(opened, 20)
    completion = await one(opened, replace(FREE, min_new_tokens=min_new_tokens))
    assert len(completion.ids) == min_new_tokens


async def test_reply_is_cut_where_the_window_ends(opened: Opened) -> None:
    prompt = (opened.prompt * 60)[:250]
    params = replace(GREEDY, max_new_tokens=64, min_new_tokens=16)
    (completion,) = await opened.engine.generate(GenerationRequest(prompt, params))
    assert len(completion.ids) == opened.engine.info.window - 250
    assert completion.finish_reason is FinishReason.LENGTH


async def test_prompt_that_fills_the_window_is_refused(opened: Opened) -> None:
    prompt = (opened.prompt * 60)[:256]
    with pytest.raises(ContextTooLongError) as raised:
        await opened.engine.generate(GenerationRequest(prompt))
    assert raised.value.values == {"num_tokens": 256, "limit": 255}


@pytest.mark.parametrize("ids", [(), (-1,), (10**6,)])
async def test_ids_outside_the_vocabulary_never_reach_the_model(
    opened: Opened, ids: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="prompt ids"):
        await opened.engine.generate(GenerationRequest(ids))


async def test_stream_equals_the_result(opened: Opened) -> None:
    stream: dict[int, list[int]] = {}
    completions = await opened.engine.generate(
        request(
            opened,
            replace(FREE, num_candidates=4, max_new_tokens=64),
            on_token=lambda candidate, token: stream.setdefault(candidate, []).append(token),
        )
    )
    assert [stream[number] for number in range(4)] == [list(c.ids) for c in completions]


async def test_every_sampling_value_can_be_at_its_bounds(opened: Opened) -> None:
    for params in (
        SamplingParams(0.1, 0, 0.05, 0.5, 2.0, 10, 10, 5.0, 1, 8, 16, 0),
        SamplingParams(2.0, 200, 1.0, 0.0, 1.0, 0, 0, 0.0, 16, 256, 1, 2**31 - 1),
    ):
        completions = await opened.engine.generate(request(opened, params))
        assert len(completions) == params.num_candidates


async def test_times_and_counts_are_told(opened: Opened) -> None:
    completion = await one(opened, FREE)
    assert completion.num_prompt_tokens == len(opened.prompt)
    assert 0 <= completion.queued_seconds <= completion.first_token_seconds
    assert completion.first_token_seconds <= completion.total_seconds
    assert opened.engine.load().tokens_per_second > 0
    assert opened.engine.load().num_running == 0
