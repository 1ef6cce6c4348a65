"""The ladder of tries towards a fit reply; on a real database."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import Completion, GenerationRequest, Passage
from bot.errors import EngineMemoryError, NoFitReplyError
from bot.store.database.database import Database
from tests.answering.test_conversation import prompt_of, talk
from tests.fakes import ScriptedEngine
from tests.rooms import CHANNEL, Rooms, said


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
