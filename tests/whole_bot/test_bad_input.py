"""What people can write to hurt a bot: one reply or one sentence each, no ping, nothing logged."""

import asyncio
import re

from bot.texts import ONLY_TEXT
from cogs.chat import NOTHING_SAID
from tests.discord_server.bot_process import BotProcess
from tests.discord_server.errors import MISSING_PERMISSIONS
from tests.discord_server.faults import Hold
from tests.discord_server.permissions import Permission
from tests.discord_server.state import Channel, Message
from tests.whole_bot.home import Home
from tests.whole_bot.traces import files_with

WORD = "quokka"
OVERRIDE, ISOLATE, END = "\u202e", "\u2066", "\u202c"
DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")

ANSWERED = {
    "4000 characters": f"{WORD} " * 571 + "ab",
    "one word of 4000": WORD * 666,
    "only emoji": "😀🎉👩‍👩‍👧‍👦🏳️‍🌈👍🏽",
    "a turn's end typed": f"<|endoftext|>{WORD}<|endoftext|><|endoftext|>",
    "500 nested quotes": "> " * 500 + WORD,
    "right to left": f"{OVERRIDE}{WORD}{END} {ISOLATE}{WORD}",
    "everyone": f"@everyone @here {WORD}",
    "a lone surrogate in it": f"{WORD}\ud800{WORD}\udfff",
    "NUL in it": f"{WORD}\x00{WORD}\x1b[31m",
    "open fences": f"```{WORD}```` ``` ||{WORD}",
    "accents piled up": "q" + "\u0301\u0320" * 300,
    "times out of range": f"<t:9999999999999:F> <t:-9999999999999:R> {WORD}",
    "names of nobody": f"<@999999999999999999> <@&99999999999999999> <#9999999> {WORD}",
    "line separators": "\u2028\u2029\x85\r\n" * 200 + WORD,
    "format places": f"{{name}} {{0}} %s %(x)s {WORD}",
}
HINTED = {
    "zero width": ("\u200b\u200c\u200d\u2060\ufeff\u00ad", ONLY_TEXT),
    "only surrogates": ("\ud800\udbff\ud800", ONLY_TEXT),
    "only NUL": ("\x00\x00", ONLY_TEXT),
    "only overrides": (OVERRIDE * 50, ONLY_TEXT),
    "only accents": ("\u0301" * 50, ONLY_TEXT),
    "a filler": ("\u3164\u115f\u2800", ONLY_TEXT),
    "nothing": ("", NOTHING_SAID),
    "spaces": (" \t\n  ", NOTHING_SAID),
}


async def write_everything(home: Home, channel: Channel) -> dict[str, int]:
    """Send each of them as Ada; the ids of the messages by what they are."""
    texts = ANSWERED | {name: text for name, (text, _) in HINTED.items()}
    asked = {name: home.say(text, channel=channel) for name, text in texts.items()}
    asked["an attachment"] = home.server.say(
        channel,
        home.ada,
        f"<@{home.server.bot.id}>",
        attachments={f"{WORD}.png": b"\x89PNG", f"{OVERRIDE}gnp.exe": b"MZ"},
    )
    return asked


def check_reply(reply: Message) -> None:
    """What holds for everything that the bot ever says."""
    assert reply.content.strip("\u200b\u200c\u200d\u2060\ufeff \n")
    assert len(reply.content) <= 2000
    assert not reply.pinged, reply.content
    assert reply.allowed_mentions is not None
    assert not DIRECTIONS.search(reply.content)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", reply.content)


def check_log(bot: BotProcess, words: list[str]) -> None:
    """No fault of ours, and no word that anybody said, was logged."""
    assert "Traceback" not in bot.stderr
    assert " ERROR " not in bot.stderr
    assert bot.stdout == ""
    assert not [word for word in words if word in bot.stderr]


async def test_whatever_is_written_gets_one_answer_and_nobody_is_pinged(home: Home) -> None:
    direct = home.server.direct_channel(home.ada)
    async with await home.start({"LOG_LEVEL": "DEBUG", "MAX_NEW_TOKENS": "12"}) as bot:
        asked = await write_everything(home, home.general)
        in_private = home.server.say(direct, home.ada, "", attachments={"a.txt": b"quokka"})
        answers = {name: await home.reply_to(one) for name, one in asked.items()}
        hint = await home.reply_to(in_private, direct)
        last = await home.talk("and a plain question")
        replies = home.server.replies(home.general)
        assert len(replies) == len(asked) + 1
        check_log(bot, [WORD, "plain question", home.server.token])
        said_by_us = [one.content for one in replies if len(one.content) > 12]
        check_log(bot, [one for one in said_by_us if one not in {ONLY_TEXT, NOTHING_SAID}])
        assert (await bot.terminate()).exit_code == 0
    for reply in [*replies, hint]:
        check_reply(reply)
    for name, (_, sentence) in HINTED.items():
        assert answers[name].content == sentence, name
    assert answers["an attachment"].content == hint.content == ONLY_TEXT
    for name in ANSWERED:
        assert answers[name].content not in {ONLY_TEXT, NOTHING_SAID}, name
    assert last.content
    assert bot.strays == []
    assert files_with([WORD], home.folder) == {}


async def test_a_question_that_is_taken_back_gets_no_reply_and_is_not_remembered(
    home: Home,
) -> None:
    slow = {"MAX_NEW_TOKENS": "128", "NUM_CANDIDATES": "16", "MIN_NEW_TOKENS": "16"}
    places = [home.general, *(home.server.add_channel(home.guild, one) for one in ("b", "c"))]
    sends = "/channels/*/messages"
    async with await home.start({**slow, "HISTORY_KEY": "off"}) as bot:
        hold = home.server.faults.add("POST", sends, Hold(), times=len(places))
        kept = [home.say("kept", channel=place) for place in places]
        await home.server.wait_for(lambda: hold.hits == len(places), timeout=30)
        gone = take_back_while_they_wait(home, places)
        edited = home.say("first words", channel=places[2])
        home.server.edit(edited, f"<@{home.server.bot.id}> other words")
        hold.release()
        await home.reply_to(edited, places[2])
        gone.append(await delete_while_it_thinks(home, places[1]))
        gone.append(await delete_while_it_is_sent(home, places[2]))
        home.server.edit(kept[0], f"<@{home.server.bot.id}> kept in other words")
        home.server.delete(kept[1])
        for place in places:
            await home.talk("the end", channel=place)
        assert [len(home.server.replies(one)) for one in places] == [2, 2, 3]
        assert (await bot.terminate()).exit_code == 0
        assert "Traceback" not in bot.stderr
    said = [text.decode() for (text,) in home.rows("SELECT text FROM turn WHERE role = 'user'")]
    remembered = ["kept", "kept in other words", "other words"] + ["the end"] * 3
    assert sorted(text for text in said if text) == sorted(remembered)
    assert files_with(["gone with", "emptied", "first words"], home.folder / "data") == {}
    for message_id in gone:
        row = home.rows("SELECT state, text FROM inbox WHERE message_id = ?", message_id)
        assert row == [("done", b"")]


def take_back_while_they_wait(home: Home, places: list[Channel]) -> list[int]:
    """Delete some messages that are in line, one and many, and edit the words out of one."""
    deleted = home.say("gone with the wind", channel=places[0])
    together = [home.say(f"gone with {number} more", channel=places[0]) for number in range(3)]
    emptied = home.say("emptied", channel=places[1])
    home.server.delete(deleted)
    home.server.bulk_delete(together)
    home.server.edit(emptied, f"<@{home.server.bot.id}>")
    return [deleted, *together, emptied]


async def delete_while_it_thinks(home: Home, place: Channel) -> int:
    """Delete a question as soon as the bot shows that it types, or has a reply to send."""
    typing = f"/channels/{place.id}/typing"
    # Where the reply is ready before, it must not go out either.
    hold = home.server.faults.add("POST", f"/channels/{place.id}/messages", Hold())
    before = len(home.server.requests_to("POST", typing))
    question = home.say("gone with the typing", channel=place)
    await home.server.wait_for(
        lambda: len(home.server.requests_to("POST", typing)) > before or hold.hits, timeout=30
    )
    home.server.delete(question)
    home.server.faults.clear()
    return question


async def delete_while_it_is_sent(home: Home, place: Channel) -> int:
    """Delete a question while its reply is on the way to Discord."""
    hold = home.server.faults.add("POST", f"/channels/{place.id}/messages", Hold())
    question = home.say("gone with the reply", channel=place)
    await home.server.wait_for(lambda: hold.hits, timeout=30)
    home.server.delete(question)
    home.server.faults.clear()
    return question


async def test_where_the_bot_may_not_write_it_does_not_try_again_and_again(home: Home) -> None:
    closed, lying = (home.server.add_channel(home.guild, name) for name in ("closed", "lying"))
    home.server.set_permissions(closed, deny=Permission.SEND_MESSAGES)
    sends = f"/channels/{lying.id}/messages"
    async with await home.start({"MAX_NEW_TOKENS": "8"}) as bot:
        for number in range(30):
            home.say(f"hello {number}", channel=closed)
        await home.talk("here you may")
        assert home.server.requests_to("*", f"/channels/{closed.id}/*") == []
        # Here the permissions promise what Discord then refuses.
        home.server.faults.add("POST", sends, MISSING_PERMISSIONS, times=1000)
        first, *_ = [home.say(f"hello {number}", channel=lying) for number in range(5)]
        await home.server.wait_for(lambda: home.server.requests_to("POST", sends), timeout=30)
        for number in range(25):
            home.say(f"and now {number}", channel=lying)
        await asyncio.gather(*(home.talk(f"here you may {number}") for number in range(3)))
        assert len(home.server.requests_to("POST", sends)) == 1
        assert len(home.server.invalid_requests()) == 1
        assert (await bot.terminate()).exit_code == 0
    assert bot.stderr.count("Discord refuses what I write") == 1
    assert "Traceback" not in bot.stderr
    assert home.rows("SELECT state FROM inbox WHERE message_id = ?", first) == [("done",)]
