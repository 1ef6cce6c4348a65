"""A text begins as the model's own tokenizer begins it: some models understand little without."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bot.answering.ranker import Occasion, Ranker
from bot.answering.text_completion import TextCompleter, TextToComplete
from bot.dialogue.context import ContextBudget, build_context
from bot.dialogue.prompt import encode_prompt
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role
from bot.engine.protocol import Cancellation, Completion, FinishReason, Passage
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from bot.errors import WrongInputError
from evaluation.item import Item
from evaluation.passages import prompt_of
from evaluation.voices import remembered
from tests.fakes import InlineTokenizerThread, ScriptedEngine
from tests.tiny_models import CHAT_TEMPLATE

BEGINNING = "<bos>"


def beginning_with(folder: Path, model: Path, *, template: str | None = None) -> ModelTokenizer:
    """The tokenizer of `model` where it adds `<bos>`, as Gemma's and Llama's do."""
    backend = AutoTokenizer.from_pretrained(model)
    backend.add_special_tokens({"bos_token": BEGINNING})
    first = (BEGINNING, backend.bos_token_id)
    backend.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGINNING} $A", special_tokens=[first]
    )
    backend.chat_template = template
    backend.save_pretrained(folder)
    return load_tokenizer(folder)


@pytest.fixture
def beginning(tiny_model: Path, tmp_path: Path) -> ModelTokenizer:
    return beginning_with(tmp_path, tiny_model)


@pytest.fixture
def bos(beginning: ModelTokenizer) -> int:
    (token_id,) = beginning.start_ids
    assert beginning.token_text(token_id) == BEGINNING
    return token_id


def thread_of(tokenizer: ModelTokenizer) -> InlineTokenizerThread:
    thread = InlineTokenizerThread()
    thread.tokenizer = tokenizer  # type: ignore[assignment]  # the real one
    return thread


def test_a_dialogue_begins_with_it_once(beginning: ModelTokenizer, bos: int) -> None:
    ids = encode_prompt([(Role.USER, "hi"), (Role.BOT, f"you {BEGINNING}")], beginning)
    assert (ids[0], ids.count(bos)) == (bos, 1)
    assert ids[1:] == [
        *beginning.encode("hi"),
        beginning.end_of_text_id,
        *beginning.encode(f"you {BEGINNING}"),
        beginning.end_of_text_id,
    ]


def test_a_vocabulary_that_adds_nothing_begins_with_the_words(tokenizer: ModelTokenizer) -> None:
    assert tokenizer.start_ids == ()
    ids = encode_prompt([(Role.USER, "hi")], tokenizer)
    assert ids == [*tokenizer.encode("hi"), tokenizer.end_of_text_id]


@pytest.mark.parametrize(("written", "count"), [("{{ bos_token }}", 1), ("", 0)])
def test_a_chat_template_decides_for_itself(
    written: str, count: int, chat_model: Path, tmp_path: Path
) -> None:
    chat = beginning_with(tmp_path, chat_model, template=written + CHAT_TEMPLATE)
    ids = encode_prompt([(Role.USER, "hi"), (Role.BOT, "you"), (Role.USER, "there")], chat)
    assert ids.count(*chat.start_ids) == count


@pytest.mark.parametrize("said", ["how are you", "a long word after the other " * 9, "😀" * 40])
def test_a_context_is_within_its_budget_with_it(
    said: str, beginning: ModelTokenizer, bos: int
) -> None:
    turns = remembered(["hello there", "good night", "what is your name?", "no name"] * 2)
    for num_tokens in (4, 16, 30, 31, 32, 33, 64):
        context = build_context(turns, said, ContextBudget(num_tokens, 9), beginning)
        assert len(context.prompt_ids) <= num_tokens
        assert context.prompt_ids[0] == bos
        assert all(bos not in ids for ids in context.own_ids)


async def test_a_text_that_is_gone_on_with_begins_with_it(
    beginning: ModelTokenizer, bos: int
) -> None:
    engine = ScriptedEngine()
    completer = TextCompleter(engine=engine, tokenizer=thread_of(beginning), deadline_seconds=60)
    await completer.complete(TextToComplete("i love", SamplingParams(), 4))
    assert engine.predicted[0].text_ids == (bos, *beginning.encode("i love"))


async def test_letters_that_the_model_does_not_know_are_told_of_as_before() -> None:
    tokenizer = ModelTokenizer(knowing_only("a"), "some")
    assert len(tokenizer.start_ids) == 1
    completer = TextCompleter(
        engine=ScriptedEngine(), tokenizer=thread_of(tokenizer), deadline_seconds=60
    )
    with pytest.raises(WrongInputError, match="knows none of these letters"):
        await completer.complete(TextToComplete("안녕", SamplingParams(), 4))


def knowing_only(word: str) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({"<unk>": 0, BEGINNING: 1, "</s>": 2, word: 3}, "<unk>"))
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BEGINNING} $A </s>", special_tokens=[(BEGINNING, 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=backend, bos_token=BEGINNING, eos_token="</s>", unk_token="<unk>"
    )


def test_a_reply_is_read_after_it_by_those_who_measure(beginning: ModelTokenizer, bos: int) -> None:
    assert prompt_of(Item("fine"), beginning) == [bos]
    answered = Item("fine", ("how are you?",))
    assert prompt_of(answered, beginning) == encode_prompt([(Role.USER, "how are you?")], beginning)


def test_without_it_a_reply_to_nothing_is_read_after_an_end_of_text(
    tokenizer: ModelTokenizer,
) -> None:
    assert prompt_of(Item("fine"), tokenizer) == [tokenizer.end_of_text_id]


async def test_candidates_are_scored_after_it(beginning: ModelTokenizer, bos: int) -> None:
    engine, reverse = Asked(), Asked()
    ranker = Ranker(engine=engine, tokenizer=thread_of(beginning), reverse=reverse)
    ids = [tuple(beginning.encode(text)) for text in ("good night", "do you like music?")]
    made = [Completion(one, (-1.0,), FinishReason.LENGTH, 1, 4) for one in ids]
    await ranker.judge(made, Occasion("hello", (), math.inf, Cancellation()))
    assert [passage.prompt_ids for passage in engine.passages] == [(bos,), (bos,)]
    assert [passage.prompt_ids for passage in reverse.passages] == [(bos, *one) for one in ids]
    assert not any(bos in passage.ids for passage in engine.passages + reverse.passages)


class Asked(ScriptedEngine):
    """Keeps what it is asked to score."""

    def __init__(self) -> None:
        super().__init__()
        self.passages: list[Passage] = []

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        self.passages += passages
        return await super().score(passages)
