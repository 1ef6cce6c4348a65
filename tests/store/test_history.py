"""The tree's rules, on both databases."""

import asyncio
import random
from datetime import timedelta

import pytest

from bot.answering.ports import Head, Rejected, ScopeStatus
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Scope
from bot.errors import ScopeMovedError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from tests.store.talk import (
    ANNA,
    CHANNEL,
    GUILD,
    NOON,
    Clock,
    count,
    draft,
    rows,
    said,
    talk,
    texts,
)


async def test_a_scope_that_nobody_used_has_an_empty_head(history: SqlHistory) -> None:
    assert await history.head(CHANNEL) == Head()


async def test_the_path_holds_the_exchanges_oldest_first(history: SqlHistory) -> None:
    await talk(history, said(1, "one"), "eins")
    last = await talk(history, said(2, "two"), "zwei")
    path = await history.path(last.bot.turn_id, 10)
    assert texts(path) == ["one", "eins", "two", "zwei"]
    assert [turn.role for turn in path] == [Role.USER, Role.BOT] * 2
    assert [turn.author_id for turn in path] == [ANNA, None] * 2
    assert path[2:] == [last.user, last.bot]


async def test_all_replies_of_a_path_are_counted_also_those_that_are_blank(
    history: SqlHistory,
) -> None:
    first = await talk(history, said(1))
    second = await talk(history, said(2))
    last = await talk(history, said(3))
    branch = await talk(history, said(4), parent_id=first.bot.turn_id)
    await history.withdraw([2])
    counts = [
        await history.num_replies(turn.turn_id)
        for turn in (first.user, first.bot, second.user, last.bot, branch.bot)
    ]
    assert counts == [0, 1, 1, 3, 2]


async def test_the_head_is_the_newest_bot_turn(history: SqlHistory, clock: Clock) -> None:
    clock.move(minutes=3)
    exchange = await talk(history, said(1))
    assert await history.head(CHANNEL) == Head(exchange.bot.turn_id, 0, NOON + timedelta(minutes=3))


async def test_everything_of_a_draft_is_stored(database: Database, history: SqlHistory) -> None:
    params = SamplingParams(temperature=0.5, seed=3)
    rejected = (Rejected("echo", {"fault": "echo", "score": -1.5}), Rejected("loop", {}))
    made = {"params": params, "rejected": rejected, "seed": 2**40, "scores": {"score": -0.5}}
    await talk(history, said(1, "question"), "answer", **made)
    user, bot = await rows(database, tables.turn)
    assert (user["role"], user["text"], user["source_message_id"]) == ("user", b"question", 1)
    assert (user["guild_id"], user["origin"], user["num_tokens"]) == (GUILD, "discord", 3)
    assert user["created_at"] == NOON
    assert (bot["parent_id"], bot["text"], bot["seed"]) == (user["id"], b"answer", 2**40)
    assert (bot["model"], bot["revision"], bot["finish_reason"]) == ("tiny", "main", "stop")
    assert (bot["num_tokens"], bot["num_prompt_tokens"], bot["latency_ms"]) == (2, 4, 12)
    assert SamplingParams(**bot["params"]) == params
    assert (user["scores"], bot["scores"]) == (None, {"score": -0.5})
    stored = await rows(database, tables.candidate)
    assert [(row["rank"], row["text"], row["scores"]) for row in stored] == [
        (1, b"echo", {"fault": "echo", "score": -1.5}),
        (2, b"loop", {}),
    ]


async def test_a_prompt_that_began_with_the_utterance_starts_there(history: SqlHistory) -> None:
    first = await talk(history, said(1))
    second = await talk(history, said(2), context_start_id=first.user.turn_id)
    assert first.bot.context_start_id == first.user.turn_id
    assert second.bot.context_start_id == first.user.turn_id


async def test_a_reply_for_a_head_that_has_moved_is_not_stored(
    database: Database, history: SqlHistory
) -> None:
    stale = await history.head(CHANNEL)
    await talk(history, said(1))
    with pytest.raises(ScopeMovedError):
        await history.remember(draft(said(2)), stale)
    assert await count(database, tables.turn) == 2


async def test_a_reply_that_was_made_of_erased_words_is_not_stored(
    database: Database, history: SqlHistory
) -> None:
    first = await talk(history, said(1), "two")
    head = await history.head(CHANNEL)
    ids = (first.user.turn_id, first.bot.turn_id)
    await history.withdraw([1])
    with pytest.raises(ScopeMovedError):
        await history.remember(draft(said(2), parent_id=head.turn_id, made_of_ids=ids), head)
    assert await count(database, tables.turn) == 2
    await history.remember(draft(said(2), parent_id=head.turn_id), head)
    assert await count(database, tables.turn) == 4


async def test_of_two_replies_at_once_one_is_stored(
    database: Database, history: SqlHistory
) -> None:
    head = await history.head(CHANNEL)
    results = await asyncio.gather(
        *(history.remember(draft(said(number)), head) for number in (1, 2)), return_exceptions=True
    )
    assert sum(isinstance(result, ScopeMovedError) for result in results) == 1
    assert await count(database, tables.turn) == 2


async def test_a_reply_from_before_a_reset_is_not_stored(history: SqlHistory) -> None:
    before = await history.head(CHANNEL)
    await history.reset(CHANNEL)
    with pytest.raises(ScopeMovedError):
        await history.remember(draft(said(1)), before)
    assert await history.head(CHANNEL) == Head(None, 1)


async def test_a_reset_counts_and_empties_the_head_of_its_scope_only(history: SqlHistory) -> None:
    other = Scope(501)
    await talk(history, said(1))
    await talk(history, said(2, scope=other))
    await history.reset(CHANNEL)
    await history.reset(CHANNEL)
    assert await history.head(CHANNEL) == Head(None, 2)
    assert (await history.head(other)).turn_id is not None
    assert (await talk(history, said(3))).user.epoch == 2


async def test_members_of_one_channel_have_scopes_of_their_own(history: SqlHistory) -> None:
    anna, ben = Scope(500, 7), Scope(500, 8)
    await talk(history, said(1, "secret", scope=anna))
    last = await talk(history, said(2, "public", scope=ben))
    assert texts(await history.path(last.bot.turn_id, 9)) == ["public", "hi"]
    assert await history.head(CHANNEL) == Head()
    assert last.user.scope == ben


async def test_the_path_stops_at_the_number_of_turns(history: SqlHistory) -> None:
    for number in range(5):
        last = await talk(history, said(number + 1, str(number)), f"re {number}")
    assert texts(await history.path(last.bot.turn_id, 3)) == ["re 3", "4", "re 4"]
    assert texts(await history.path(last.bot.turn_id, 1)) == ["re 4"]
    assert await history.path(12345, 3) == []


async def test_answering_an_older_turn_begins_a_branch(history: SqlHistory) -> None:
    first = await talk(history, said(1, "root"), "trunk")
    await talk(history, said(2, "left"), "leaf")
    branch = await talk(history, said(3, "right"), "leaf", parent_id=first.bot.turn_id)
    assert texts(await history.path(branch.bot.turn_id, 9)) == ["root", "trunk", "right", "leaf"]


async def test_a_thread_continues_the_path_of_its_message(history: SqlHistory) -> None:
    first = await talk(history, said(1, "root"), "trunk")
    in_thread = said(2, "deeper", scope=Scope(1), parent_channel_id=CHANNEL.channel_id)
    deeper = await talk(history, in_thread, parent_id=first.bot.turn_id)
    assert texts(await history.path(deeper.bot.turn_id, 9)) == ["root", "trunk", "deeper", "hi"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Scope(501), Scope(500)),
        (Scope(500), Scope(500, 8)),
        (Scope(500, 7), Scope(500, 8)),
        (Scope(600, 7), Scope(500, 8)),
    ],
)
async def test_a_parent_in_another_scope_is_refused(
    history: SqlHistory, ours: Scope, theirs: Scope
) -> None:
    foreign = await talk(history, said(1, "secret", scope=theirs, author_id=8))
    parent_channel_id = 500 if ours.channel_id == 600 else None
    mine = said(2, scope=ours, parent_channel_id=parent_channel_id)
    with pytest.raises(ValueError, match="another scope"):
        await talk(history, mine, parent_id=foreign.bot.turn_id)


async def test_a_parent_that_is_gone_counts_as_moved(history: SqlHistory) -> None:
    with pytest.raises(ScopeMovedError):
        await history.remember(draft(said(1), parent_id=99), Head())


async def test_a_message_leads_to_its_turn(history: SqlHistory, inbox: SqlInbox) -> None:
    await inbox.record(said(1))
    exchange = await talk(history, said(1))
    await inbox.record_part(1, 0, 71)
    await inbox.record_part(1, 1, 72)
    assert await history.turn_of_message(1) == exchange.user
    assert await history.turn_of_message(71) == exchange.bot
    assert await history.turn_of_message(72) == exchange.bot
    assert await history.turn_of_message(73) is None


async def test_the_status_tells_what_is_remembered(history: SqlHistory, clock: Clock) -> None:
    assert await history.status(CHANNEL) == ScopeStatus(0, None, None)
    first = await talk(history, said(1))
    await history.reset(CHANNEL)
    assert await history.status(CHANNEL) == ScopeStatus(0, None, None)
    clock.move(hours=1)
    start = await talk(history, said(2, created_at=clock.now))
    await talk(history, said(3), context_start_id=start.user.turn_id, num_prompt_tokens=40)
    assert first.user.turn_id < start.user.turn_id
    assert await history.status(CHANNEL) == ScopeStatus(4, 40, clock.now)
    await history.withdraw([2])
    assert await history.status(CHANNEL) == ScopeStatus(2, 40, clock.now)


async def test_the_status_counts_what_the_newest_prompt_began_with(
    history: SqlHistory, clock: Clock
) -> None:
    for number in range(1, 4):
        await talk(history, said(number))
    clock.move(hours=2)
    await talk(history, said(4, created_at=clock.now), parent_id=None)  # after a long silence
    assert await history.status(CHANNEL) == ScopeStatus(2, 4, clock.now)


async def test_text_of_every_kind_comes_back_unchanged(history: SqlHistory) -> None:
    text = "한국어 👩‍👩‍👧 \u202eright to left '; DROP TABLE turn; --\n\t"
    exchange = await talk(history, said(1, text), text)
    assert texts(await history.path(exchange.bot.turn_id, 2)) == [text, text]


async def test_the_path_agrees_with_an_obvious_tree(history: SqlHistory) -> None:
    dice = random.Random(5)
    parents: dict[int, int | None] = {}
    words: dict[int, str] = {}
    bots: list[int] = []
    for number in range(1, 41):
        parent = dice.choice([None, *bots])
        exchange = await talk(history, said(number, f"q{number}"), f"a{number}", parent_id=parent)
        for turn in (exchange.user, exchange.bot):
            parents[turn.turn_id], words[turn.turn_id] = turn.parent_id, turn.text
        bots.append(exchange.bot.turn_id)
        if dice.random() < 0.2:
            await history.withdraw([number])
            words[exchange.user.turn_id] = words[exchange.bot.turn_id] = ""
    for turn_id in bots:
        limit = dice.randrange(1, 12)
        walk: list[int] = []
        step: int | None = turn_id
        while step is not None and len(walk) < limit:
            walk.append(step)
            step = parents[step]
        expected = [words[step] for step in reversed(walk) if words[step]]
        assert texts(await history.path(turn_id, limit)) == expected
