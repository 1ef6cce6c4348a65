"""The local engine against the reference engine and against a plain forward pass."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching import runner
from bot.engine.batching.kv_cache import PrefixCache
from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.batching.runner import Runner
from bot.engine.batching.running_request import completions
from bot.engine.checks import EngineLimits
from bot.engine.protocol import Completion, FinishReason, GenerationRequest
from bot.engine.reference.loader import LoadedModel, load_model
from bot.engine.scheduler import Job
from bot.engine.tokenizer import ModelTokenizer
from tests.engine.chances import chi_square, largest_chi_square
from tests.engine.running import (
    EXACTLY_8,
    GREEDY,
    OpenedLocal,
    one,
    open_local,
    open_reference,
)
from tests.engine.slow_letters import WholeLettersByPython, slow_letters

SMALL = EngineLimits(num_rows=8, cache_bytes=3_000_000)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CHUNK_TOKENS", 7)
    monkeypatch.setattr(runner, "LONE_CHUNK_TOKENS", 33)


@pytest.fixture(scope="module")
def ending(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, which often comes to an end."""
    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("models") / "ending"))
    weights = load_file(folder / "model.safetensors")
    weights["transformer.ln_f.bias"] += 5 * weights["transformer.wte.weight"][0]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@dataclass(frozen=True, slots=True)
class Answered:
    request: GenerationRequest
    completions: list[Completion]


def greedy_params(rng: random.Random) -> SamplingParams:
    return replace(
        GREEDY,
        repetition_penalty=rng.choice((1.0, 1.3)),
        no_repeat_ngram_size=rng.choice((0, 1, 2, 3)),
        no_repeat_own_ngram_size=rng.choice((0, 1, 2, 3)),
        dry_multiplier=rng.choice((0.0, 0.5, 5.0)),
        min_new_tokens=rng.randint(1, 8),
        max_new_tokens=rng.randint(8, 12),
        num_candidates=rng.choice((1, 1, 1, 2, 5)),
    )


async def hold_dialogues(opened: OpenedLocal, who: int, num_requests: int) -> list[Answered]:
    """One member's requests: a new dialogue, or a next turn, a branch, or the same once more."""
    rng = random.Random(who)
    answered: list[Answered] = []
    ids: list[int] = []
    own: list[tuple[int, ...]] = []
    while len(answered) < num_requests:
        if rng.random() < 0.3 or len(ids) > 180:
            ids, own = [], []
        if rng.random() < 0.15:
            ids = ids[: len(ids) // 2]
        ids += rng.choices(range(382), k=rng.randint(1, 60))
        key = rng.choice((f"dialogue {who}", f"dialogue {who}", "shared", ""))
        asked = GenerationRequest(
            tuple(ids), greedy_params(rng), tuple(own), sequence_key=key, user_id=who
        )
        answered.append(Answered(asked, await opened.engine.generate(asked)))
        if rng.random() < 0.8:
            own.append(answered[-1].completions[0].ids)
            ids += [*own[-1], 0]
    return answered


@pytest.mark.parametrize(
    ("name", "limits", "num_each"),
    [("ending", SMALL, 10), ("embedded", replace(SMALL, cache_bytes=20_000_000), 2)],
    ids=["tiny", "embedded"],
)
@pytest.mark.usefixtures("small_chunks")
async def test_greedy_replies_that_join_and_leave_at_random_equal_those_of_transformers(
    name: str, limits: EngineLimits, num_each: int, ending: Path, embedded_model: Path
) -> None:
    folder = {"ending": ending, "embedded": embedded_model}[name]
    opened = open_local(load_gpt2(folder, "cpu", "float32"), limits)
    dialogues = await asyncio.gather(*(hold_dialogues(opened, who, num_each) for who in range(21)))
    answered = [answer for dialogue in dialogues for answer in dialogue]
    await opened.until_idle_and_empty()
    await opened.engine.close()
    reference = open_reference(load_model(folder, "cpu", "float32"))
    for answer in answered:
        expected = await reference.generate(answer.request)
        for ours, theirs in zip(answer.completions, expected, strict=True):
            assert (ours.ids, ours.end_id) == (theirs.ids, theirs.end_id)
            assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)
    await reference.close()
    assert len(answered) == 21 * num_each
    made = [answer.completions[0] for answer in answered]
    assert sum(completion.num_cached_tokens > 0 for completion in made) > len(made) / 20
    stopped = [completion.finish_reason is FinishReason.STOP for completion in made]
    assert len(made) / 8 < sum(stopped) < len(made)


def requests(num_requests: int) -> Iterator[GenerationRequest]:
    rng = random.Random(6)
    for number in range(num_requests):
        params = SamplingParams(
            temperature=rng.uniform(0.5, 1.5),
            top_k=rng.choice((0, 5, 50, 200)),
            top_p=rng.choice((0.8, 1.0)),
            min_p=rng.choice((0.0, 0.02)),
            max_new_tokens=8,
            seed=number,
        )
        prompt = rng.choices(range(382), k=rng.randint(1, 30))
        yield GenerationRequest(tuple(prompt), params)


def replies(loaded: LoadedGpt2, joins: list[int]) -> dict[int | None, tuple[int, ...]]:
    """By seed; `joins`: how many more requests begin before each step."""
    engine = Runner(loaded, PrefixCache(0), lambda run, error: None)
    made: dict[int | None, tuple[int, ...]] = {}
    waiting = list(requests(500))
    for num_new in joins:
        for asked in waiting[:num_new]:
            engine.begin(Job(asked))
        del waiting[:num_new]
        if engine.runs:
            engine.step(20)
        for run in [run for run in engine.runs if run.is_over]:
            made[run.params.seed] = completions(run)[0].ids
            engine.drop(run)
        if not waiting and not engine.runs:
            break
    return made


def test_no_seeded_reply_is_changed_by_who_else_is_answered(loaded_gpt2: LoadedGpt2) -> None:
    rng = random.Random(8)
    alone = replies(loaded_gpt2, [1, *[0] * 7] * 500)  # a reply has 8 tokens: each by itself
    together = replies(loaded_gpt2, [rng.choice((0, 1, 5)) for _ in range(1000)])
    assert len(alone) == len(together) == 500
    assert [seed for seed in alone if alone[seed] != together[seed]] == []
    assert len(set(alone.values())) > 450


async def test_many_replies_take_no_more_steps_than_one(local: OpenedLocal) -> None:
    params = replace(GREEDY, min_new_tokens=16, max_new_tokens=40, no_repeat_ngram_size=1)
    await one(local, params)
    alone, local.network.num_passes = local.network.num_passes, 0
    await asyncio.gather(*(one(local, params) for _ in range(12)))
    assert local.network.num_passes <= alone + 2


async def test_drawn_words_have_the_distribution_of_transformers(
    loaded_gpt2: LoadedGpt2, oracle: LoadedModel, tokenizer: ModelTokenizer
) -> None:
    """The first words of 960 candidates; every rule and every step of drawing is on."""
    opened = open_local(loaded_gpt2, EngineLimits(num_rows=160))
    params = SamplingParams(1.3, 12, 0.95, 0.01, 1.2, 3, 4, 0.8, 1, 8, 16)
    made = await asyncio.gather(
        *(
            opened.engine.generate(GenerationRequest(opened.prompt, replace(params, seed=seed)))
            for seed in range(60)
        )
    )
    await opened.engine.close()
    slow = slow_letters(tokenizer, oracle.num_ids)
    firsts = [completion.ids[0] for completions in made for completion in completions]
    with torch.no_grad():
        output = oracle.network.generate(
            torch.tensor([opened.prompt]),
            max_new_tokens=1,
            min_new_tokens=1,
            do_sample=True,
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            min_p=params.min_p,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
            logits_processor=[WholeLettersByPython(slow, len(opened.prompt), 8)],
        )
    expected = (output.scores[0][0].softmax(-1).double() * len(firsts)).tolist()
    counts = torch.bincount(torch.tensor(firsts), minlength=382).tolist()
    statistic, num_free = chi_square(counts, expected)
    assert num_free >= 4
    assert statistic <= largest_chi_square(num_free)


async def test_every_word_of_every_candidate_is_drawn_by_itself(local: OpenedLocal) -> None:
    """Four tokens, always equally likely: every pair of them has to come equally often."""

    def level(_: object, logits: torch.Tensor) -> None:
        logits.fill_(-torch.inf)
        logits[:, 10:14] = 0

    local.network.after.append(level)
    params = replace(EXACTLY_8, num_candidates=16)
    asked = [GenerationRequest((1,), replace(params, seed=seed)) for seed in range(16)]
    made = await asyncio.gather(*(local.engine.generate(request) for request in asked))
    grids = [[completion.ids for completion in completions] for completions in made]
    one_after_another = [ids[i : i + 2] for grid in grids for ids in grid for i in (0, 2, 4, 6)]
    beside_each_other = [
        pair for g in grids for i in (0, 2, 14) for pair in zip(*g[i : i + 2], strict=True)
    ]
    for pairs in (one_after_another, beside_each_other):
        counts = Counter((first - 10) * 4 + second - 10 for first, second in pairs)
        statistic, num_free = chi_square([counts[i] for i in range(16)], [len(pairs) / 16] * 16)
        assert len(pairs) >= 300
        assert statistic <= largest_chi_square(num_free)
