"""The ladder of tries towards a fit reply; on a real database."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from bot.answering.reply_maker import Answer, ReplyMaker
from bot.dialogue.context import ContextBudget
from bot.dialogue.sampling import SamplingParams
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import Cancellation, Completion, GenerationRequest, Passage
from bot.errors import EngineMemoryError, NoFitReplyError
from bot.store.database.database import Database
from tests.answering.test_conversation import prompt_of, talk
from tests.dialogue.byte_tokenizer import ByteTokenizer
from tests.fakes import ScriptedEngine
from tests.rooms import CHANNEL, Rooms, said
from tests.tiny_models import make_tiny_gpt2


async def test_an_unfit_reply_is_drawn_again_warmer_and_kept_as_a_candidate(
    database: Database,
) -> None:
    engine = ScriptedEngine()
    engine.script = lambda _: [["", "All is well over here."][len(engine.asked) > 1]]
    rooms = Rooms(database, engine=engine)
    assert await talk(rooms, said("how are you", 1)) == "All is well over here."
    cool, warm = (request.params for request in engine.asked)
    assert warm.temperature > cool.temperature
    with sqlite3.connect(str(database.address.path)) as connection:
        rows = connection.execute("SELECT rank, scores FROM candidate").fetchall()
    connection.close()
    assert rows == [(1, '{"fault": "empty", "mean_logprob": -1.0}')]


async def test_the_last_try_has_a_shorter_context_and_then_nothing_is_remembered(
    database: Database,
) -> None:
    rooms = Rooms(database)
    for number in range(3):
        await talk(rooms, said(f"line {number}", number + 1))
    before = await rooms.history.head(CHANNEL)
    rooms.engine.script = lambda _: [""]
    with pytest.raises(NoFitReplyError):
        await talk(rooms, said("and now?", 9))
    tries = [prompt_of(request) for request in rooms.engine.asked[-3:]]
    assert len(tries[0]) == len(tries[1]) > len(tries[2])
    assert await rooms.history.head(CHANNEL) == before


async def test_a_preset_without_chance_keeps_to_it_after_a_refusal(database: Database) -> None:
    greedy = SamplingParams(top_k=1)
    rooms = Rooms(database, params=greedy)
    await talk(rooms, said("hello", 1))
    rooms.engine.script = lambda _: ["I saw a big dog"]
    with pytest.raises(NoFitReplyError):
        await talk(rooms, said("I saw a big dog", 2))
    tries = rooms.engine.asked[-3:]
    assert [request.params for request in tries] == [greedy] * 3
    own, refused = tries[0].own_ids, tuple(ByteTokenizer().encode("I saw a big dog"))
    assert len(own) == 1
    assert [request.own_ids for request in tries[1:]] == [
        (*own, refused),
        (*own, refused, refused),
    ]


async def test_with_the_ban_off_only_the_refused_reply_is_banned(database: Database) -> None:
    rooms = Rooms(database, params=SamplingParams(top_k=1, no_repeat_own_ngram_size=0))
    await talk(rooms, said("hello", 1))
    rooms.engine.script = lambda _: ["I saw a big dog"]
    with pytest.raises(NoFitReplyError):
        await talk(rooms, said("I saw a big dog", 2))
    first, second, _ = rooms.engine.asked[-3:]
    assert (first.params.no_repeat_own_ngram_size, second.params.no_repeat_own_ngram_size) == (0, 4)
    assert second.own_ids == (tuple(ByteTokenizer().encode("I saw a big dog")),)


async def test_the_same_question_may_get_the_same_answer(database: Database) -> None:
    answer, asked = "The capital of France is Paris.", "What is the capital of France?"
    rooms = Rooms(database)
    rooms.engine.script = lambda _: [answer]
    assert [await talk(rooms, said(asked, number)) for number in (1, 2, 3)] == [answer] * 3
    with pytest.raises(NoFitReplyError):
        await talk(rooms, said("And what is your favourite song?", 4))


async def test_an_echo_of_the_member_is_refused(database: Database) -> None:
    engine = ScriptedEngine()
    sentence = "I went to the market this morning"
    engine.script = lambda _: [[sentence, "What did you buy there?"][len(engine.asked) > 1]]
    rooms = Rooms(database, engine=engine)
    assert await talk(rooms, said(sentence, 1)) == "What did you buy there?"


async def test_the_best_of_several_candidates_is_chosen_and_the_rest_kept(
    database: Database,
) -> None:
    rooms = Rooms(database)
    rooms.engine.script = lambda _: ["", "This one is fit, as is", "the other one."]
    assert await talk(rooms, said("hello", 1)) == "This one is fit, as is"


async def test_the_scores_of_all_candidates_are_stored_with_the_turn(database: Database) -> None:
    rooms = Rooms(database, params=SamplingParams(num_candidates=4))
    rooms.engine.script = lambda _: ["I said hello", "This one is fit.", "", "And that one is."]
    assert await talk(rooms, said("I said hello to you", 1)) == "This one is fit."
    with closing(sqlite3.connect(str(database.address.path))) as connection:
        chosen = connection.execute("SELECT role, scores FROM turn ORDER BY id").fetchall()
        others = connection.execute("SELECT scores FROM candidate ORDER BY rank").fetchall()
    assert [role for role, _ in chosen] == ["user", "bot"]
    assert chosen[0][1] is None
    names = {"mean_logprob", "mean_logprob_alone", "num_tokens", "score"}
    scores = json.loads(chosen[1][1])
    assert scores.keys() == names
    assert (scores["mean_logprob"], scores["mean_logprob_alone"]) == (-1, -1)
    assert [json.loads(one).get("fault") for (one,) in others] == [None, "echo", "empty"]
    assert json.loads(others[0][0]).keys() == names


async def test_one_candidate_is_remembered_with_its_likelihood_and_costs_no_scoring(
    database: Database,
) -> None:
    class Unasked(ScriptedEngine):
        async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
            raise AssertionError(passages)

    rooms = Rooms(database, engine=Unasked())
    await talk(rooms, said("hello", 1))
    with closing(sqlite3.connect(str(database.address.path))) as connection:
        [(scores,)] = connection.execute("SELECT scores FROM turn WHERE role = 'bot'").fetchall()
    assert json.loads(scores) == {"mean_logprob": -1.0}


async def test_a_full_device_memory_is_met_with_a_smaller_context_once(database: Database) -> None:
    class FullOnce(ScriptedEngine):
        async def generate(self, request: GenerationRequest) -> list[Completion]:
            if not self.asked:
                self.asked.append(request)
                raise EngineMemoryError
            return await super().generate(request)

    rooms = Rooms(database, num_tokens=64)
    for number in range(3):
        await talk(rooms, said(f"line {number}", number + 1))
    again = Rooms(database, engine=FullOnce(lambda _: ["Quite another thing."]), num_tokens=64)
    await talk(again, said("and now?", 9))
    large, small = (len(request.prompt_ids) for request in again.engine.asked)
    assert small < large


async def test_an_erasure_between_two_draws_leaves_nothing_of_the_second_to_be_kept(
    database: Database,
) -> None:
    """Both were made of the turns from before it; see Engine.forget."""
    engine = ScriptedEngine()

    def script(request: GenerationRequest) -> list[str]:
        if len(engine.asked) == 1:
            rooms.erasures.note()
            return [""]
        return engine._numbered(request)

    engine.script = script
    rooms = Rooms(database, engine=engine)
    await talk(rooms, said("hello there", 1))
    await talk(rooms, said("and now?", 2))
    assert [request.num_erasures for request in engine.asked] == [0, 0, 1]


async def test_without_chance_the_next_best_reply_is_made_and_the_same_each_time(
    tmp_path: Path,
) -> None:
    folder = make_tiny_gpt2(tmp_path / "model")
    refused: list[str] = []
    async with AsyncExitStack() as stack:
        engine = await open_engine(folder, model="tiny", device="cpu", dtype="float32")
        stack.push_async_callback(engine.close)
        tokenizer = await open_tokenizer(folder)
        stack.push_async_callback(tokenizer.close)
        maker = ReplyMaker(
            engine=engine,
            tokenizer=tokenizer,
            budget=ContextBudget(64, 8),
            deadline_seconds=60,
            is_blocked=lambda text: text in refused,
        )

        async def answer() -> Answer:
            greedy = SamplingParams(top_k=1, max_new_tokens=8)
            return await maker.answer(said("hello there", 1), (), greedy, Cancellation())

        best = await answer()
        refused.append(best.text)
        next_best = [await answer() for _ in range(2)]
    assert {answer.text for answer in next_best} == {next_best[0].text} != {best.text}
    assert next_best[0].params.top_k == 1
