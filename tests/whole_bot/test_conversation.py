"""What a member sees of the bot: answers, memory, settings, forgetting."""

from tests.discord_server.faults import Cut, When
from tests.discord_server.state import ChannelType
from tests.whole_bot.home import Home


async def test_the_bot_answers_in_a_channel_a_thread_a_voice_channel_and_a_dm(home: Home) -> None:
    voice = home.server.add_channel(home.guild, "talk", kind=ChannelType.VOICE)
    direct = home.server.direct_channel(home.ada)
    async with await home.start() as bot:
        question_id = home.say("hello there")
        reply = await home.reply_to(question_id)
        assert reply.content.strip()
        assert reply.nonce == f"r{question_id}-0"
        assert not reply.pinged.users
        thread = home.server.create_thread(home.general, "aside", home.ada, from_message=reply.id)
        assert (await home.talk("go on", channel=thread)).content
        assert (await home.talk("hello", channel=voice)).content
        in_private = home.server.say(direct, home.ada, "just us")
        assert (await home.reply_to(in_private, direct)).content
        assert bot.strays == []
    origin = home.rows("SELECT id FROM turn WHERE role = 'bot' AND channel_id = ?", home.general.id)
    continued = home.rows(
        "SELECT parent_id FROM turn WHERE role = 'user' AND channel_id = ?", thread.id
    )
    assert continued == origin


async def test_the_next_prompt_holds_the_earlier_turns_also_after_a_restart(home: Home) -> None:
    home.env["MAX_NEW_TOKENS"] = "8"
    async with await home.start() as bot:
        await home.talk("my cat is called Mimi")
        await home.talk("what is my cat called?")
        first, second = home.prompts()
        assert second[2] > first[2]
        assert second[1] == first[1]
        assert (await bot.terminate()).exit_code == 0
    async with await home.start():
        await home.talk("and yours?")
    third = home.prompts()[2]
    assert third[1] == first[1]
    assert third[2] > second[2]


async def test_a_reset_forgets_and_two_channels_never_see_each_others_turns(home: Home) -> None:
    other = home.server.add_channel(home.guild, "other")
    async with await home.start():
        await home.talk("the word is blue")
        await home.talk("and now?", channel=other)
        answer = await home.server.interact("reset", channel=home.general, member=home.ada).answer()
        assert answer.content
        await home.talk("and now?")
    starts = home.rows(
        "SELECT bot.channel_id, start.channel_id, start.id = bot.parent_id, bot.epoch "
        "FROM turn bot JOIN turn start ON start.id = bot.context_start_id "
        "WHERE bot.role = 'bot' ORDER BY bot.id"
    )
    assert starts == [
        (home.general.id, home.general.id, 1, 0),
        (other.id, other.id, 1, 0),
        (home.general.id, home.general.id, 1, 1),
    ]


async def test_a_setting_of_the_channel_holds_for_the_next_reply_and_after_a_restart(
    home: Home,
) -> None:
    manager = home.server.add_member(home.guild, "grace")
    everything = 0xFFFFFFFF
    async with await home.start() as bot:
        await home.talk("before")
        answer = await home.server.interact(
            "settings",
            {"temperature": 0.5, "apply_to": "channel"},
            channel=home.general,
            member=manager,
            permissions=everything,
        ).answer()
        assert "0.5" in answer.content
        await home.talk("after")
        await bot.terminate()
    async with await home.start():
        await home.talk("after a restart")
        listing = await home.server.interact(
            "settings", channel=home.general, member=home.ada
        ).answer()
    temperatures = home.rows(
        "SELECT json_extract(params, '$.temperature') FROM turn WHERE role = 'bot' ORDER BY id"
    )
    assert temperatures == [(0.8,), (0.5,), (0.5,)]
    row = next(line for line in listing.content.splitlines() if "temperature" in line)
    assert "0.5" in row
    assert "channel" in row


async def test_the_same_event_three_times_gives_one_reply(home: Home) -> None:
    async with await home.start():
        first = home.say("hello")
        home.server.redeliver(first, times=2)
        await home.reply_to(first)
        second = home.say("and again")
        home.server.redeliver(second, times=2)
        await home.reply_to(second)
        home.server.redeliver(first)
        last = home.say("the end")
        await home.reply_to(last)
    answered = [
        reply.reference.message_id for reply in home.server.replies(home.general) if reply.reference
    ]
    assert answered == [first, second, last]


async def test_twenty_quick_messages_are_answered_in_order(home: Home) -> None:
    async with await home.start({"MAX_NEW_TOKENS": "12"}):
        asked = [home.say(f"message {number}") for number in range(20)]
        replies = await home.replies(20)
    assert [reply.reference.message_id for reply in replies if reply.reference] == asked


async def test_a_reply_is_sent_once_when_its_answer_is_lost_on_the_way(home: Home) -> None:
    async with await home.start():
        home.server.faults.add("POST", f"/channels/{home.general.id}/messages", Cut(When.AFTER), 2)
        await home.talk("hello")
        await home.talk("and again")
    assert len(home.server.replies(home.general)) == 2
