"""A text's continuation, step by step, against transformers' own."""

from dataclasses import replace
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

from bot.dialogue.continuation import Continuation, Survivors
from bot.dialogue.sampling import SamplingParams
from bot.engine.loader import LoadedModel, generation_config
from bot.engine.prediction import NUM_LIKELIEST, count_survivors
from bot.engine.token_text import token_text
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from bot.engine.transformers_prediction import Predictor, open_predictor
from bot.errors import ContextTooLongError, NumericError, UnavailableError, WrongSettingsError

TEXT = "i love cats because"
PARAMS = SamplingParams(no_repeat_ngram_size=2, seed=5)
GREEDY = replace(PARAMS, top_k=1, temperature=1.0, top_p=1.0)


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return open_predictor(tiny_model, "cpu", "float32", 1)


@pytest.fixture(scope="module")
def llama(chat_model: Path) -> Predictor:
    return open_predictor(chat_model, "cpu", "float32", 1)


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
    found = predictor.continue_text(TEXT, PARAMS, 10)
    for layer in (1, 2):
        attention = predictor.attention(found, layer)
        weights = torch.tensor(attention.weights)
        assert weights.shape == (len(found.ids), len(found.ids))
        assert weights.triu(1).count_nonzero() == 0
        assert torch.allclose(weights.sum(-1), torch.ones(len(found.ids)), atol=1e-5)
        assert (attention.layer, attention.num_layers) == (layer, 2)
        assert len(attention.tokens) == len(found.ids)
    assert predictor.attention(found, 1).weights != predictor.attention(found, 2).weights


def test_the_last_layer_is_meant_without_a_wish(predictor: Predictor) -> None:
    assert predictor.layer(None) == 2
    assert predictor.layer(1) == 1
    for missing in (0, 3, -1):
        with pytest.raises(WrongSettingsError, match=f"there is no layer {missing}"):
            predictor.layer(missing)


def test_a_model_that_hides_its_attention_is_one_sentence(
    tiny_model: Path, loaded: LoadedModel, continuation: Continuation
) -> None:
    loaded.network.set_attn_implementation = lambda _: None  # as one of the fast ways only
    predictor = Predictor(loaded, load_tokenizer(tiny_model))
    with pytest.raises(UnavailableError, match="does not show what it looks at"):
        predictor.attention(continuation, 1)


def test_a_text_may_fill_the_window_and_no_more(predictor: Predictor) -> None:
    text = "a " * 100  # 200 tokens of a window of 256
    assert predictor.continue_text(text, GREEDY, 56).num_text_tokens == 200
    with pytest.raises(WrongSettingsError, match=r"1 to 56 more .* cannot be 57"):
        predictor.continue_text(text, GREEDY, 57)
    with pytest.raises(WrongSettingsError, match="cannot be 0"):
        predictor.continue_text(text, GREEDY, 0)
    with pytest.raises(ContextTooLongError, match="256 tokens; I can read 255"):
        predictor.continue_text("a " * 128, GREEDY, 1)
    with pytest.raises(WrongSettingsError, match="knows no letter"):
        predictor.continue_text("", GREEDY, 1)


def test_a_model_that_stumbles_is_one_sentence(tiny_model: Path, loaded: LoadedModel) -> None:
    with torch.no_grad():
        loaded.network.transformer.ln_f.weight.fill_(torch.nan)
    with pytest.raises(NumericError):
        Predictor(loaded, load_tokenizer(tiny_model)).continue_text(TEXT, PARAMS, 5)


@settings(max_examples=40, deadline=None)
@given(text=st.text(min_size=1, max_size=12))
def test_the_texts_of_tokens_hold_every_byte_of_a_text(text: str, tiny_model: Path) -> None:
    tokenizer = _tokenizer(tiny_model)
    pieces = [token_text(tokenizer, token_id) for token_id in tokenizer.encode(text)]
    spelt = b"".join(piece.encode("utf-8", "surrogateescape") for piece in pieces)
    assert spelt == text.encode()


_READ: dict[Path, ModelTokenizer] = {}


def _tokenizer(folder: Path) -> ModelTokenizer:
    return _READ.setdefault(folder, load_tokenizer(folder))


def test_special_tokens_and_ids_without_a_token_have_a_name(tokenizer: ModelTokenizer) -> None:
    assert token_text(tokenizer, tokenizer.end_of_text_id) == "<|endoftext|>"
    assert token_text(tokenizer, tokenizer.num_ids + 7) == f"[{tokenizer.num_ids + 7}]"


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
    texts = [token_text(tokenizer, token_id) for token_id in tokenizer.encode("hi안")]
    assert texts == [" hi", "\udcec", "\udc95", "\udc88"]
