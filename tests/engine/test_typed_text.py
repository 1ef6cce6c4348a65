"""What members type comes through every kind of vocabulary, and commands the model nothing."""

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bot.dialogue.text import clean
from bot.engine.tokenizer import ModelTokenizer

SPECIAL = ["<unk>", "<s>", "</s>", "<|turn|>"]
COMMANDS = [*SPECIAL, "<tool_call>", "[INST]"]  # the last two are not marked as special
ADDED = ["😊", "\n", "\n\n", "\n\n\n", "  ", "hello world", "ㅋㅋㅋ", "é", "오늘", "👩‍🚀"]
LETTERS = "abcdefghiklnorstuw<>/|_[]INST .,!😊é안녕오늘ㅋ\n\u200d👩🚀"
PIECES = [*ADDED, "wow", *COMMANDS, *LETTERS, " ", "hi 😊", "<", "tool_call>", "<|turn", "s>"]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def byte_level() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*SPECIAL, *letters, "he", "hel"])}
    made = Tokenizer(models.BPE(vocabulary, [("h", "e"), ("he", "l")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def byte_fallback() -> Tokenizer:
    """As Gemma's: no blank is put before a text, and line ends and blanks are added tokens."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = [*SPECIAL, *bytes_, *dict.fromkeys("▁▁▁ abcdehlo안녕"), "▁▁", "▁h"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [("▁", "▁"), ("▁", "h")]
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return made


def unigram() -> Tokenizer:
    """Its commands are likelier than what they are spelt with, as those of T5 are."""
    pieces = dict.fromkeys(["▁", "▁h", "hi", *LETTERS.replace(" ", "")])
    scores = [*((piece, 0.0) for piece in SPECIAL), *((piece, -9.0) for piece in pieces)]
    made = Tokenizer(models.Unigram(scores, 0))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Metaspace(prepend_scheme="first")
    return made


KINDS = {"byte-level": byte_level, "byte fallback": byte_fallback, "unigram": unigram}


def wrapped(made: Tokenizer, added: Sequence[str | AddedToken]) -> ModelTokenizer:
    backend = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    backend.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    backend.add_tokens([*added, "<tool_call>", "[INST]"])
    return ModelTokenizer(backend, "some")


@cache
def tokenizer_of(kind: str) -> ModelTokenizer:
    swallowing = AddedToken("wow", lstrip=True, rstrip=True, normalized=False)
    return wrapped(KINDS[kind](), [*ADDED, swallowing])


def ids_of(tokenizer: ModelTokenizer, pieces: Sequence[str]) -> set[int]:
    backend = tokenizer._backend.backend_tokenizer
    return {token_id for piece in pieces if (token_id := backend.token_to_id(piece)) is not None}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_a_text_comes_back_as_it_was_typed(kind: str, text: str) -> None:
    tokenizer, said = tokenizer_of(kind), clean(text)
    ids = tokenizer.encode(said)
    assert tokenizer.decode(ids) == said
    assert ids_of(tokenizer, COMMANDS).isdisjoint(ids)


@pytest.mark.parametrize("kind", ["byte-level", "byte fallback"])
@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=20))
def test_so_does_any_text_where_bytes_are_known(kind: str, text: str) -> None:
    tokenizer, said = tokenizer_of(kind), clean(text)
    assert tokenizer.decode(tokenizer.encode(said)) == said


@pytest.mark.parametrize("kind", KINDS)
def test_words_that_were_added_are_used(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    for word in ("😊", "\n\n", "hello world", "ㅋㅋㅋ", "오늘"):
        assert ids_of(tokenizer, [word]) <= {*tokenizer.encode(f"a{word}b")}


@pytest.mark.parametrize("kind", ["byte-level", "byte fallback"])
def test_a_word_that_swallows_blanks_is_spelt(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    assert tokenizer.decode(tokenizer.encode("so wow and 😊")) == "so wow and 😊"


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.sampled_from(["hi", "you", "안녕", "😊", "<tool_call>", "[SEP]", "[CLS]"]))
)
def test_word_pieces_lose_no_word_but_those_they_do_not_know(words: list[str]) -> None:
    known = [
        *SPECIAL,
        "[CLS]",
        "[SEP]",
        "hi",
        "you",
        "안녕",
        *"<>[]_",
        "tool",
        "call",
        "S",
        "##E",
        "##P",
    ]
    made = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(known)}, unk_token="<unk>")
    )
    made.pre_tokenizer, made.decoder = (
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(cleanup=False),
    )
    tokenizer = wrapped(made, ["😊"])
    tokenizer._backend.add_special_tokens({"sep_token": "[SEP]", "cls_token": "[CLS]"})
    tokenizer = ModelTokenizer(tokenizer._backend, "words")
    ids = tokenizer.encode(" ".join(words))
    spelt = {"<tool_call>": "< tool _ call >", "[SEP]": "[ SEP ]", "[CLS]": "[ ]"}
    assert tokenizer.decode(ids) == " ".join(spelt.get(word, word) for word in words)
    assert ids_of(tokenizer, [*COMMANDS, "[SEP]", "[CLS]"]).isdisjoint(ids)
