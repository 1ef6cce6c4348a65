"""Replies of vocabularies whose tokens are bytes are whole letters, whatever is drawn."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bot.answering.live_reply import LiveReply
from bot.dialogue.prompt import encode_prompt
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role
from bot.engine.batching.loader import load_gpt2
from bot.engine.protocol import Engine, GenerationRequest, PredictionRequest
from bot.engine.reference.loader import load_model
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from tests.engine.running import FREE, Opened, OpenedLocal, open_local, open_reference
from tests.fakes import InlineTokenizerThread

LENGTHS = (8, 9, 10, 11, 24)
BROKEN = "\ufffd"


async def replies(
    engine: Engine, prompt: tuple[int, ...], params: SamplingParams, num_requests: int
) -> list[tuple[int, ...]]:
    """To requests that are answered side by side, of every length."""
    asked = [
        replace(params, seed=seed, max_new_tokens=LENGTHS[seed % len(LENGTHS)])
        for seed in range(num_requests)
    ]
    requests = [GenerationRequest(prompt, each, own_ids=((9, 8, 7),)) for each in asked]
    made = await asyncio.gather(*map(engine.generate, requests))
    return [one.ids for completions in made for one in completions]


def check_whole(texts: Sequence[str], least_share: float = 0.3) -> None:
    """`least_share` of the texts had something that could be broken."""
    assert [text for text in texts if BROKEN in text] == []
    assert sum(not text.isascii() for text in texts) > least_share * len(texts)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"no_repeat_ngram_size": 1, "repetition_penalty": 2.0, "temperature": 2.0},
        {"min_new_tokens": 8, "num_candidates": 3},
        {"temperature": 0.7, "top_k": 50, "top_p": 0.9, "no_repeat_own_ngram_size": 2},
    ],
    ids=str,
)
async def test_a_reply_is_whole_letters_to_its_last_one(
    either: Opened, tokenizer: ModelTokenizer, changes: dict[str, float]
) -> None:
    params = replace(FREE, **changes)  # type: ignore[arg-type]  # a test's keyword arguments
    made = await replies(either.engine, either.prompt, params, 25)
    check_whole([tokenizer.decode(ids) for ids in made])


async def test_a_text_goes_on_with_whole_letters(either: Opened, tokenizer: ModelTokenizer) -> None:
    texts = []
    for seed in range(12):
        ids = tuple(tokenizer.encode("안녕 hello"))
        params = replace(FREE, seed=seed, no_repeat_ngram_size=1)
        made = await either.engine.predict(PredictionRequest(ids, params, LENGTHS[seed % 5]))
        texts.append(tokenizer.decode(made.ids[made.num_text_tokens :]))
        assert all(step.drawn.allowed for step in made.steps)
        texts.append(tokenizer.decode(made.ids))
    check_whole(texts)


async def test_what_is_shown_while_a_reply_is_made_is_whole_letters(
    local: OpenedLocal, tokenizer: ModelTokenizer
) -> None:
    shown: list[str] = []
    for seed in range(12):
        thread = InlineTokenizerThread()
        thread.tokenizer = tokenizer  # type: ignore[assignment]  # the real one
        live = LiveReply(thread, shown.append, None)
        params = replace(FREE, seed=seed, max_new_tokens=64)
        await local.engine.generate(GenerationRequest(local.prompt, params, on_token=live.add))
        await asyncio.sleep(0)
        await live.close()
    check_whole(shown)


KOREAN = ("오늘 회사에서 너무 힘들었어요", "시험 공부하기 싫어", "주말에 뭐 할 거예요?", "배고파요")


async def test_the_embedded_voice_answers_everyday_korean_in_whole_letters(
    embedded_model: Path,
) -> None:
    tokenizer, opened = (
        load_tokenizer(embedded_model),
        open_local(load_gpt2(embedded_model, "cpu", "float32")),
    )
    texts = []
    for said in KOREAN:
        prompt = tuple(encode_prompt([(Role.USER, said)], tokenizer))
        made = await replies(opened.engine, prompt, SamplingParams(no_repeat_ngram_size=6), 10)
        texts += [tokenizer.decode(ids) for ids in made]
    await opened.engine.close()
    check_whole(texts, least_share=0.9)


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """A vocabulary of letters, and of bytes for all others."""
    pieces = ["<unk>", "</s>", "▁", *"abcdefgh안녕", "▁a"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    vocabulary |= {f"<0x{byte:02X}>": len(pieces) + byte for byte in range(256)}
    backend = Tokenizer(models.BPE(vocabulary, [("▁", "a")], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence(steps)
    return wrapped(backend)


def word_pieces() -> PreTrainedTokenizerFast:
    """A vocabulary of which no token is a byte."""
    vocabulary = {piece: i for i, piece in enumerate(("<unk>", "</s>", "안녕", "##하", "a", "##b"))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    backend.decoder = decoders.WordPiece()
    return wrapped(backend)


def wrapped(backend: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=backend, eos_token="</s>", unk_token="<unk>"
    )


def make_llama(folder: Path, backend: PreTrainedTokenizerFast) -> Path:
    """A Llama of one layer with random weights."""
    config = LlamaConfig(
        vocab_size=len(backend) + 3,  # rows without a token, as many models have
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        eos_token_id=1,
        initializer_range=0.5,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    backend.save_pretrained(folder)
    return folder


async def test_replies_of_other_vocabularies_with_bytes_are_whole_letters_too(
    tmp_path: Path, chat_model: Path
) -> None:
    for folder in (make_llama(tmp_path, sentencepiece_like()), chat_model):
        tokenizer, loaded = load_tokenizer(folder), load_model(folder, "cpu", "float32")
        engine = open_reference(loaded)
        made = await replies(engine, (5, 6), FREE, 20)
        check_whole([tokenizer.decode(ids) for ids in made])
        await engine.close()


async def test_a_vocabulary_without_bytes_has_nothing_to_keep_whole(tmp_path: Path) -> None:
    loaded = load_model(make_llama(tmp_path, word_pieces()), "cpu", "float32")
    assert loaded.letters is None
    engine = open_reference(loaded)
    assert len(await replies(engine, (4, 5), FREE, 5)) == 5
    await engine.close()
