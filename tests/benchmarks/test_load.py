"""What a load of many people counts."""

from datetime import UTC, datetime

import pytest

from benchmarks.load import Heard, Spoken, waits_of
from tests.discord_server.state import Channel, ChannelType, Message, Reference, User

ROOM = Channel(1, ChannelType.TEXT, "room")
BOT = User(2, "banter", bot=True)


def sent(nonce: str, answers: int | None) -> Message:
    reference = None if answers is None else Reference(ROOM.id, answers)
    return Message(
        9, ROOM, BOT, "hm", datetime.now(UTC), reference=reference, nonce=nonce
    )  # fmt: skip


def test_a_part_that_comes_twice_is_doubled_and_a_second_part_is_not() -> None:
    heard = Heard()
    assert heard.take(sent("r7-0", 7), 1.0) == 7
    assert heard.take(sent("r7-1", 7), 2.0) == 7
    assert heard.num_doubled == 0
    heard.take(sent("r7-0", 7), 3.0)
    assert heard.num_doubled == 1
    assert heard.answered_at == {7: 1.0}


def test_a_sentence_is_no_reply() -> None:
    heard = Heard()
    assert heard.take(sent("n7", 7), 1.0) is None
    assert (heard.num_sentences, heard.answered_at) == (1, {})


def test_what_the_engine_took_in_the_same_channel_is_not_everybody_elses() -> None:
    heard = Heard()
    heard.take(sent("r7-0", 7), 10.0)
    calls = [(1, 8.0, 1.5), (1, 7.0, 1.0), (5, 8.0, 2.0)]  # the second began for somebody before
    waits = waits_of([Spoken(7, 1, 7.5), Spoken(8, 1, 7.5)], heard, calls)
    assert waits.total == [pytest.approx(2500)]
    assert waits.others == [pytest.approx(500)]
