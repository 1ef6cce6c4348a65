"""What was written while the bot was away is answered at the next start, once."""

import asyncio
import logging
from datetime import timedelta

import pytest
import simcord

from bot.client.chat_bot import ChatBot
from bot.client.discord_clock import DiscordClock
from bot.delivery.ports import Courier
from bot.settings.settings import Settings
from bot.store.database.database import Database
from bot.store.privacy import SqlPrivacy
from tests.cogs.stage import Stage, build_services

AWAY = "written while I was away"


class Absence:
    """Lets the bot stop, the people go on, and the bot start again on the same database."""

    def __init__(self, stage: Stage, database: Database, patch: pytest.MonkeyPatch) -> None:
        self._stage = stage
        self._database = database
        self._patch = patch

    async def begin(self) -> None:
        await self._stage.services.delivery.stop(5.0)
        await self._stage.bot.close()

    def say(self, text: str, *, who: simcord.MemberActor | None = None, channel: int = 0) -> int:
        """Something that mentions the bot; the id of the message."""
        author = (who or self._stage.alice).id
        place = channel or self._stage.channel.id
        backend = self._stage.env.backend
        return int(backend.create_message(place, author, f"{self._stage.us} {text}").id)

    async def end(self, **overrides: object) -> None:
        settings = Settings.model_validate({"cooldown_seconds": 0, **overrides})
        clock = DiscordClock(host=self._stage.env.now)
        services = build_services(
            self._database, self._stage.engine, settings, clock=self._stage.env.now
        )
        begin, begun = services.delivery.start, asyncio.Event()

        async def start(courier: Courier) -> None:
            await begin(courier)
            begun.set()

        self._patch.setattr(services.delivery, "start", start)
        self._stage.bot = ChatBot(services, clock=clock)
        await self._stage.env.restart_bot(self._stage.bot)
        await begun.wait()
        await self._stage.env.settle()


@pytest.fixture
async def absence(stage: Stage, database: Database, monkeypatch: pytest.MonkeyPatch) -> Absence:
    """#general was spoken in before."""
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    return Absence(stage, database, monkeypatch)


def answered(stage: Stage, channel: simcord.ChannelHandle | None = None) -> list[int]:
    """The messages that have a reply of ours, in the order of the replies."""
    return [one.reference.message_id or 0 for one in stage.ours(channel) if one.reference]


async def erase(stage: Stage, database: Database) -> None:
    """/mydata erase of Alice, by the clock of the simulated Discord."""
    age = timedelta(minutes=stage.services.settings.catch_up_minutes)
    await SqlPrivacy(database, mark_age=age, clock=stage.env.now).erase(stage.alice.id)


async def test_what_mentions_us_is_answered_in_order_and_once(
    stage: Stage, absence: Absence
) -> None:
    first = answered(stage)
    await absence.begin()
    missed = [absence.say(f"number {number}") for number in range(3)]
    stage.env.backend.create_message(stage.channel.id, stage.alice.id, "not for the bot")
    await absence.end()
    assert answered(stage) == [*first, *missed]
    await absence.begin()
    await absence.end()
    assert answered(stage) == [*first, *missed]
    assert not any("not for the bot" in prompt for prompt in stage.prompts())


async def test_a_reply_to_us_and_a_direct_message_are_found(stage: Stage, absence: Absence) -> None:
    await stage.alice.send_dm("hello")
    (ours,) = stage.ours()
    await absence.begin()
    backend, dm = stage.env.backend, stage.alice.user.dm_channel
    reply = backend.create_message(
        stage.channel.id,
        stage.alice.id,
        f"{stage.us} and?",
        reference={"message_id": str(ours.id), "channel_id": str(stage.channel.id)},
    )
    private = backend.create_message(dm.id, stage.alice.id, "are you there?")
    await absence.end()
    assert answered(stage)[1:] == [reply.id]
    assert answered(stage, dm)[1:] == [private.id]


async def test_what_was_answered_without_a_database_is_not_answered_again(
    stage: Stage, absence: Absence, database: Database
) -> None:
    """No row knows it: our message that refers to it does."""
    await absence.begin()
    question = absence.say("hello?")
    assert stage.bot.user is not None
    reference = {"message_id": str(question), "channel_id": str(stage.channel.id)}
    stage.env.backend.create_message(
        stage.channel.id, stage.bot.user.id, "hi!", reference=reference
    )
    await absence.end()
    assert answered(stage)[1:] == [question]
    assert len(stage.engine.asked) == 1


async def test_after_an_erasure_there_is_silence(
    stage: Stage, absence: Absence, database: Database
) -> None:
    question, answer = stage.channel.history()[0], stage.ours()[0]
    await erase(stage, database)
    stage.env.backend.delete_message(stage.channel.id, answer.id)
    await stage.env.settle()
    await absence.begin()
    await absence.end()
    assert question.id in {one.id for one in stage.channel.history()}
    assert stage.ours() == []
    assert len(stage.engine.asked) == 1


async def test_a_member_who_was_told_to_send_it_again_is_not_answered_later(
    stage: Stage, absence: Absence, database: Database
) -> None:
    await absence.begin()
    await absence.end(cooldown_seconds=600)
    await stage.alice.send(stage.channel, f"{stage.us} one")
    await stage.alice.send(stage.channel, f"{stage.us} two, too soon")
    for notice in stage.ours()[2:]:
        stage.env.backend.delete_message(stage.channel.id, notice.id)
    before = answered(stage)[:2]
    await absence.begin()
    await absence.end()
    assert answered(stage) == before
    assert not any("too soon" in prompt for prompt in stage.prompts())


async def test_the_newest_of_a_member_and_of_all_are_answered_and_the_rest_is_closed(
    stage: Stage, absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    bob = stage.member("bob")
    first = answered(stage)
    await absence.begin()
    hers = [absence.say(f"number {number}") for number in range(4)]
    his = [absence.say(f"number {number}", who=bob) for number in range(2)]
    with caplog.at_level(logging.INFO):
        await absence.end(max_pending_per_user=2, max_queue=3)
    assert answered(stage) == [*first, hers[3], *his]
    told = [one.getMessage() for one in caplog.records if "passed over" in one.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("3 messages")
    assert stage.texts()[1:] == [text for text in stage.texts()[1:] if text.startswith("reply")]
    await absence.begin()
    await absence.end()
    assert answered(stage) == [*first, hers[3], *his]


async def test_the_lists_of_the_settings_hold_for_it_roles_too(
    stage: Stage, absence: Absence
) -> None:
    role = stage.guild.create_role("Friends")
    friend = stage.member("friend", roles=[role])
    first = answered(stage)
    await absence.begin()
    absence.say("hello")
    welcome = absence.say("hello", who=friend)
    await absence.end(allowed_role_ids=[role.id])
    assert answered(stage) == [*first, welcome]


async def test_with_0_minutes_nothing_is_looked_at(stage: Stage, absence: Absence) -> None:
    first = answered(stage)
    await absence.begin()
    absence.say("hello?")
    before = len(stage.env.http_requests)
    await absence.end(catch_up_minutes=0)
    assert answered(stage) == first
    read = [one for one in stage.env.http_requests[before:] if one.path.endswith("/messages")]
    assert read == []


async def test_a_channel_that_may_not_be_read_is_passed_by(stage: Stage, absence: Absence) -> None:
    other = stage.guild.create_text_channel("other")
    await stage.alice.send(other, f"{stage.us} hello")
    await absence.begin()
    missed = absence.say("hello?")
    stage.env.inject_error(
        "GET", f"/channels/{other.id}/messages", status=403, code=50001, times=None
    )
    await absence.end()
    assert answered(stage)[1:] == [missed]


async def test_many_channels_cost_fifty_requests_at_most(
    stage: Stage, absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(60):
        other = stage.guild.create_text_channel(f"other-{number}")
        await stage.alice.send(other, f"{stage.us} hello")
    await absence.begin()
    before = len(stage.env.http_requests)
    await absence.end(max_queue=100)
    read = [one for one in stage.env.http_requests[before:] if one.method == "GET"]
    assert len([one for one in read if one.path.endswith("/messages")]) == 50


async def test_a_message_is_taken_in_once_although_its_event_comes_as_well(
    stage: Stage, absence: Absence
) -> None:
    await absence.begin()
    missed = absence.say("hello?")
    await absence.end()
    payload = next(
        dict(one)
        for _, name, one in stage.env.backend.transcript
        if name == "MESSAGE_CREATE" and one["id"] == str(missed)
    )
    stage.env.backend.emit("MESSAGE_CREATE", payload)
    await stage.env.settle()
    assert answered(stage)[1:] == [missed]


@pytest.mark.parametrize("first", ["hello", ""], ids=["said to others", "a bare mention"])
async def test_an_edit_that_first_speaks_to_us_is_answered_once(stage: Stage, first: str) -> None:
    written = first or stage.us
    message = await stage.alice.send(stage.channel, written)
    await stage.alice.edit(message, f"{stage.us} how are you?")
    await stage.alice.edit(message, f"{stage.us} how are you today?")
    replies = [one for one in stage.ours() if one.content.startswith("reply")]
    assert [one.reference.message_id for one in replies if one.reference] == [message.id]
    assert stage.prompts()[-1].endswith("how are you?␄")


@pytest.mark.parametrize("overrides", [{"cooldown_seconds": 600}])
async def test_an_edit_that_speaks_to_us_counts_as_a_message(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    message = await stage.alice.send(stage.channel, "hello")
    await stage.alice.edit(message, f"{stage.us} hello again")
    assert stage.texts()[-1].startswith("One moment")
    assert len(stage.engine.asked) == 1


async def test_an_old_message_that_is_edited_is_not_answered(stage: Stage) -> None:
    message = await stage.alice.send(stage.channel, "hello")
    await stage.env.advance_time(31 * 60)
    await stage.alice.edit(message, f"{stage.us} hello")
    assert stage.posts() == []


async def test_an_edit_of_an_erased_message_is_not_answered(
    stage: Stage, absence: Absence, database: Database
) -> None:
    message = await stage.alice.send(stage.channel, f"{stage.us} hello")
    await erase(stage, database)
    await absence.begin()
    await absence.end()
    await stage.alice.edit(message, f"{stage.us} hello again")
    assert len(stage.engine.asked) == 2
