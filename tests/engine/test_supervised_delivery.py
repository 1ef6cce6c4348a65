"""A whole conversation over a real database, in which the engine's thread hangs."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from torch import Tensor

from bot.dialogue.turn import Scope
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
from bot.engine.supervision import SupervisedEngine
from bot.errors import EngineStuckError, ModelError, NoFitReplyError
from bot.store.database.database import Database
from tests.engine.running import SHORT
from tests.engine.supervised import Opener
from tests.rooms import Rooms, answered, said, settled

LETTERS = [ord(letter) for letter in "abcdefghijklmnopqrstuvwxyz "]


class Letters(Opener):
    """Its networks say nothing but letters."""

    async def supervised(self) -> SupervisedEngine:
        engine = await super().supervised()
        self.networks[-1].after.append(only_letters)
        return engine


def only_letters(_: Sequence[Piece], logits: Tensor) -> None:
    letters = logits[:, LETTERS].clone()
    logits.fill_(-100.0)
    logits[:, LETTERS] = letters


def rooms_with(database: Database, engine: SupervisedEngine) -> Rooms:
    params = replace(SHORT, seed=None, temperature=1.5, max_new_tokens=20, min_new_tokens=10)
    return Rooms(database, engine=engine, params=params)  # type: ignore[arg-type]  # a real engine instead of the scripted one


@pytest.fixture
def opener(loaded_gpt2: LoadedGpt2) -> Iterator[Opener]:
    # The rooms' tokenizer has a token for each byte: another vocabulary than the model's.
    opener = Letters(replace(loaded_gpt2, letters=None))
    yield opener
    opener.close()


async def test_every_message_is_answered_once_although_the_engine_hung(
    database: Database, opener: Opener
) -> None:
    engine = await opener.supervised()
    rooms = rooms_with(database, engine)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    hang = opener.hang()
    for number in (2, 3, 4):  # 2 and 4 are being answered, 3 waits behind 2
        rooms.delivery.accept(said(f"message {number}", number, scope=Scope(500 + number // 4)))
    await hang.until_reached()
    opener.may_open.clear()
    await opener.looks.until(lambda: not engine._settled.is_set())
    rooms.delivery.accept(said("message 5", 5, scope=Scope(505)))  # while there is no engine
    opener.may_open.set()
    await rooms.courier.wait_for(5)
    await settled(rooms)
    assert sorted(answered(rooms)) == [1, 2, 3, 4, 5]
    texts = {part.text for part in rooms.courier.sent}
    assert texts.isdisjoint({str(EngineStuckError())})
    assert len(texts - {str(NoFitReplyError())}) >= 1
    assert await rooms.inbox.unfinished() == []
    hang.release()
    await engine.close()


async def test_a_message_over_which_two_engines_hang_gets_a_sentence_and_the_next_a_reply(
    database: Database, opener: Opener
) -> None:
    engine = await opener.supervised()
    rooms = rooms_with(database, engine)
    await rooms.delivery.start(rooms.courier)
    hangs = [opener.hang()]
    rooms.delivery.accept(said("hello", 1))
    await hangs[0].until_reached()
    opener.may_open.clear()
    await opener.looks.until(lambda: not engine._settled.is_set())
    opener.may_open.set()
    while len(opener.networks) < 2:  # noqa: ASYNC110  # there is nothing else to wait for
        await asyncio.sleep(0)
    hangs.append(opener.hang())
    await hangs[1].until_reached()
    await opener.looks.until(lambda: len(rooms.courier.sent) == 1)
    assert rooms.courier.sent[0].text == str(EngineStuckError())
    rooms.delivery.accept(said("are you there?", 2))
    await rooms.courier.wait_for(2)
    await settled(rooms)
    assert answered(rooms) == [1, 2]
    assert await rooms.inbox.unfinished() == []
    for hang in hangs:
        hang.release()
    await engine.close()


async def test_where_no_engine_can_be_opened_the_messages_stay_for_the_next_start(
    database: Database, opener: Opener
) -> None:
    engine = await opener.supervised()
    rooms = rooms_with(database, engine)
    await rooms.delivery.start(rooms.courier)
    hang = opener.hang()
    opener.faults = [ModelError("The memory is full.")]
    rooms.delivery.accept(said("hello", 1))
    rooms.delivery.accept(said("and me", 2, scope=Scope(501)))
    await hang.until_reached()
    await opener.looks.until(rooms.delivery.broken.is_set)
    await settled(rooms)
    assert rooms.courier.sent == []
    assert [entry.said.message_id for entry in await rooms.inbox.unfinished()] == [1, 2]
    hang.release()
    await engine.close()
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await later.courier.wait_for(2)
    await settled(later)
    assert sorted(answered(later)) == [1, 2]
