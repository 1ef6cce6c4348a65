"""What was written while the process was away is answered after its next start, once."""

from tests.whole_bot.home import Home
from tests.whole_bot.traces import files_with

SHORT = {"MAX_NEW_TOKENS": "8", "LOG_LEVEL": "DEBUG"}


async def test_what_was_written_while_the_bot_was_down_is_answered_once(home: Home) -> None:
    direct = home.server.direct_channel(home.ada)
    async with await home.start(SHORT) as bot:
        first = (await home.talk("hello")).reference
        home.server.say(direct, home.ada, "psst")
        await home.replies(1, channel=direct)
        await bot.kill()
    missed = [home.say(f"are you there, number {number}?") for number in range(2)]
    home.server.say(home.general, home.ada, "the quokka sleeps")
    in_private = home.server.say(direct, home.ada, "and here?")
    async with await home.start(SHORT):
        for message_id in missed:
            await home.reply_to(message_id)
        await home.reply_to(in_private, direct)
        last = (await home.talk("the end")).reference
    answered = [
        one.reference.message_id for one in home.server.replies(home.general) if one.reference
    ]
    assert first is not None
    assert last is not None
    assert answered == [first.message_id, *missed, last.message_id]
    assert len(home.server.replies(direct)) == 2
    assert files_with(["quokka"], home.folder) == {}
