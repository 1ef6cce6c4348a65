"""The figures by which ranking weights are chosen, and the program that chooses."""

import json
import math
from dataclasses import asdict, astuple, replace
from pathlib import Path

import pytest

from bot.dialogue import ranking
from bot.dialogue.ranking import Candidate, rank
from evaluation.__main__ import main
from evaluation.generate import Exchange, exchanges_of
from evaluation.terms import LIKELIHOOD_ALONE, WEIGHTS, Features, Weights, with_words
from evaluation.tuning import GRID, Figures, Outcome, Tuning, grid
from evaluation.weighing import NUM_STRANGERS, Case, Drawn, Question, questions_of
from tests.tiny_models import make_tiny_gpt2

ANTILM = replace(LIKELIHOOD_ALONE, antilm=1.0)
QUESTION = Question(Exchange((), "how was it?", "cold"), ("yes", "no"))
DULL, APT = Features(-1.0, alone=-1.0), Features(-2.0, alone=-5.0)


def case(*people: Features, drawn: tuple[Drawn, ...] = ()) -> Case:
    return Case(QUESTION, people, drawn)


def test_hits_and_reciprocal_rank_of_the_true_answer() -> None:
    drawn = (Drawn("so", DULL),)
    cases = [case(APT, DULL, DULL), case(APT, APT, DULL, drawn=drawn)]
    tuning = Tuning(cases, [[], [0.0]])
    assert (tuning.num_people, tuning.num_drawn) == (2, 1)
    alone, antilm = tuning.figures(LIKELIHOOD_ALONE), tuning.figures(ANTILM)
    # behind both, and behind one with a tie that counts against it
    assert (alone.hits, antilm.hits) == (0.0, 0.5)
    found = (alone.reciprocal_rank, antilm.reciprocal_rank)
    assert found == pytest.approx((1 / 3, (1 + 1 / 2) / 2))


def test_the_chosen_candidates_are_measured() -> None:
    echo = replace(DULL, echo=0.5, repetition=0.8, in_reply=0.25)
    drawn = (Drawn("a b c d e f g", echo), Drawn("x y x y", APT))
    figures = Tuning([case(APT, DULL, drawn=drawn)], [[0.5, 0.25]])
    dull, apt = figures.figures(LIKELIHOOD_ALONE), figures.figures(ANTILM)
    assert (dull.echo, dull.self_repetition, dull.rep4) == (1.0, 1.0, 0.25)
    assert (apt.echo, apt.self_repetition, apt.rep4) == (0.0, 0.0, 0.0)
    assert (dull.meteor, apt.meteor) == (0.5, 0.25)
    assert [dull.distinct_2, apt.distinct_2] == pytest.approx([1.0, 2 / 3])
    assert [dull.entropy_4, apt.entropy_4] == pytest.approx([math.log(4), 0.0])
    assert (dull.nats, apt.nats, dull.words, apt.words) == (1.0, 2.0, 7.0, 4.0)


def features_of(text: str, said: str, own_turns: list[str]) -> Features:
    return with_words(ranking.Features(-1.0), text, said, own_turns)


def test_echo_is_rouge_l_with_what_was_said() -> None:
    # 3 of 4 words of both in order: F1 is 2 * 3 / (4 + 4)
    assert features_of("I like red cars", "I like blue cars!", []).echo == 0.75


def test_repetition_is_the_most_with_an_own_earlier_turn() -> None:
    own = ["It is late.", "I like blue cars!", "Well."]
    assert features_of("I like red cars", "hm", own).repetition == 0.75
    assert features_of("I like red cars", "hm", []).repetition == 0.0


def test_in_reply_is_the_share_of_four_word_sequences_that_came_already() -> None:
    # a b c d e a b c d has 6 sequences of four, and "a b c d" twice
    assert features_of("a b c d e a b c d", "hm", []).in_reply == pytest.approx(1 / 6)
    assert features_of("a b c", "hm", []).in_reply == 0.0


def test_a_further_term_chooses_whatever_the_likelihoods_say() -> None:
    echo, other = replace(DULL, echo=0.9), replace(DULL, likelihood=-1.5)
    drawn = (Drawn("0", echo), Drawn("1", other))
    tuning = Tuning([case(APT, DULL, drawn=drawn)], [[0.0, 1.0]])
    assert tuning.figures(LIKELIHOOD_ALONE).meteor == 0.0
    assert tuning.figures(replace(LIKELIHOOD_ALONE, echo=1.0)).meteor == 1.0


def test_the_defaults_are_the_bots() -> None:
    further = {"echo": 0.0, "repetition": 0.0, "in_reply": 0.0}
    assert asdict(WEIGHTS) == {**asdict(ranking.WEIGHTS), **further}
    assert WEIGHTS in grid(has_reverse=True)


_OF_THE_BOT = [
    weights
    for weights in grid(has_reverse=True)
    if not (weights.echo or weights.repetition or weights.in_reply)
]


@pytest.mark.parametrize("weights", _OF_THE_BOT[::7])
def test_a_setting_chooses_what_the_bots_ranking_would(weights: Weights) -> None:
    candidates = [
        Candidate("you like tea", (-1.0,), (-2.0,), (-3.0,)),
        Candidate("I went home and I went home and I went home", (-0.5,), (-1.0,), (-4.0,)),
        Candidate("I said no", (-1.5,), (-6.0,), (-1.0,)),
    ]
    found = rank(candidates, weights)
    drawn = tuple(
        Drawn(f"{one.index}", with_words(one.features, candidates[one.index].text, "you", []))
        for one in sorted(found, key=lambda one: one.index)
    )
    tuning = Tuning([case(APT, DULL, drawn=drawn)], [[0.0, 1.0, 2.0]])
    assert tuning.figures(weights).meteor == found[0].index


def figures(hits: float, echo: float = 0.0) -> Figures:
    return Figures(hits, 0.5, 0.5, 5.0, 0.1, echo, 0.0, 0.0, 1.0, 8.0)


CHANCE = figures(0.1)


def test_the_rule_takes_the_smallest_weights_near_the_best_that_is_allowed() -> None:
    some, more, most = (replace(ANTILM, antilm=value) for value in (0.3, 0.5, 0.7))
    settings = {
        LIKELIHOOD_ALONE: figures(0.10),
        some: figures(0.39),
        more: figures(0.40),
        most: figures(0.60, echo=0.03),  # beyond the target of 2 %
    }
    # a standard error of 0.4 in 100 is 0.05
    assert Outcome(settings, CHANCE, 100).best == some
    assert Outcome(settings, CHANCE, 100_000).best == more
    echoing = {**settings, LIKELIHOOD_ALONE: figures(0.10, echo=0.04)}
    assert Outcome(echoing, CHANCE, 100).best == most


@pytest.mark.parametrize(
    "paid", [{"distinct_2": 0.4}, {"entropy_4": 4.9}, {"meteor": 0.09}, {"nats": 1.1}]
)
def test_no_hit_is_worth_duller_or_unlikelier_replies(paid: dict[str, float]) -> None:
    settings = {LIKELIHOOD_ALONE: figures(0.10), ANTILM: replace(figures(0.40), **paid)}
    assert Outcome(settings, CHANCE, 100).best == LIKELIHOOD_ALONE


def test_without_a_reverse_model_its_weight_is_not_tried() -> None:
    assert {weights.reverse for weights in grid(has_reverse=False)} == {0.0}
    assert {weights.reverse for weights in grid(has_reverse=True)} == {*GRID["reverse"]}
    assert LIKELIHOOD_ALONE in grid(has_reverse=False)


def test_strangers_come_from_other_dialogues_and_are_all_different() -> None:
    dialogues = [exchanges_of(["a", f"answer {i}", "b", "yes"]) for i in range(12)]
    questions = questions_of(dialogues, 20, seed=1)
    assert len(questions) == 20
    assert questions == questions_of(dialogues, 20, seed=1)
    assert questions != questions_of(dialogues, 20, seed=2)
    for question in questions:
        assert len({question.exchange.answer, *question.strangers}) == 1 + NUM_STRANGERS


def test_weights_are_chosen_on_a_file_with_a_reverse_model(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reverse = make_tiny_gpt2(tmp_path / "reverse", seed=5)
    path = tmp_path / "dialogues.jsonl"
    turns = [["hi", f"I am number {i}", "how are you?", f"I feel like {i}"] for i in range(11)]
    path.write_text("".join(f"{json.dumps({'turns': one})}\n" for one in turns))
    options = ["--questions", "4", "--set", "max_new_tokens=8", "--device", "cpu"]
    more = ["--reverse-model", str(reverse), "--json", str(tmp_path / "out.json")]
    assert main(["tune", str(tiny_model), str(path), *options, *more]) == 0
    told = capsys.readouterr().out
    assert "4 answers of people among 9 others" in told
    assert "* the rule's choice: antilm" in told
    found = json.loads((tmp_path / "out.json").read_text())
    assert len(found["settings"]) == math.prod(map(len, GRID.values()))
    assert found["best"].keys() == found["settings"][0]["weights"].keys()
    assert len(astuple(Weights())) == len(found["best"])
    assert found["reverse_revision"].startswith("sha256:")


def test_a_file_with_too_few_answers_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.jsonl"
    rows = (["hi", "hello", "how are you?", "fine", "ok", "bye"], ["what?", "nothing at all"])
    path.write_text("".join(f"{json.dumps({'turns': turns})}\n" for turns in rows))
    assert main(["tune", "embedded", str(path)]) == 65
    assert "among 9 different ones from other dialogues" in capsys.readouterr().err
