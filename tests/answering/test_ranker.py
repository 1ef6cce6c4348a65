"""What is asked of the models before candidates are ranked, and what happens where they fail."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.answering.ranker import Judgement, Occasion, Ranker, back_passages
from bot.dialogue.ranking import LIKELIHOOD_ALONE, Weights
from bot.engine.protocol import (
    Cancellation,
    Completion,
    Engine,
    FinishReason,
    Passage,
)
from bot.errors import EngineClosedError, EngineError, EngineMemoryError, WithdrawnError
from tests.dialogue.byte_tokenizer import ByteTokenizer
from tests.fakes import InlineTokenizerThread, ScriptedEngine

END = ByteTokenizer().end_of_text_id
WEIGHTS = replace(LIKELIHOOD_ALONE, antilm=0.5, reverse=0.5)


class Scorer(ScriptedEngine):
    """Finds what `likely` names likely, whatever stands before it; keeps what it was asked."""

    def __init__(self, *likely: str, window: int = 1024) -> None:
        super().__init__(window=window)
        self.likely = [tuple(ByteTokenizer().encode(text)) for text in likely]
        self.passages: list[Passage] = []
        self.failure: EngineError | None = None
        self.before_answer: asyncio.Event | None = None
        self.cancellation: Cancellation | None = None

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        self.passages += passages
        if self.cancellation is not None:
            self.cancellation.cancel()
        if self.before_answer is not None:
            await self.before_answer.wait()
        if self.failure is not None:
            raise self.failure
        return [(-1.0 if self._is_likely(one) else -9.0,) * len(one.ids) for one in passages]

    def _is_likely(self, passage: Passage) -> bool:
        return any(ids == passage.ids[: len(ids)] for ids in self.likely)


class Backwards(Scorer):
    """Finds what was said likely after the replies that are named."""

    def _is_likely(self, passage: Passage) -> bool:
        return any(ids == passage.prompt_ids[: len(ids)] for ids in self.likely)


def completion(text: str, logprob: float = -1.0, end_id: int | None = END) -> Completion:
    """`end_id` None: the length limit ended it."""
    ids = tuple(ByteTokenizer().encode(text))
    finish_reason = FinishReason.LENGTH if end_id is None else FinishReason.STOP
    num_scored = len(ids) + (finish_reason is FinishReason.STOP)
    return Completion(
        ids, (logprob,) * num_scored, finish_reason, seed=0, num_prompt_tokens=1, end_id=end_id
    )


DULL, APT, EMPTY = completion("I do not know."), completion("It was cold.", -1.5), completion("")


def occasion(seconds: float = math.inf, cancellation: Cancellation | None = None) -> Occasion:
    deadline = time.monotonic() + seconds
    return Occasion("how was the beach?", (), deadline, cancellation or Cancellation())


def judged(
    engine: Engine,
    *completions: Completion,
    reverse: Engine | None = None,
    weights: Weights = WEIGHTS,
    on: Occasion | None = None,
) -> Judgement:
    ranker = Ranker(
        engine=engine, tokenizer=InlineTokenizerThread(), reverse=reverse, weights=weights
    )
    return asyncio.run(ranker.judge(completions, on or occasion()))


def chosen(judgement: Judgement) -> str:
    assert judgement.chosen is not None
    return judgement.chosen.text


def test_what_is_likely_after_nothing_falls_behind() -> None:
    engine = Scorer("I do not know.")
    judgement = judged(engine, DULL, EMPTY, APT)
    assert judgement.chosen is not None
    assert (judgement.chosen.index, judgement.chosen.text) == (2, "It was cold.")
    assert judgement.chosen.scores == {
        "mean_logprob": -1.5,
        "mean_logprob_alone": -9.0,
        "num_tokens": len(APT.ids) + 1,
        "score": -1.5 + 0.5 * 9.0,
    }
    assert [one.text for one in judgement.rejected] == ["I do not know.", ""]
    assert judgement.rejected[0].scores["score"] == -1.0 + 0.5 * 1.0
    assert judgement.rejected[1].scores == {"fault": "empty", "mean_logprob": -1.0}


def test_fit_candidates_are_read_after_end_of_text_and_with_their_end() -> None:
    engine = Scorer()
    cut = completion("It was cold and", end_id=None)
    judged(engine, DULL, EMPTY, cut)
    assert engine.passages == [
        Passage((END,), (*DULL.ids, END)),
        Passage((END,), cut.ids),
    ]


def test_a_turn_that_another_token_ended_is_read_with_that_one_and_backwards_as_text() -> None:
    engine, reverse, turn_end = Scorer(), Backwards(), 3
    cold = completion("It was cold.", end_id=turn_end)
    judgement = judged(engine, DULL, cold, reverse=reverse)
    assert engine.passages == [Passage((END,), (*DULL.ids, END)), Passage((END,), (*cold.ids, 3))]
    assert [one.prompt_ids[-1] for one in reverse.passages] == [END, END]
    assert judgement.chosen is not None
    assert judgement.chosen.scores["mean_logprob_alone"] == -9.0


@pytest.mark.parametrize("completions", [(DULL,), (DULL, EMPTY), (EMPTY, EMPTY)])
def test_where_nothing_is_to_be_chosen_no_model_is_asked(
    completions: tuple[Completion, ...],
) -> None:
    engine, reverse = Scorer(), Backwards()
    judgement = judged(engine, *completions, reverse=reverse)
    assert engine.passages == reverse.passages == []
    if judgement.chosen is not None:
        assert judgement.chosen.scores == {"mean_logprob": -1.0}


def test_by_likelihood_alone_no_model_is_asked_and_the_likeliest_wins() -> None:
    engine, reverse = Scorer("I do not know."), Backwards()
    judgement = judged(engine, APT, DULL, reverse=reverse, weights=LIKELIHOOD_ALONE)
    assert chosen(judgement) == "I do not know."
    assert engine.passages == reverse.passages == []


def test_a_reverse_model_is_asked_for_what_was_said_newest_turn_first() -> None:
    engine, reverse = Scorer(), Backwards("It was cold.")
    judgement = judged(engine, DULL, APT, reverse=reverse)
    assert chosen(judgement) == "It was cold."
    said_ids = (*ByteTokenizer().encode("how was the beach?"), END)
    assert reverse.passages == [
        Passage((*DULL.ids, END), said_ids),
        Passage((*APT.ids, END), said_ids),
    ]
    assert judgement.chosen is not None
    assert judgement.chosen.scores["mean_logprob_back"] == -1.0


def test_what_a_reverse_model_reads_fits_its_window() -> None:
    long, short, said = tuple(range(1, 40)), (1, 2, END), (*range(60, 90), END)
    passages = back_passages([long, short], said, window=32)
    assert passages == [Passage(long[-16:], said[:16]), Passage(short, said[:16])]
    assert back_passages([short], said, window=1024) == [Passage(short, said)]


@pytest.mark.parametrize("failure", [EngineMemoryError(), EngineClosedError()])
def test_a_failed_scoring_leaves_the_likelihood_and_one_log_line(
    failure: EngineError, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Scorer("I do not know.")
    engine.failure = failure
    with caplog.at_level(logging.WARNING):
        judgement = judged(engine, APT, DULL)
    assert chosen(judgement) == "I do not know."
    assert judgement.chosen is not None
    assert "mean_logprob_alone" not in judgement.chosen.scores
    [line] = caplog.messages
    kind = type(failure).__name__
    assert line == f"2 candidates are ranked without their likelihood alone: {kind}."


def test_a_failed_reverse_model_leaves_the_other_terms(caplog: pytest.LogCaptureFixture) -> None:
    engine, reverse = Scorer("I do not know."), Backwards("I do not know.")
    reverse.failure = EngineClosedError()
    assert chosen(judged(engine, DULL, APT, reverse=reverse)) == "It was cold."
    assert len(caplog.messages) == 1


def test_a_scoring_that_is_not_ready_in_time_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = Scorer("I do not know.")
    engine.before_answer = asyncio.Event()
    assert chosen(judged(engine, APT, DULL, on=occasion(seconds=0.0))) == "I do not know."
    assert "TimeoutError" in caplog.text


def test_a_withdrawn_message_is_neither_scored_nor_answered() -> None:
    cancelled = Cancellation()
    cancelled.cancel()
    engine = Scorer()
    with pytest.raises(WithdrawnError):
        judged(engine, DULL, APT, on=occasion(cancellation=cancelled))
    assert engine.passages == []
    meanwhile = Cancellation()
    engine.cancellation = meanwhile
    with pytest.raises(WithdrawnError):
        judged(engine, DULL, APT, on=occasion(cancellation=meanwhile))
