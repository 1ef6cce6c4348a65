"""A supervisor's view of the real bot."""

import asyncio
import time

from bot.startup.heartbeat import FOLDER, NAME, is_alive
from tests.whole_bot.home import Home


async def test_the_bot_gives_a_sign_while_it_is_on_discord(home: Home) -> None:
    sign = home.folder / FOLDER / NAME
    async with await home.launch() as bot:
        await home.server.wait_for(lambda: home.server.requests, timeout=60)
        assert not sign.exists()
        await bot.ready()
        while not sign.exists():  # noqa: ASYNC110  # a file of another process tells nobody
            await asyncio.sleep(0.01)
        assert is_alive(sign.parent, time.time())
        assert (await bot.terminate()).exit_code == 0
    assert not sign.exists()
