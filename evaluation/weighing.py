"""What ranking weights are chosen by: people's answers beside others, and what a model drew."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from bot.answering.ports import Scores
from bot.answering.ranker import Occasion, Ranker, back_passages
from bot.dialogue import ranking
from bot.dialogue.blocked import is_blocked
from bot.dialogue.context import build_context
from bot.dialogue.prompt import Tokenizer, after_nothing, encode_turn
from bot.dialogue.ranking import Candidate, comparable, features_of
from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import Cancellation, GenerationRequest, Passage
from evaluation.generate import Exchange
from evaluation.item import Item
from evaluation.terms import Features, with_words
from evaluation.voices import OpenModel, budget_of, remembered

Ids = tuple[int, ...]

NUM_STRANGERS = 9
_EVERYTHING = ranking.Weights(antilm=1.0, reverse=1.0)  # every likelihood is asked


@dataclass(frozen=True, slots=True)
class Question:
    """A place in a dialogue: the person's answer there, and answers from other dialogues."""

    exchange: Exchange
    strangers: tuple[str, ...]

    @property
    def item(self) -> Item:
        """The person's answer as something to be judged."""
        history = (*self.exchange.history, self.exchange.said)
        return Item(self.exchange.answer, history, (self.exchange.answer,))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A fit candidate that the model drew."""

    text: str
    features: Features


@dataclass(frozen=True, slots=True)
class Case:
    """A question with all that the ranking knows: `people` has the true answer first."""

    question: Question
    people: tuple[Features, ...]
    drawn: tuple[Drawn, ...]


def questions_of(
    dialogues: Sequence[Sequence[Exchange]], num_questions: int, seed: int
) -> list[Question]:
    """Exchanges drawn by chance, each with answers from other dialogues; the same for a seed."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    places = [
        (number, exchange)
        for number, exchanges in enumerate(dialogues)
        for exchange in exchanges
        if exchange.answer.strip()
    ]
    chosen = rng.sample(places, min(num_questions, len(places)))
    return [
        Question(exchange, tuple(_strangers(places, number, exchange.answer, rng)))
        for number, exchange in chosen
    ]


def _strangers(
    places: Sequence[tuple[int, Exchange]], number: int, answer: str, rng: random.Random
) -> Iterator[str]:
    """Answers of other dialogues, all different."""
    seen = {answer.casefold().strip()}
    for other, exchange in rng.sample(places, len(places)):
        text = exchange.answer.casefold().strip()
        if len(seen) > NUM_STRANGERS:
            return
        if other != number and text not in seen:
            seen.add(text)
            yield exchange.answer


class Weigher:
    """Asks the models what a ranking needs, with the bot's own Ranker."""

    def __init__(self, opened: OpenModel, params: SamplingParams) -> None:
        self._opened = opened
        self._params = params
        self._ranker = Ranker(
            engine=opened.engine,
            tokenizer=opened.tokenizer,
            reverse=opened.reverse,
            weights=_EVERYTHING,
            is_blocked=is_blocked,
        )

    async def case(self, question: Question, seed: int) -> Case:
        """All that is known of one question. Raises EngineErrors."""
        exchange = question.exchange
        turns = remembered(exchange.history)
        budget = budget_of(self._opened.engine.info.window, self._params, self._opened.limits)
        context = await self._opened.tokenizer.run(
            lambda tokenizer: build_context(turns, exchange.said, budget, tokenizer)
        )
        people, drawn = await asyncio.gather(
            self._people(question, context.prompt_ids),
            self._drawn(
                question,
                GenerationRequest(
                    prompt_ids=context.prompt_ids,
                    own_ids=context.own_ids,
                    params=replace(self._params, seed=seed),
                ),
            ),
        )
        return Case(question, people, drawn)

    async def _people(
        self, question: Question, prompt_ids: tuple[int, ...]
    ) -> tuple[Features, ...]:
        texts = (question.exchange.answer, *question.strangers)

        def ids(tokenizer: Tokenizer) -> tuple[list[Ids], Ids, Ids, Ids]:
            room = self._params.max_new_tokens
            replies = [tuple(encode_turn(text, tokenizer)[:room]) for text in texts]
            said_ids = tuple(encode_turn(question.exchange.said, tokenizer))
            return replies, said_ids, tokenizer.start_ids, after_nothing(tokenizer)

        replies, said_ids, start_ids, nothing_ids = await self._opened.tokenizer.run(ids)
        engine, reverse = self._opened.engine, self._opened.reverse
        given = await engine.score([Passage(prompt_ids, reply) for reply in replies])
        alone = await engine.score([Passage(nothing_ids, reply) for reply in replies])
        back: Sequence[tuple[float, ...]] = [()] * len(replies)
        if reverse is not None:
            passages = back_passages(replies, said_ids, reverse.info.window, start_ids)
            back = await reverse.score(passages)
        said, own_turns = question.exchange.said, question.item.own_turns
        return tuple(
            comparable(
                [
                    with_words(features_of(Candidate(*row)), row[0], said, own_turns)
                    for row in zip(texts, given, alone, back, strict=True)
                ]
            )
        )

    async def _drawn(self, question: Question, request: GenerationRequest) -> tuple[Drawn, ...]:
        completions = await self._opened.engine.generate(request)
        said, own_turns = question.exchange.said, question.item.own_turns
        judgement = await self._ranker.judge(
            completions, Occasion(said, own_turns, inf, Cancellation())
        )
        fit = [(one.text, one.scores) for one in judgement.rejected if "fault" not in one.scores]
        if judgement.chosen is not None:
            fit.append((judgement.chosen.text, judgement.chosen.scores))
        return tuple(
            Drawn(text, with_words(_features(scores), text, said, own_turns))
            for text, scores in sorted(fit)  # in no ranking's order
        )


def _features(scores: Scores) -> ranking.Features:
    """What the Ranker wrote down, which is little where nothing was ranked."""
    return ranking.Features(
        likelihood=float(scores["mean_logprob"]),
        alone=_number(scores, "mean_logprob_alone"),
        back=_number(scores, "mean_logprob_back"),
        num_tokens=int(scores.get("num_tokens", 1)),
    )


def _number(scores: Scores, name: str) -> float | None:
    return float(scores[name]) if name in scores else None
