"""A text's continuation, step by step, against transformers' own."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedTokenizerFast,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bot.answering.text_completion import continuation_of
from bot.dialogue.continuation import Continuation, Survivors
from bot.dialogue.sampling import SamplingParams
from bot.engine.prediction import NUM_LIKELIEST, count_survivors
from bot.engine.protocol import Prediction, PredictionRequest
from bot.engine.reference.loader import LoadedModel, generation_config, load_model
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from tests.engine.oracle import by_transformers
from tests.engine.slow_letters import WholeLettersByPython, slow_letters

TEXT = "i love cats because"
PARAMS = SamplingParams(no_repeat_ngram_size=2, seed=5)
GREEDY = replace(PARAMS, top_k=1, temperature=1.0, top_p=1.0)


@dataclass(frozen=True, slots=True)
class Predictor:
    """Goes on with texts by transformers alone."""

    loaded: LoadedModel
    tokenizer: ModelTokenizer

    def predict(self, params: SamplingParams, length: int, layer: int) -> Prediction:
        text_ids = tuple(self.tokenizer.encode(TEXT))
        return by_transformers(self.loaded, PredictionRequest(text_ids, params, length, layer))

    def continue_text(self, text: str, params: SamplingParams, length: int) -> Continuation:
        request = PredictionRequest(tuple(self.tokenizer.encode(text)), params, length)
        return continuation_of(by_transformers(self.loaded, request), self.tokenizer)


def predictor_of(folder: Path) -> Predictor:
    return Predictor(load_model(folder, "cpu", "float32"), load_tokenizer(folder))


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return predictor_of(tiny_model)


@pytest.fixture(scope="module")
def llama(chat_model: Path) -> Predictor:
    return predictor_of(chat_model)


@pytest.fixture(scope="module")
def continuation(predictor: Predictor) -> Continuation:
    return predictor.continue_text(TEXT, PARAMS, 30)


def test_the_probabilities_are_those_of_a_plain_forward_pass(
    continuation: Continuation, oracle: LoadedModel
) -> None:
    assert len(continuation.steps) > 5
    for number, step in enumerate(continuation.steps):
        before = continuation.ids[: continuation.num_text_tokens + number]
        with torch.inference_mode():
            shares = oracle.network(torch.tensor([before])).logits[0, -1].softmax(-1)
        best = shares.topk(NUM_LIKELIEST)
        assert [token.token_id for token in step.likeliest] == best.indices.tolist()
        told = [token.probability for token in step.likeliest]
        assert told == pytest.approx(best.values.tolist(), rel=1e-4)
        assert step.drawn.probability == pytest.approx(float(shares[step.drawn.token_id]), rel=1e-4)


@pytest.mark.parametrize("text", [TEXT, "hello there, how", "안녕하세요"])
def test_with_one_token_to_choose_from_it_is_what_generate_says(
    text: str, predictor: Predictor, oracle: LoadedModel, tokenizer: ModelTokenizer
) -> None:
    ids = torch.tensor([tokenizer.encode(text)])
    expected = oracle.network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=generation_config(
            do_sample=False,
            max_new_tokens=40,
            min_new_tokens=GREEDY.min_new_tokens,
            no_repeat_ngram_size=2,
            repetition_penalty=GREEDY.repetition_penalty,
            eos_token_id=list(oracle.end_ids),
            pad_token_id=oracle.end_ids[0],
        ),
        logits_processor=[
            WholeLettersByPython(slow_letters(tokenizer, oracle.num_ids), ids.shape[1], 40)
        ],
    )[0].tolist()
    found = predictor.continue_text(text, GREEDY, 40)
    ends = [found.steps[-1].drawn.token_id] if found.ended else []
    assert [*found.ids, *ends] == expected


@pytest.mark.parametrize(
    ("top_k", "top_p", "min_p"),
    [(50, 0.9, 0.0), (0, 0.9, 0.0), (10, 1.0, 0.0), (0, 1.0, 0.1), (3, 0.05, 0.5), (200, 0.99, 0)],
)
def test_as_many_tokens_survive_as_with_the_warpers_of_transformers(
    top_k: int, top_p: float, min_p: float
) -> None:
    params = replace(PARAMS, temperature=0.7, top_k=top_k, top_p=top_p, min_p=min_p)
    logits = torch.randn(20, 120, generator=torch.Generator().manual_seed(1)) * 3
    logits[::2, :80] = -torch.inf  # what rules have forbidden
    ids = torch.LongTensor([[0]] * 20)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(0.7)])
    cuts: list[list[int]] = []
    for warper in (
        TopKLogitsWarper(top_k) if top_k else None,
        TopPLogitsWarper(top_p) if top_p < 1 else None,
        MinPLogitsWarper(min_p) if min_p else None,
    ):
        if warper is not None:
            warpers.append(warper)
        cuts.append((warpers(ids, logits.float()) > -torch.inf).sum(-1).tolist())
    assert [count_survivors(row, params) for row in logits] == [
        Survivors(*counts) for counts in zip(*cuts, strict=True)
    ]


def test_a_seed_draws_the_same_again(predictor: Predictor, continuation: Continuation) -> None:
    assert predictor.continue_text(TEXT, PARAMS, 30) == continuation
    other = predictor.continue_text(TEXT, replace(PARAMS, seed=6), 30)
    assert other.ids != continuation.ids
    drawn = predictor.continue_text(TEXT, replace(PARAMS, seed=None), 8)
    assert predictor.continue_text(TEXT, replace(PARAMS, seed=drawn.seed), 8) == drawn


def test_no_pair_of_tokens_is_repeated_and_what_is_forbidden_is_marked(
    predictor: Predictor,
) -> None:
    found = predictor.continue_text(TEXT, replace(GREEDY, repetition_penalty=1.0), 80)
    pairs = list(zip(found.ids, found.ids[1:], strict=False))
    added = pairs[found.num_text_tokens - 1 :]
    assert len({*added}) == len(added)
    marked = [token for step in found.steps for token in step.likeliest if not token.allowed]
    assert marked
    assert all(step.drawn.allowed for step in found.steps)


def test_it_begins_with_the_text_and_stops_at_the_length(continuation: Continuation) -> None:
    assert continuation.text == TEXT + continuation.added
    assert continuation.ended or len(continuation.steps) == 30
    num_kept = len(continuation.ids) - continuation.num_text_tokens
    assert num_kept == len(continuation.steps) - continuation.ended


@pytest.mark.parametrize("which", ["predictor", "llama"])
def test_the_picture_is_lower_triangular(which: str, request: pytest.FixtureRequest) -> None:
    predictor: Predictor = request.getfixturevalue(which)
    shown = []
    for layer in (1, 2):
        found = predictor.predict(PARAMS, 10, layer)
        assert found.attention is not None
        weights = torch.tensor(found.attention.weights)
        assert weights.shape == (len(found.ids), len(found.ids))
        assert weights.triu(1).count_nonzero() == 0
        assert torch.allclose(weights.sum(-1), torch.ones(len(found.ids)), atol=1e-5)
        assert (found.attention.layer, found.attention.num_layers) == (layer, 2)
        shown.append(found.attention.weights)
    assert shown[0] != shown[1]


def test_a_model_that_hides_its_attention_shows_none(
    loaded: LoadedModel, tokenizer: ModelTokenizer
) -> None:
    loaded.network.set_attn_implementation = lambda _: None  # as one of the fast ways only
    assert Predictor(loaded, tokenizer).predict(PARAMS, 5, layer=1).attention is None


@settings(max_examples=40, deadline=None)
@given(text=st.text(min_size=1, max_size=12))
def test_the_texts_of_tokens_hold_every_byte_of_a_text(text: str, tiny_model: Path) -> None:
    tokenizer = _tokenizer(tiny_model)
    pieces = [tokenizer.token_text(token_id) for token_id in tokenizer.encode(text)]
    spelt = b"".join(piece.encode("utf-8", "surrogateescape") for piece in pieces)
    assert spelt == text.encode()


_READ: dict[Path, ModelTokenizer] = {}


def _tokenizer(folder: Path) -> ModelTokenizer:
    return _READ.setdefault(folder, load_tokenizer(folder))


def test_special_tokens_and_ids_without_a_token_have_a_name(tokenizer: ModelTokenizer) -> None:
    assert tokenizer.token_text(tokenizer.end_of_text_id) == "<|endoftext|>"
    assert tokenizer.token_text(tokenizer.num_ids + 7) == f"[{tokenizer.num_ids + 7}]"


def test_bytes_and_spaces_of_sentencepiece_are_read() -> None:
    vocabulary = {"<unk>": 0, "</s>": 1, "▁": 2, "▁hi": 3, "h": 4, "i": 5, "hi": 6}
    vocabulary |= {f"<0x{byte:02X}>": 7 + byte for byte in range(256)}
    backend = Tokenizer(
        models.BPE(vocabulary, [("h", "i"), ("▁", "hi")], unk_token="<unk>", byte_fallback=True)
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=backend, eos_token="</s>"
    )
    tokenizer = ModelTokenizer(wrapped, "sentencepiece")
    texts = [tokenizer.token_text(token_id) for token_id in tokenizer.encode("hi안")]
    assert texts == [" hi", "\udcec", "\udc95", "\udc88"]
