"""BLEU, NIST and METEOR: known answers, and what is published of their own programs."""

import math
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from evaluation.bleu import Bleu
from evaluation.item import Item
from evaluation.meteor import Meteor, meteor
from evaluation.nist import Nist, length_penalty
from evaluation.reading import read_items
from evaluation.words import Cut, word_tokenizer
from tests.evaluation.figures import figure, is_unknown

pytest.importorskip("sacrebleu", reason="the extra `evaluation` is not installed")
pytest.importorskip("nltk", reason="the extra `evaluation` is not installed")
DIALOGUES = Path(__file__).parents[3] / "shared" / "data" / "en_selfdialogue.valid.jsonl"

# The example of mteval's sibling "MTEval Toolkit" (odashi/mteval, README), with its figure.
EXAMPLE = [
    Item("a b c d e f", references=("a b c d e",)),
    Item("a b c d e", references=("a b c d e",)),
    Item("a c d e", references=("a b c d e",)),
]
# Two replies, two references each, small enough to reckon by hand.
BY_HAND = [
    Item("a b", references=("a b", "a c")),
    Item("a a", references=("a d d", "b")),
]


def test_bleu_is_the_published_figure_of_an_example() -> None:
    assert figure(Bleu(4, str.split), EXAMPLE) == pytest.approx(0.796902, abs=1e-6)


def test_bleu_by_hand() -> None:
    # 1-grams: a, b, then a once (clipped): 3 of 4; 2-grams: 1 of 2. Words: 4; the nearest
    # reference of each: 2 and 1 (as near as 3, and shorter): no penalty.
    assert figure(Bleu(2, str.split), BY_HAND) == pytest.approx(math.sqrt(3 / 4 * 1 / 2))


def test_bleu_of_draws_is_sacrebleus_of_the_whole() -> None:
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415 (an extra)

    dice = random.Random(0)
    items = [
        Item(
            " ".join(dice.choices("abcdef", k=dice.randrange(9))),
            references=tuple(" ".join(dice.choices("abcdef", k=6)) for _ in range(2)),
        )
        for _ in range(50)
    ]
    metric = Bleu(4, str.split)
    figure(metric, items)
    weights = np.array([dice.randrange(3) for _ in items], dtype=np.float64)
    drawn = [item for item, n in zip(items, weights, strict=True) for _ in range(int(n))]
    theirs = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(
        [item.completion for item in drawn],
        [[item.references[i] for item in drawn] for i in range(2)],
    )
    assert metric.statistic()(weights) == pytest.approx(theirs.score / 100)


def test_bleu_has_its_signature() -> None:
    metric = Bleu(4, str.split)
    assert metric.signature == ""
    figure(metric, BY_HAND)
    assert metric.signature.startswith("nrefs:2|case:mixed|eff:no|tok:none|smooth:none|version:")


def test_nist_by_hand() -> None:
    # Of the references' 8 words a, b, c, d, d, a, a, b: a tells log2(8/3), b log2(8/2). After a
    # (3 times) b comes once: log2(3). Matched: a, b, a; "a b". The mean references have 2 and 2
    # words, as the replies.
    one = (2 * math.log2(8 / 3) + math.log2(4)) / 4
    items = [BY_HAND[0], Item("a a", references=("a d d", "b"))]
    assert figure(Nist(1, str.split), items) == pytest.approx(one)
    assert figure(Nist(2, str.split), items) == pytest.approx(one + math.log2(3) / 2)


def test_nist_is_halved_at_two_thirds_of_the_length() -> None:
    assert length_penalty(2 / 3) == pytest.approx(0.5)
    assert length_penalty(1.4) == length_penalty(1) == 1
    assert length_penalty(0) == 0


@pytest.mark.skipif(not DIALOGUES.exists(), reason="no ../shared/data with dialogues")
def test_nist_is_what_mtevals_own_code_gives() -> None:
    """The figures come from mteval-v14's Perl routines, run on the same words once."""
    tokenize = word_tokenizer(Cut.DSTC)
    dialogues = (item for item in read_items(DIALOGUES) if len(item.history) == 3)
    first_four = ((*item.history, item.completion) for item in dialogues)
    some = islice((turns for turns in first_four if all(map(tokenize, turns))), 200)
    items = [Item(turns[0], references=turns[1:]) for turns in some]
    for order, theirs in ((1, 2.035352), (2, 2.179655), (4, 2.199808)):
        assert figure(Nist(order, tokenize), items) == pytest.approx(theirs, abs=1e-6)


def test_meteor_by_hand() -> None:
    # 12 matches in the 4 chunks "it is a guide to action", "ensures that the military",
    # "commands", "party": P 12/18, R 12/16.
    reply = (
        "it is a guide to action which ensures that the military always obeys the commands "
        "of the party"
    )
    reference = (
        "it is a guide to action that ensures that the military will forever heed party commands"
    )
    mean = (12 / 18) * (12 / 16) / (0.9 * 12 / 18 + 0.1 * 12 / 16)
    expected = mean * (1 - 0.5 * (4 / 12) ** 3)
    assert figure(Meteor(str.split), [Item(reply, references=(reference,))]) == pytest.approx(
        expected
    )


def test_meteor_matches_stems_and_takes_the_best_reference() -> None:
    items = [Item("running dogs", references=("nothing alike", "run dog")), Item("unasked")]
    assert figure(Meteor(str.split), items) == pytest.approx(1 - 0.5 * (1 / 2) ** 3)


def test_meteor_is_nltks_without_its_synonyms() -> None:
    from nltk.translate.meteor_score import single_meteor_score  # noqa: PLC0415 (an extra)

    class NoSynonyms:
        def synsets(self, _: str) -> list[object]:
            return []

    for reply, reference in (
        ("the cat sat on the mat", "on the mat sat a cat"),
        ("i like apples", "she likes an apple and i like pears"),
        ("x", "y"),
    ):
        theirs = single_meteor_score(reference.split(), reply.split(), wordnet=NoSynonyms())
        ours = figure(Meteor(str.split), [Item(reply, references=(reference,))])
        assert ours == pytest.approx(theirs)


def test_many_like_words_are_aligned_quickly() -> None:
    assert meteor(["a"] * 300, ["a"] * 300, str) == pytest.approx(1 - 0.5 * (1 / 300) ** 3)


def test_an_empty_reply_counts_as_zero_and_is_not_dropped() -> None:
    perfect = Item("a b c d e", references=("a b c d e",))
    missing = Item("", references=("a b c d e",))
    for make in (lambda: Bleu(4, str.split), lambda: Nist(4, str.split), lambda: Meteor(str.split)):
        whole, half = figure(make(), [perfect] * 2), figure(make(), [perfect, missing])
        assert half < 0.6 * whole
        assert figure(make(), [missing]) == 0


def test_a_reply_without_references_is_left_out() -> None:
    for make in (lambda: Bleu(2, str.split), lambda: Nist(2, str.split), lambda: Meteor(str.split)):
        assert figure(make(), [*BY_HAND, Item("zzz")]) == figure(make(), BY_HAND)
        assert is_unknown(figure(make(), [Item("zzz")]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't know:). this?https://a.b/c", "i do n't know :) . this ? __url__"),
        ("please try [ GitHub ] ( https://github.com )", "please try github"),
        ("Won't can't I'm we'll", "will n't can n't i 'm we 'll"),
        ("a_b © URL", "a b url"),
        ("안녕", ""),
    ],
)
def test_words_are_cut_as_dstc_7_does(text: str, words: str) -> None:
    assert " ".join(word_tokenizer(Cut.DSTC)(text)) == words


def test_international_words_keep_korean() -> None:
    assert word_tokenizer(Cut.INTL)("안녕, Sam!") == ["안녕", ",", "sam", "!"]
