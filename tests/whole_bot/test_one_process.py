"""One process for one database, and a database that stays where it is, with the real bot."""

from pathlib import Path

import pytest

from bot.errors import EXIT_UNAVAILABLE, EXIT_WRONG_SETTINGS
from bot.startup.watch import Loss
from bot.store.upkeep.opening import open_database
from tests.discord_server.bot_process import BotProcess
from tests.discord_server.faults import Hold, When
from tests.discord_server.server import serving
from tests.whole_bot.home import Home

pytestmark = pytest.mark.process
WATCHFUL_BOT = Path(__file__).with_name("watchful_bot.py")


async def test_a_second_bot_with_another_token_leaves_the_database_alone(home: Home) -> None:
    database = home.folder / "data" / "banter.db"
    url = f"sqlite+aiosqlite:///{database}"
    # Made beforehand: of two that make a new one at the same moment, one is refused for that.
    key_path = database.with_name("banter.db.key")
    await (await open_database(url, history_key=None, key_path=key_path)).close()
    folder = home.folder / "second"
    folder.mkdir()
    path = f"/channels/{home.general.id}/messages"
    sending = home.server.faults.add("POST", path, Hold(When.BEFORE))
    async with serving() as elsewhere:
        login = elsewhere.faults.add("GET", "/users/@me", Hold(When.BEFORE))
        env = {**home.env, "DATABASE_URL": url}
        async with (
            await BotProcess.start(elsewhere, folder=folder, env=env) as second,
            await home.start({"MAX_NEW_TOKENS": "8"}) as first,
        ):
            asked = [home.say("one"), home.say("two"), home.say("three")]
            await home.server.wait_for(lambda: sending.hits > 0, timeout=30)
            login.release()
            assert (await second.ended()).exit_code == EXIT_WRONG_SETTINGS
            home.server.faults.clear()
            for message_id in asked:
                await home.reply_to(message_id)
            assert (await first.terminate()).exit_code == 0
    assert "python -m bot db release" in second.stderr.splitlines()[-1]
    assert "Traceback" not in first.stderr + second.stderr
    assert elsewhere.gateway.identifies == []
    assert len(home.server.replies(home.general)) == len(asked)
    assert home.rows("SELECT DISTINCT state FROM inbox") == [("done",)]


async def test_a_database_file_that_is_deleted_ends_the_bot(home: Home) -> None:
    async with await BotProcess.start(
        home.server, folder=home.folder, env=home.env, arguments=(str(WATCHFUL_BOT),)
    ) as bot:
        await bot.ready()
        for path in (home.folder / "data").glob("banter.db*"):
            if path.suffix != ".key":
                path.unlink()
        assert (await bot.ended()).exit_code == EXIT_UNAVAILABLE
    assert Loss.FILE.value in bot.stderr
    assert "Traceback" not in bot.stderr
