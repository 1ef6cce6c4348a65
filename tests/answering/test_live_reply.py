"""A reply is shown while it is made, word by word."""

import asyncio
from collections.abc import Callable

from bot.answering.live_reply import LiveReply
from tests.fakes import InlineTokenizerThread


async def stream(text: str, is_blocked: Callable[[str], bool] | None = None) -> list[str]:
    """What is shown of `text`, a byte after the other."""
    shown: list[str] = []
    live = LiveReply(InlineTokenizerThread(), shown.append, is_blocked)
    for byte in text.encode():
        await asyncio.to_thread(live.add, 0, byte)
        await asyncio.to_thread(live.add, 1, byte)
    await asyncio.sleep(0)
    await live.close()
    return shown


async def test_whole_words_are_shown_as_they_come() -> None:
    shown = await stream("how are you ")
    assert shown[-1] == "how are you"
    assert set(shown) <= {"how", "how are", "how are you"}


async def test_a_letter_that_is_cut_in_half_is_not_shown() -> None:
    assert not any("\ufffd" in text for text in await stream("안녕 하세요 "))


async def test_words_with_a_broken_letter_are_not_shown() -> None:
    shown: list[str] = []
    live = LiveReply(InlineTokenizerThread(), shown.append, None)
    for byte in (*b"so ", 0xEC, *b"ft words "):
        await asyncio.to_thread(live.add, 0, byte)
    await asyncio.sleep(0)
    await live.close()
    assert set(shown) == {"so"}


async def test_a_blocked_word_is_never_shown() -> None:
    shown = await stream("fine dang words ", lambda text: "dang" in text)
    assert set(shown) == {"fine"}


async def test_nothing_is_shown_after_the_end() -> None:
    shown: list[str] = []
    live = LiveReply(InlineTokenizerThread(), shown.append, None)
    live.add(0, ord("a"))
    live.add(0, ord(" "))
    await live.close()
    await asyncio.sleep(0)
    assert not shown
