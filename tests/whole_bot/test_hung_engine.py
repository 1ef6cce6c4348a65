"""The whole bot when its model hangs: it goes on with a new one, or ends for a fresh start."""

from pathlib import Path

import pytest

from bot.errors import EXIT_RESTART, EngineStuckError
from tests.discord_server.bot_process import BotProcess
from tests.whole_bot.home import Home

pytestmark = pytest.mark.process
HANGING_BOT = Path(__file__).with_name("hanging_bot.py")


async def start(home: Home) -> BotProcess:
    bot = await BotProcess.start(
        home.server, folder=home.folder, env=home.env, arguments=(str(HANGING_BOT),)
    )
    await bot.ready()
    return bot


async def test_a_message_over_which_the_model_hangs_is_answered_by_the_next_one(
    home: Home,
) -> None:
    async with await start(home) as bot:
        await home.talk("hello")  # now it is known how quick the machine is
        (home.folder / "spin").touch()
        asked = [home.say("are you there?"), home.say("and me?")]
        await home.server.wait_for(lambda: "thread hangs" in bot.stderr, timeout=30)
        (home.folder / "spin").unlink()
        texts = [(await home.reply_to(message_id)).content for message_id in asked]
        assert str(EngineStuckError()) not in texts
        assert "The engine has been opened again." in bot.stderr
        ended = await bot.terminate()
        assert ended.exit_code == 0


async def test_where_the_model_cannot_be_opened_again_the_bot_ends_for_a_fresh_start(
    home: Home,
) -> None:
    weights = Path(home.env["MODEL"]) / "model.safetensors"
    hidden = weights.with_name("hidden")
    async with await start(home) as bot:
        await home.talk("hello")
        (home.folder / "spin").touch()
        asked = home.say("are you there?")
        weights.rename(hidden)
        try:
            ended = await bot.ended(timeout=60)
        finally:
            hidden.rename(weights)
        assert ended.exit_code == EXIT_RESTART
        assert "a fresh start is needed" in bot.stderr
    assert home.rows("SELECT state FROM inbox WHERE message_id = ?", asked) == [("pending",)]
    assert len(home.server.replies(home.general)) == 1
