"""What holds for the answers of all commands."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogs._telling import model_name
from tests.cogs.commands_bot import AWAY, commands_world, text_of

DEFERRED = 5  # the type of an answer that only says that one will follow
NEED_THE_DATABASE: list[tuple[str, dict[str, Any]]] = [
    ("reset", {}),
    ("settings", {}),
    ("settings", {"temperature": 0.5}),
    ("settings", {"preset": "defaults"}),
    ("status", {}),
    ("mydata export", {}),
    ("mydata erase", {"confirm": "yes"}),
]
DO_NOT: list[tuple[str, dict[str, Any]]] = [("help", {}), ("privacy", {})]


@pytest.mark.parametrize(("command", "options"), NEED_THE_DATABASE)
async def test_without_a_database_one_sentence_says_so_after_the_deferral(
    tmp_path: Path, command: str, options: dict[str, Any]
) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        for channel in (world.channel, world.stage.thread()):
            result = await world.alice.slash(channel, command, **options)
            assert AWAY in text_of(result)
        assert AWAY in text_of(await world.alice.user.slash(command, **options))
        # Nothing is looked up before: Discord waits no longer than 3 seconds.
        sent = [one for one in world.env.http_requests if one.path.endswith("/callback")]
        assert [one.json["type"] for one in sent] == [DEFERRED] * 3


@pytest.mark.parametrize(("command", "options"), DO_NOT)
async def test_what_needs_no_database_is_answered_without_one(
    tmp_path: Path, command: str, options: dict[str, Any]
) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        assert AWAY not in text_of(await world.alice.slash(world.channel, command, **options))


async def test_no_answer_can_ping_anybody(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        for command, options in NEED_THE_DATABASE + DO_NOT:
            await world.alice.slash(world.channel, command, **options)
        await world.use(world.alice, world.channel, "settings", preset="@everyone")
        bodies = [sent.json for sent in world.env.http_requests if isinstance(sent.json, dict)]
        said = [body.get("data", body) for body in bodies]
        answers = [body for body in said if isinstance(body, dict) and body.get("content")]
        assert len(answers) == len(NEED_THE_DATABASE + DO_NOT) + 1
        assert all(answer["allowed_mentions"] == {"parse": []} for answer in answers)


@pytest.mark.parametrize("command", ["settings", "status", "help", "privacy", "mydata export"])
async def test_answers_about_oneself_are_private(tmp_path: Path, command: str) -> None:
    async with commands_world(tmp_path) as world:
        for channel in (world.channel, world.stage.thread()):
            assert (await world.alice.slash(channel, command)).ephemeral
        assert (await world.alice.user.slash(command)).ephemeral


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("microsoft/DialoGPT-medium", "microsoft/DialoGPT-medium"),
        ("embedded", "embedded"),
        ("/home/alice/models/x", "x"),
        ("/home/alice/models/x/", "x"),
        ("./models/x", "x"),
        ("~/models/x", "x"),
        ("bot/store", "store"),
    ],
)
def test_of_a_folder_only_the_last_name_is_shown(model: str, shown: str) -> None:
    assert model_name(model) == shown


async def test_nobody_is_told_where_the_operators_folders_are(tmp_path: Path) -> None:
    async with commands_world(tmp_path, model=str(tmp_path)) as world:
        engine = world.stage.engine
        engine.info = replace(engine.info, model=str(tmp_path))
        await world.stage.bot.reload_extension("cogs.status")
        for command in ("help", "status"):
            text = text_of(await world.alice.slash(world.channel, command))
            assert f"`{tmp_path.name}`" in text
            assert str(tmp_path.parent) not in text
