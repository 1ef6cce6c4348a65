"""What is answered: mentions, DMs and replies, in every kind of channel, once each."""

import asyncio

import discord
import pytest
from simcord.enums import MessageType

from tests.cogs.stage import Stage


async def test_a_mention_is_answered_with_a_reply_that_pings_nobody(stage: Stage) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} hello")
    (answer,) = stage.ours()
    assert answer.content == "reply two one"
    assert answer.reference is not None
    assert answer.reference.message_id == question.id
    (post,) = stage.posts()
    assert post["nonce"] == f"r{question.id}-0"
    assert post["allowed_mentions"] == {"parse": []}
    assert stage.prompts() == ["hello␄"]


async def test_the_next_prompt_holds_what_was_said_before(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    bob = stage.member("bob")
    await bob.send(stage.channel, f"{stage.us} and me?")
    assert stage.prompts()[1] == "hello␄reply two one␄and me?␄"


async def test_two_channels_see_nothing_of_each_other(stage: Stage) -> None:
    other = stage.guild.create_text_channel("other")
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    await stage.alice.send(other, f"{stage.us} what did I say?")
    assert stage.prompts()[1] == "what did I say?␄"
    assert len(stage.texts(other)) == 1


async def test_a_thread_continues_the_message_that_it_was_made_from(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    (answer,) = stage.ours()
    thread = stage.thread(answer.id)
    await stage.alice.send(thread, f"{stage.us} go on")
    assert stage.prompts()[1] == "hello␄reply two one␄go on␄"
    assert len(stage.texts(thread)) == 1
    assert len(stage.texts()) == 1


async def test_a_new_thread_starts_afresh(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    thread = stage.thread()
    await stage.alice.send(thread, f"{stage.us} hi")
    assert stage.prompts()[1] == "hi␄"


async def test_a_forum_post_is_answered_from_its_first_message(stage: Stage) -> None:
    forum = stage.guild.create_forum_channel("forum")
    backend = stage.env.backend
    thread = backend.create_thread(forum.id, "a question", stage.alice.id, broadcast=False)
    backend.announce_thread_create(thread)
    (post,) = forum.threads
    await stage.alice.send(post, f"{stage.us} what is best?")
    await stage.alice.send(post, f"{stage.us} and why?")
    assert len(stage.texts(post)) == 2
    assert stage.prompts()[1] == "what is best?␄reply two one␄and why?␄"


@pytest.mark.parametrize("kind", ["voice", "stage", "news"])
async def test_the_text_of_every_other_kind_of_channel_is_answered(stage: Stage, kind: str) -> None:
    create = getattr(stage.guild, f"create_{kind}_channel")
    channel = create("hall")
    await stage.alice.send(channel, f"{stage.us} hello")
    assert stage.texts(channel) == ["reply two one"]


async def test_a_direct_message_needs_no_mention(stage: Stage) -> None:
    await stage.alice.send_dm("hello")
    await stage.alice.send_dm("still there?")
    assert len(stage.texts(stage.alice.user.dm_channel)) == 2
    assert stage.prompts()[1] == "hello␄reply two one␄still there?␄"


async def test_a_reply_that_pings_us_continues_what_it_replies_to(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} one")
    first = stage.ours()[0]
    await stage.alice.send(stage.channel, f"{stage.us} two")
    await stage.alice.send(stage.channel, "no, the first", reply_to=first)
    assert stage.prompts()[2] == "one␄reply two one␄no, the first␄"


@pytest.mark.parametrize("overrides", [{"history": "member"}])
async def test_with_a_history_for_each_member_nobody_hears_another(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} my secret")
    await stage.member("bob").send(stage.channel, f"{stage.us} hi")
    assert stage.prompts()[1] == "hi␄"


@pytest.mark.parametrize(
    "said",
    [
        "just talking",
        "@everyone listen",
        "@here listen",
        "<@&{role}> listen",
    ],
)
async def test_what_is_not_said_to_us_is_left_alone(stage: Stage, said: str) -> None:
    role = stage.guild.create_role("Everybot", mentionable=True)
    await stage.alice.send(stage.channel, said.format(role=role.id))
    assert stage.posts() == []
    assert stage.engine.asked == []


async def test_a_mention_of_our_own_role_alone_is_left_alone(stage: Stage) -> None:
    assert stage.guild.me is not None
    role = stage.guild.me.top_role
    await stage.alice.send(stage.channel, f"{role.mention} listen")
    assert stage.posts() == []


async def test_other_bots_and_webhooks_are_left_alone(stage: Stage) -> None:
    robot = stage.guild.add_member(stage.env.create_user("robot", bot=True))
    await robot.send(stage.channel, f"{stage.us} hello")
    webhook = stage.guild.create_webhook(stage.channel)
    await webhook.send(f"{stage.us} hello")
    assert stage.posts() == []


async def test_our_own_words_are_left_alone(stage: Stage) -> None:
    stage.engine.script = lambda _: [f"{stage.us} talk to me"]
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert len(stage.engine.asked) == 1


async def test_notices_of_discord_are_left_alone(stage: Stage) -> None:
    question = await stage.alice.send(stage.channel, "hello")
    stage.guild.create_system_message(
        stage.channel,
        MessageType.PINS_ADD,
        author=stage.alice,
        referenced_message=question,
    )
    stage.guild.create_system_message(stage.channel, MessageType.NEW_MEMBER, author=stage.alice)
    await stage.env.settle()
    assert stage.posts() == []


async def test_the_same_event_three_times_is_answered_once(stage: Stage) -> None:
    question = await stage.alice.send(stage.channel, f"{stage.us} hello")
    payload = next(
        one
        for _, name, one in stage.env.backend.transcript
        if name == "MESSAGE_CREATE" and one["id"] == str(question.id)
    )
    stage.env.backend.emit("MESSAGE_CREATE", payload)
    stage.env.backend.emit("MESSAGE_CREATE", payload)
    await stage.env.settle()
    assert len(stage.texts()) == 1
    assert len(stage.posts()) == 1


async def test_quick_messages_are_answered_in_order(stage: Stage) -> None:
    people = [stage.member(f"member{number}") for number in range(20)]
    await stage.env.settle()
    for number, person in enumerate(people):
        stage.env.backend.create_message(stage.channel.id, person.id, f"{stage.us} number {number}")
    await stage.env.settle()
    asked = [prompt.split("␄")[-2] for prompt in stage.prompts()]
    assert asked == [f"number {number}" for number in range(20)]
    replied = [message.reference for message in stage.ours()]
    questions = [one.id for one in stage.channel.history() if one.content.startswith(stage.us)]
    assert [reference and reference.message_id for reference in replied] == questions


async def test_a_reply_goes_out_although_typing_is_refused(stage: Stage) -> None:
    stage.env.inject_error("POST", "/channels/*/typing", status=403, code=50013, times=None)
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert len(stage.texts()) == 1


async def test_typing_is_shown_while_a_reply_is_made(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = asyncio.Event()
    send_typing = stage.bot.http.send_typing

    async def watched(channel_id: int) -> None:
        await send_typing(channel_id)
        shown.set()

    monkeypatch.setattr(stage.bot.http, "send_typing", watched)
    monkeypatch.setattr(
        "cogs._discord.courier.TYPING_AFTER_SECONDS", 0
    )  # no time goes by in this world
    stage.engine.gate.clear()
    sending = asyncio.ensure_future(stage.alice.send(stage.channel, f"{stage.us} hello"))
    async with asyncio.timeout(10):
        await shown.wait()
    stage.engine.gate.set()
    await sending
    assert len(stage.texts()) == 1


async def test_a_reply_that_is_there_at_once_needs_no_typing(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert len(stage.texts()) == 1
    assert not [one for one in stage.env.http_requests if one.path.endswith("/typing")]


async def test_a_failing_connection_is_tried_again_with_the_same_nonce(stage: Stage) -> None:
    stage.env.inject_error("POST", "/channels/*/messages", status=503, times=3)
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert len(stage.texts()) == 1
    assert len(stage.posts()) == 4
    assert len({post["nonce"] for post in stage.posts()}) == 1


async def test_mass_mentions_of_the_model_ping_nobody(stage: Stage) -> None:
    stage.engine.script = lambda _: ["@everyone <@1> look @here"]
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    (answer,) = stage.ours()
    stored = stage.env.backend.get_message(stage.channel.id, answer.id)
    assert not stored.mention_everyone
    assert not stored.ping_user_ids
    assert not discord.utils.find(lambda post: "@everyone" in post["content"], stage.posts())


async def test_a_long_reply_arrives_in_parts(stage: Stage) -> None:
    words = " ".join(f"word{number}" for number in range(500))
    stage.engine.script = lambda _: [words]
    question = await stage.alice.send(stage.channel, f"{stage.us} hello")
    assert len(stage.texts()) > 1
    assert all(len(text) <= 2000 for text in stage.texts())
    assert [post["nonce"] for post in stage.posts()] == [
        f"r{question.id}-{number}" for number in range(len(stage.texts()))
    ]
