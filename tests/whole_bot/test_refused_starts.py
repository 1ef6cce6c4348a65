"""Starts that are refused: one sentence that says what to do, the right exit code, one attempt."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from bot.errors import EXIT_UNAVAILABLE, EXIT_WRONG_SETTINGS
from bot.store.upkeep.opening import open_database
from tests.discord_server.intents import Intent
from tests.whole_bot.home import Home
from tests.whole_bot.refusals import Refused, refused_start


async def test_a_refused_token_and_a_refused_intent_are_told_after_one_attempt(home: Home) -> None:
    wrong = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.not-the-token-of-this-bot-0123456789"
    token, intent = await asyncio.gather(
        refused_start(home, home.folder / "token", {"DISCORD_TOKEN": wrong}),
        refused_start(home, home.folder / "intent", {"MESSAGE_CONTENT": "on"}),
    )
    assert token.exit_code == intent.exit_code == EXIT_WRONG_SETTINGS
    assert token.sentence == (
        "Discord refuses DISCORD_TOKEN: make a new one on the Bot page of the Discord developer "
        "portal and put it into .env."
    )
    assert intent.sentence == (
        "Discord refuses the Message Content intent: switch it on, on the Bot page of the Discord "
        "developer portal, or set MESSAGE_CONTENT=off."
    )
    refused = [one for one in home.server.requests if one.status == 401]
    assert [one.authorization for one in refused] == [f"Bot {wrong}"]
    assert wrong not in "\n".join(token.log)
    (identify,) = home.server.gateway.identifies
    assert Intent.MESSAGE_CONTENT in identify.intents


async def test_wrong_settings_are_all_told_at_once(home: Home) -> None:
    wrong = {
        "DEVICE": "tpu",
        "DATABASE_URL": "mysql://root:hunter2@db/x",
        "TEMPERATURE": "9",
        "TOP_P": "nan",
        "MAX_QUEUE": "1.5",
        "ALLOW_DMS": "perhaps",
        "ALLOWED_ROLE_IDS": "ada, 5",
        "PRIVACY_URL": "www",
        "LOG_LEVEL": "loud",
        "DEV_GUILD_ID": "1,2",
    }
    several, spoilt = await asyncio.gather(
        refused_start(home, home.folder / "several", wrong),
        refused_start(home, home.folder / "spoilt", {"DISCORD_TOKEN": "Bot hunter2.hunter2"}),
    )
    assert several.exit_code == spoilt.exit_code == EXIT_WRONG_SETTINGS
    assert sorted(line.split()[0] for line in several.sentences) == sorted(wrong)
    for line in several.sentences:
        assert " must be " in line, line
        assert line.endswith("”."), line
    assert spoilt.sentence == (
        "DISCORD_TOKEN is not a token: copy it from the page Bot of your application as it is, "
        "without the word Bot before it."
    )
    assert "hunter2" not in "\n".join([*several.sentences, spoilt.sentence])
    assert home.server.requests == []


async def test_a_second_one_with_the_same_token_leaves_the_first_alone(home: Home) -> None:
    home.env["TMPDIR"] = str(home.folder)
    async with await home.start() as first:
        await home.talk("before")
        second = await refused_start(home, home.folder / "second", {"TMPDIR": str(home.folder)})
        assert second.exit_code == EXIT_UNAVAILABLE
        assert second.sentence == (
            "Another Banter is already running with this token: stop that one first."
        )
        assert len(home.server.gateway.identifies) == 1
        await home.talk("after")
        assert (await first.terminate()).exit_code == 0


async def test_a_model_that_cannot_be_served_is_told(home: Home, model_folder: Path) -> None:
    pickled = Path(shutil.copytree(model_folder, home.folder / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    cut = Path(shutil.copytree(model_folder, home.folder / "cut"))
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    (home.folder / "empty").mkdir()
    refused = await asyncio.gather(
        *(
            refused_start(home, home.folder / f"{name}-home", {"MODEL": str(home.folder / name)})
            for name in ("pickled", "cut", "empty", "missing")
        )
    )
    assert {one.exit_code for one in refused} == {EXIT_UNAVAILABLE}
    told = [one.sentence for one in refused]
    assert "only pickled weights" in told[0]
    assert "save it as safetensors" in told[0]
    assert "are cut off or damaged: fetch or copy the model again." in told[1]
    assert "has no config.json: please choose another MODEL." in told[2]
    assert "there is no such folder" in told[3]
    for name, sentence in zip(("pickled", "cut", "empty", "missing"), told, strict=True):
        assert str(home.folder / name) in sentence
    assert home.server.requests == []


async def test_a_model_that_is_not_there_is_told_in_the_operators_language(home: Home) -> None:
    korean = {"MODEL": "/nowhere/model", "LC_ALL": "", "LANG": "ko_KR.UTF-8"}
    refused = await refused_start(home, home.folder / "korean", korean)
    assert refused.exit_code == EXIT_UNAVAILABLE
    assert "/nowhere/model" in refused.sentence
    assert any("가" <= char <= "힣" for char in refused.sentence)


async def make_database(folder: Path, history_key: str) -> Path:
    """A database as an earlier run of the bot left it."""
    path = folder / "data" / "banter.db"
    path.parent.mkdir(parents=True)
    database = await open_database(
        f"sqlite+aiosqlite:///{path}", history_key=history_key, key_path=path.with_suffix(".key")
    )
    await database.close()
    return path


def run_sql(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


async def prepare_databases(folder: Path) -> dict[str, dict[str, str]]:
    """Folders with a database that must be left alone, and the settings to start with there."""
    (folder / "text" / "data").mkdir(parents=True)
    (folder / "text" / "data" / "banter.db").write_text("dear diary, " * 500)
    (folder / "file").mkdir()
    (folder / "file" / "data").write_text("not a folder")
    (folder / "foreign" / "data").mkdir(parents=True)
    run_sql(folder / "foreign" / "data" / "banter.db", "CREATE TABLE recipe (name TEXT)")
    newer = await make_database(folder / "newer", "off")
    run_sql(newer, "UPDATE alembic_version SET version_num = '9999'")
    await make_database(folder / "locked", "the right key")
    await make_database(folder / "keyless", "the right key")
    await make_database(folder / "clear", "off")
    return {
        "text": {},
        "file": {},
        "foreign": {},
        "newer": {"HISTORY_KEY": "off"},
        "locked": {"HISTORY_KEY": "hunter2-wrong-key"},
        "keyless": {},
        "clear": {"HISTORY_KEY": "hunter2-wrong-key"},
    }


async def test_a_database_that_cannot_be_used_is_told_and_left_as_it_is(home: Home) -> None:
    settings = await prepare_databases(home.folder)
    before = {name: contents(home.folder / name / "data") for name in settings}
    refused: dict[str, Refused] = {}
    for names in (("text", "file", "foreign", "newer"), ("locked", "keyless", "clear")):
        starts = (refused_start(home, home.folder / name, settings[name]) for name in names)
        refused |= dict(zip(names, await asyncio.gather(*starts), strict=True))
    assert {one.exit_code for one in refused.values()} == {EXIT_UNAVAILABLE}
    told = {name: one.sentence for name, one in refused.items()}
    assert told["text"].startswith("data/banter.db is not a database: set DATABASE_URL to")
    assert told["file"].startswith("The database data/banter.db cannot be made (")
    assert told["foreign"].startswith("data/banter.db is the database of another program: set")
    assert told["newer"].startswith(
        "The database data/banter.db was made by a newer Banter: update Banter, or"
    )
    assert told["locked"] == (
        "HISTORY_KEY is not the key that the history was made with: give that one."
    )
    assert told["keyless"] == (
        "The key file of the history, data/banter.db.key, is missing: put it back, or set "
        "HISTORY_KEY."
    )
    assert told["clear"].startswith("The history was begun without encryption: set HISTORY_KEY=off")
    assert "hunter2" not in "\n".join(told.values())
    assert {name: contents(home.folder / name / "data") for name in settings} == before
    assert home.server.requests == []


def contents(path: Path) -> dict[str, bytes]:
    """What an operator would lose: the files under `path`, or the file itself."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {
        file.name: file.read_bytes() for file in files if not file.name.endswith(("-wal", "-shm"))
    }
