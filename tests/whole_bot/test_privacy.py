"""A member's words: given out on request, and erased so that no byte of them is left."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from tests.discord_server.faults import Hold
from tests.discord_server.state import Channel, Message, User
from tests.whole_bot.home import Home
from tests.whole_bot.traces import files_with

ADAS = ("aardvark", "bluebottle", "cassowary", "dugong", "echidna", "numbat")
BENS = ("wombat", "quoll")
STEADY = {"MAX_NEW_TOKENS": "24", "NUM_CANDIDATES": "3", "LOG_LEVEL": "DEBUG"}


async def ask(home: Home, member: User, text: str, channel: Channel) -> Message:
    """Say something and wait for the reply."""
    is_direct = channel.guild is None
    question = home.server.say(channel, member, text, mention_bot=not is_direct)
    return await home.reply_to(question, channel)


async def command(home: Home, name: str, options: dict[str, Any] | None = None) -> Message:
    """Use a command as Ada; the answer, which only she sees."""
    answer = await home.server.interact(
        name, options, channel=home.general, member=home.ada
    ).answer()
    assert answer.ephemeral
    return answer


async def talk_everywhere(home: Home, ben: User) -> list[Message]:
    """Ada and Ben talk in a channel, in a thread and in private; the answers to Ada."""
    reply = await ask(home, home.ada, f"{ADAS[0]} here", home.general)
    await ask(home, ben, f"{BENS[0]} here", home.general)
    thread = home.server.create_thread(home.general, "aside", home.ada, from_message=reply.id)
    direct = home.server.direct_channel(home.ada)
    answers = [
        reply,
        await ask(home, home.ada, f"{ADAS[1]} again", home.general),
        await ask(home, home.ada, f"{ADAS[2]} aside", thread),
        await ask(home, home.ada, f"just us, {ADAS[3]} " * 60, direct),
    ]
    await ask(home, ben, f"{BENS[1]} aside", thread)
    await command(home, "settings", {"temperature": 0.6, "apply_to": "me"})
    return answers


MINE = """
    WITH mine AS (SELECT id FROM turn WHERE author_id = ?),
    dialogue AS (SELECT * FROM turn WHERE id IN mine OR parent_id IN mine AND role = 'bot')
"""
TEXTS = f"""
    {MINE} SELECT text FROM dialogue
    UNION ALL SELECT text FROM candidate WHERE turn_id IN (SELECT id FROM dialogue)
    UNION ALL SELECT reply_text FROM inbox WHERE reply_turn_id IN (SELECT id FROM dialogue)
    UNION ALL SELECT text FROM inbox WHERE state = 'pending'
"""  # noqa: S608 - made of our own words
TURNS = f"{MINE} SELECT id, role, text, author_id FROM dialogue ORDER BY id"  # noqa: S608 - the same


def stored(home: Home) -> list[bytes]:
    """The bytes of all that is stored of Ada: her words, the answers, and what was not chosen."""
    texts = [text or b"" for (text,) in home.rows(TEXTS, home.ada.id)]
    return [text for text in texts if len(text) > 8]


def copy_database(home: Home) -> None:
    """Leave a backup beside the database, as a migration does."""
    path = home.folder / "data" / "banter.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(f"{path}.backup")) as to:
        source.backup(to)


def check_export(answer: Message, words: Sequence[str]) -> None:
    """It holds everything of Ada, her setting too, and nothing that Ben said."""
    (attachment,) = answer.attachments
    assert attachment.filename == "banter-my-data.json"
    exported = json.loads(attachment.content)
    text = json.dumps(exported["turns"], ensure_ascii=False)
    assert [word for word in words if word not in text] == []
    assert [word for word in BENS if word in attachment.content.decode()] == []
    assert {entry["role"] for entry in exported["turns"]} == {"user", "bot"}
    assert [(one["name"], one["value"]) for one in exported["settings"]] == [("temperature", 0.6)]


@pytest.mark.parametrize("history_key", ["", "off"], ids=["encrypted", "in clear"])
async def test_an_erased_member_leaves_no_byte(home: Home, history_key: str) -> None:
    ben = home.server.add_member(home.guild, "ben")
    async with await home.start({**STEADY, "HISTORY_KEY": history_key}) as bot:
        answers = await talk_everywhere(home, ben)
        check_export(await command(home, "mydata export"), ADAS[:4])
        copy_database(home)
        # One reply is on its way, and one question waits behind it.
        hold = home.server.faults.add("POST", f"/channels/{home.general.id}/messages", Hold())
        home.say(f"{ADAS[4]} on the way")
        waiting = home.say(f"{ADAS[5]} in line")
        await home.server.wait_for(lambda: hold.hits, timeout=30)
        words: list[str | bytes] = [*ADAS, *stored(home)]
        words += [one.content for one in answers if len(one.content) > 8]
        bens = home.rows(TURNS, ben.id)
        held = files_with(words, home.folder)
        assert "data/banter.db.backup" in held
        in_clear = {word for found in held.values() for word in found} & set(ADAS)
        assert in_clear == (set(ADAS) if history_key == "off" else set())
        erased = await command(home, "mydata erase", {"confirm": "yes"})
        assert erased.content.startswith("Erased: 10 turns"), erased.content
        assert files_with(words, home.folder) == {}
        hold.release()
        await ask(home, ben, "still here", home.general)
        assert home.rows(TURNS, ben.id)[: len(bens)] == bens
        nothing = json.loads((await command(home, "mydata export")).attachments[0].content)
        assert [nothing[one] for one in ("turns", "unused_answers", "inbox", "settings")] == [
            []
        ] * 4
        assert (await bot.terminate()).exit_code == 0
    assert files_with(words, home.folder) == {}
    assert not [one for one in home.server.replies(home.general) if refers_to(one, waiting)]
    assert home.rows("SELECT 1 FROM turn WHERE author_id = ?", home.ada.id) == []
    assert "Traceback" not in bot.stderr


def refers_to(reply: Message, message_id: int) -> bool:
    return reply.reference is not None and reply.reference.message_id == message_id
