"""What Discord reports once, while another program holds the database; over a stop and a start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import bot.delivery.facts
from bot.answering.ports import Draft, Head
from bot.delivery.facts import LONGEST_PAUSE_SECONDS
from bot.dialogue.turn import Exchange
from bot.store.database.database import Database
from bot.store.database.tables import turn
from bot.store.upkeep.opening import open_database
from tests.delivery.holding import held_by_another
from tests.rooms import CHANNEL, Rooms, answered, idle, said, settled
from tests.store.talk import count, talk, texts


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """One that waits a moment only for another program."""
    database = await open_database(
        f"sqlite+aiosqlite:///{tmp_path}/banter.db",
        history_key=None,
        key_path=tmp_path / "key",
        busy_seconds=0.1,
    )
    yield database
    await database.close()


class Gate:
    """A pause that lasts until the test opens it."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


async def remembered(rooms: Rooms) -> list[str]:
    """What can be read in the channel."""
    head = await rooms.history.head(CHANNEL)
    return [] if head.turn_id is None else texts(await rooms.history.path(head.turn_id, 99))


async def repeated(rooms: Rooms) -> None:
    """Return when no fact waits any more."""
    while rooms.facts_path.exists():  # noqa: ASYNC110  # there is nothing else to wait for
        await asyncio.sleep(0)


async def test_a_deletion_is_repeated_when_the_database_can_be_written_again(
    database: Database,
) -> None:
    gate = Gate()
    rooms = Rooms(database, pause=gate)
    await talk(rooms.history, said("my secret", 1))
    with held_by_another(database):
        await rooms.delivery.withdraw([1])
        assert rooms.erasures.num == 1
        assert await remembered(rooms) == ["my secret", "hi"]
    gate.open()
    await repeated(rooms)
    assert await remembered(rooms) == []
    assert rooms.erasures.num == 2


async def test_a_memory_that_takes_each_change_is_used_while_it_does(database: Database) -> None:
    """What is being changed is not away: only a change that failed keeps the memory out."""
    rooms = Rooms(database, pause=Gate())
    seen: list[bool] = []

    async def change(message_id: int) -> None:
        await rooms.facts.withdraw([message_id])
        seen.append(rooms.erasures.are_due)

    await asyncio.gather(*(change(message_id) for message_id in range(1, 6)))
    assert seen == [False] * 5
    await talk(rooms.history, said("old words", 9))
    with held_by_another(database):
        await rooms.facts.revise(9, "newer words")
        assert rooms.erasures.are_due


async def test_of_two_edits_the_newer_one_counts_and_a_deletion_is_final(
    database: Database,
) -> None:
    gate = Gate()
    rooms = Rooms(database, pause=gate)
    for message_id in (1, 2, 3):
        await talk(rooms.history, said("old words", message_id), text=f"reply {message_id}")
    with held_by_another(database):
        assert await rooms.facts.revise(1, "newer words")
        assert await rooms.facts.revise(1, "newest words")
        assert await rooms.facts.revise(2, "newer words")
        assert await rooms.facts.withdraw([2])
        assert await rooms.facts.withdraw([3])
        assert await rooms.facts.revise(3, "newer words")
    gate.open()
    await repeated(rooms)
    assert await remembered(rooms) == ["newest words", "reply 1"]


async def test_an_edit_that_stands_at_once_is_not_overtaken_by_an_older_one(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await talk(rooms.history, said("old words", 1))
    with held_by_another(database):
        older = asyncio.create_task(rooms.facts.revise(1, "newer words"))
        await asyncio.sleep(0)
        newer = asyncio.create_task(rooms.facts.revise(1, "newest words"))
        await asyncio.wait({older})
    await asyncio.wait({newer})
    await repeated(rooms)
    assert await remembered(rooms) == ["newest words", "hi"]


async def test_what_goes_while_its_exchange_is_stored_goes_once_more(database: Database) -> None:
    gate = Gate()
    rooms = Rooms(database, pause=gate)
    assert not await rooms.facts.withdraw([1], under_way=[1])
    assert not await rooms.facts.revise(2, "newest words", under_way=[2])
    await talk(rooms.history, said("my secret", 1))
    await talk(rooms.history, said("old words", 2))
    rooms.facts.ended(1)
    rooms.facts.ended(2)
    await rooms.facts.stop()
    assert await remembered(rooms) == ["newest words", "hi"]
    assert not rooms.facts_path.exists()


async def test_a_channel_that_goes_while_an_exchange_of_it_is_stored_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = Rooms(database)
    store = rooms.history.remember

    async def remember(draft: Draft, expected: Head) -> Exchange:
        await rooms.delivery.forget_channel(CHANNEL.channel_id)
        return await store(draft, expected)

    monkeypatch.setattr(rooms.history, "remember", remember)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("my secret", 1))
    await idle(rooms)
    await rooms.delivery.stop(within_seconds=5)
    assert await count(database, turn) == 0


@pytest.mark.parametrize("change", ["deletion", "edit"])
async def test_what_could_not_be_stored_before_a_stop_goes_at_the_next_start(
    database: Database, change: str
) -> None:
    rooms = Rooms(database, pause=Gate())
    await talk(rooms.history, said("my secret", 1))
    with held_by_another(database):
        if change == "edit":
            await rooms.delivery.revise(1, "my other secret")
        else:
            await rooms.delivery.withdraw([1])
        await rooms.delivery.stop(within_seconds=5)
    assert rooms.facts_path.read_text() == "withdraw 1\n"
    assert rooms.facts_path.stat().st_mode & 0o777 == 0o600

    again = rooms.restart()
    again.delivery.accept(said("what was it?", 2))
    await again.delivery.start(again.courier)
    await again.courier.wait_for(1)
    [asked] = again.engine.asked
    assert b"secret" not in bytes(one for one in asked.prompt_ids if one < 256)
    await settled(again)
    assert not again.facts_path.exists()


async def test_a_place_that_went_before_a_stop_goes_at_the_next_start(database: Database) -> None:
    rooms = Rooms(database, pause=Gate())
    await talk(rooms.history, said("in the server", 1))
    with held_by_another(database):
        await rooms.delivery.forget_server(1, [500, 501])
        await rooms.delivery.forget_channel(600)
        await rooms.delivery.stop(within_seconds=5)
    assert rooms.facts_path.read_text() == "server 1 500 501\nchannel 600\n"
    again = rooms.restart()
    await again.delivery.start(again.courier)
    assert await count(database, turn) == 0
    await settled(again)


async def test_what_is_reported_before_the_start_takes_nothing_from_the_file(
    database: Database,
) -> None:
    rooms = Rooms(database, pause=Gate())
    for message_id in (1, 2):
        await talk(rooms.history, said("my secret", message_id))
    rooms.facts_path.write_text("withdraw 1\n")
    with held_by_another(database):
        await rooms.delivery.withdraw([2])
        assert rooms.facts_path.read_text().splitlines() == ["withdraw 2", "withdraw 1"]
        await rooms.delivery.start(rooms.courier)
        await rooms.delivery.stop(within_seconds=5)
    again = rooms.restart()
    await again.delivery.start(again.courier)
    assert await remembered(again) == []
    await settled(again)


async def test_of_a_damaged_file_the_readable_lines_count(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = Rooms(database)
    for message_id in (1, 2, 3):
        await talk(rooms.history, said(f"words {message_id}", message_id))
    damaged = b"withdraw 1\n\xff\x00\xff\nwithdraw\nwithdraw -3\nwithdraw " + b"9" * 30
    rooms.facts_path.write_bytes(damaged + b"\nforget 3\nserver 0\nwithdraw 2\nwithd")
    await rooms.delivery.start(rooms.courier)
    assert await remembered(rooms) == ["words 3", "hi"]
    assert [one.name for one in caplog.records] == ["bot.store.fact_file"]
    assert not rooms.facts_path.exists()
    await settled(rooms)


async def test_a_file_that_cannot_be_written_is_told_of_once_and_keeps_nothing_from_standing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    rooms = Rooms(database, pause=gate)
    rooms.facts_path.with_name(f"{rooms.facts_path.name}.new").mkdir()
    await talk(rooms.history, said("my secret", 1))
    await talk(rooms.history, said("my other secret", 2))
    with held_by_another(database):
        await rooms.delivery.withdraw([1])
        await rooms.delivery.withdraw([2])
    gate.open()
    while await remembered(rooms):
        pass
    assert caplog.text.count("cannot be noted") == 1
    await settled(rooms)


async def test_the_pauses_grow_to_some_seconds_and_end_with_the_bot(database: Database) -> None:
    async def pause(seconds: float) -> None:
        if seconds == LONGEST_PAUSE_SECONDS:
            longest.set()

    longest = asyncio.Event()
    rooms = Rooms(database, pause=pause)
    await talk(rooms.history, said("my secret", 1))
    with held_by_another(database):
        await rooms.delivery.withdraw([1])
        await longest.wait()
        await rooms.delivery.stop(within_seconds=5)
    assert rooms.pauses[:5] == [0.5, 1.0, 2.0, 4.0, LONGEST_PAUSE_SECONDS]
    assert [one.get_name() for one in asyncio.all_tasks() if one.get_name() == "facts"] == []


async def test_an_outage_of_days_keeps_the_newest_facts(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bot.delivery.facts, "NUM_KEPT", 2)
    rooms = Rooms(database, pause=Gate())
    await database.close()
    await rooms.delivery.withdraw([1, 2, 3, 4])
    assert rooms.facts_path.read_text() == "withdraw 3\nwithdraw 4\n"
    assert caplog.text.count("the oldest are given up") == 1
    await settled(rooms)


async def test_an_edit_of_what_was_just_stored_is_repeated_while_its_reply_goes_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, lock = Gate(), ExitStack()
    rooms = Rooms(database, pause=gate)
    store = rooms.history.remember

    async def remember(draft: Draft, expected: Head) -> Exchange:
        exchange = await store(draft, expected)
        lock.enter_context(held_by_another(database))
        await rooms.delivery.revise(1, "I live in Seoul")
        return exchange

    monkeypatch.setattr(rooms.history, "remember", remember)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("I live in Soeul", 1))
    await idle(rooms)
    assert (await remembered(rooms))[0] == "I live in Soeul"
    lock.close()
    gate.open()
    await repeated(rooms)
    await settled(rooms)
    assert answered(rooms) == [1]
    assert (await remembered(rooms))[0] == "I live in Seoul"
