import random
import re

import pytest

from training.probes import is_recalled
from training.smalltalk.grammar import Grammar, fingerprint, load_grammar
from training.smalltalk.words import Split, load_words

QUESTION = re.compile(
    r"^(how|what|where|who|when|why|do|does|did|are|which)\b"
    r"(?! (nice|sweet|great|exciting|wonderful|a good|cute|strange))",
    re.I,
)


def dialogues(grammar: Grammar, count: int, split: Split = Split.SEEN) -> list[tuple[str, ...]]:
    rng = random.Random(5)
    return [grammar.dialogue(rng, split) for _ in range(count)]


def test_the_same_seed_makes_the_same_dialogues(grammar: Grammar) -> None:
    assert dialogues(grammar, 200) == dialogues(load_grammar(), 200)
    assert fingerprint(grammar) == fingerprint(load_grammar())


def test_a_dialogue_goes_back_and_forth_and_ends_with_the_bot(grammar: Grammar) -> None:
    for turns in dialogues(grammar, 2000):
        assert 2 <= len(turns) <= 14
        assert len(turns) % 2 == 0
        assert all(turn.strip() == turn != "" for turn in turns)


def test_a_question_of_the_bot_ends_with_a_question_mark(grammar: Grammar) -> None:
    last = [re.split(r"(?<=[.!?]) ", t)[-1] for d in dialogues(grammar, 3000) for t in d[1::2]]
    assert not [sentence for sentence in last if QUESTION.match(sentence) and sentence[-1] != "?"]


def test_the_bot_writes_whole_sentences(grammar: Grammar) -> None:
    said = {turn for d in dialogues(grammar, 3000) for turn in d[1::2]}
    assert not [t for t in said if t[-1] not in ".!?)😊🙂" or "  " in t or re.search(r"[?!.]\.", t)]


def test_phrasing_varies(grammar: Grammar) -> None:
    first = [turns[0] for turns in dialogues(grammar, 1000)]
    assert len(set(first)) > 700
    replies = [turn for turns in dialogues(grammar, 1000) for turn in turns[1::2]]
    assert len(set(replies)) > len(replies) / 3


def test_held_out_words_never_appear_in_training(grammar: Grammar) -> None:
    held_out = {word for slot in load_words().values() for word in slot.held_out if len(word) > 5}
    elsewhere = {word for slot in load_words().values() for word in slot.seen}
    text = "\n".join(turn for turns in dialogues(grammar, 3000) for turn in turns)
    # a made-up word may hit one by chance, and a word may be seen in another slot
    assert not [w for w in held_out - elsewhere if text.count(f" {w}") > 1]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("num_between", [0, 1])
def test_a_recall_dialogue_tells_the_word_and_then_asks_for_it(
    grammar: Grammar, split: Split, num_between: int
) -> None:
    rng = random.Random(6)
    for scene in grammar.fact_scenes(split):
        turns, word = grammar.recall_dialogue(rng, split, scene, num_between=num_between)
        assert len(turns) % 2 == 1
        assert any(is_recalled(turn, word) for turn in turns[::2]), (scene.title, turns, word)
        assert not is_recalled(turns[-1], word)
