import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.dialogue.sampling import Layer
from bot.dialogue.turn import Scope
from bot.errors import RefusedError, StoreUnavailableError
from bot.settings.settings import Settings
from bot.store.privacy import SqlPrivacy
from cogs.privacy import Pace, as_file, privacy_answer
from tests.cogs.commands_bot import AWAY, MAX_CHARS, World, attachments_of, commands_world, text_of
from tests.cogs.desk import Clock
from tests.fakes import RecordingCourier

SAID = "안녕 👋"
LONE_SURROGATE = {"text": "\ud800"}


async def is_stored(world: World) -> bool:
    """Whether anything that alice said is still there."""
    exported = await world.services.privacy.export(world.alice.id)
    return bool(exported["turns"])


async def test_privacy_tells_how_long_and_how_to_get_rid_of_it(tmp_path: Path) -> None:
    async with commands_world(
        tmp_path, retention_days=7, privacy_url="https://example.org/policy"
    ) as world:
        result = await world.alice.slash(world.channel, "privacy")
        text = text_of(result)
        assert result.ephemeral
        assert "for 7 days" in text
        assert "<https://example.org/policy>" in text
        assert "`/mydata erase`" in text
        assert "`/mydata export`" in text


async def test_privacy_answers_everywhere_and_without_a_database(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        for result in (
            await world.alice.slash(world.stage.thread(), "privacy"),
            await world.alice.user.slash("privacy"),
        ):
            assert "**What I keep**" in text_of(result)
            assert "Privacy policy" not in text_of(result)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (None, "the texts are encrypted there."),
        ("secret", "the texts are encrypted there."),
        ("off", "I don't encrypt the texts there."),
        (" OFF ", "I don't encrypt the texts there."),
    ],
)
async def test_privacy_says_whether_the_texts_are_encrypted(
    tmp_path: Path, key: str | None, sentence: str
) -> None:
    async with commands_world(tmp_path, history_key=key) as world:
        text = text_of(await world.alice.slash(world.channel, "privacy"))
        assert sentence in text
        assert "secret" not in text


@pytest.mark.parametrize("locale", ["en-US", "ko"])
def test_no_heading_of_the_privacy_answer_is_taken_into_the_list_above_it(locale: str) -> None:
    """Discord lets a list go on until an empty line."""
    lines = privacy_answer(Settings(privacy_url="https://x.org"), locale).split("\n")
    for before, line in pairwise(lines):
        assert not before.startswith("- ") or line == "" or line.startswith("- "), line


@pytest.mark.parametrize("locale", ["en-US", "ko"])
def test_the_privacy_answer_fits_a_message(locale: str) -> None:
    settings = Settings(
        retention_days=3650,
        history_key=SecretStr("off"),
        privacy_url="https://example.org/" + "x" * 400,
    )
    assert len(privacy_answer(settings, locale)) <= MAX_CHARS


async def test_export_is_a_private_file_with_everything_in_readable_letters(
    tmp_path: Path,
) -> None:
    async with commands_world(tmp_path) as world:
        await world.talk(Scope(world.channel.id), SAID)
        await world.talk(Scope(world.channel.id), "what others say", world.moderator)
        await world.alice.slash(world.channel, "settings", top_k=7)
        for result in (
            await world.alice.slash(world.channel, "mydata export"),
            await world.alice.user.slash("mydata export"),
        ):
            assert result.ephemeral
            (attachment,) = attachments_of(result)
            content = await attachment.read()
            exported = json.loads(content)
            assert [turn["text"] for turn in exported["turns"] if turn["role"] == "user"] == [SAID]
            assert [one["name"] for one in exported["settings"]] == ["top_k"]
            assert SAID.encode() in content


def test_an_export_that_is_too_large_for_discord_is_packed() -> None:
    everything = {"text": "word " * 10_000}
    file = as_file(everything, max_bytes=10_000)
    assert file.filename.endswith(".json.gz")
    content = file.fp.read()
    assert len(content) <= 10_000
    assert json.loads(gzip.decompress(content)) == everything


def test_an_export_survives_a_lone_surrogate() -> None:
    assert b"?" in as_file(LONE_SURROGATE, max_bytes=10_000).fp.read()


async def test_erase_removes_what_is_stored_and_says_how_much(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.talk(Scope(world.channel.id), SAID)
        await world.alice.slash(world.channel, "settings", top_k=7, top_p=0.5)
        result = await world.alice.slash(world.channel, "mydata erase", confirm="yes")
        assert await world.num_turns(Scope(world.channel.id)) == 0
        assert await world.stored(world.place()) == {}
        assert result.ephemeral
        assert "2 turns" in text_of(result)
        assert "2 settings" in text_of(result)


async def test_the_engine_forgets_also_where_the_file_cannot_be_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def erase(*_: object) -> None:
        raise StoreUnavailableError  # as after the rows are gone, while a long reader is in the way

    async with commands_world(tmp_path) as world:
        monkeypatch.setattr(SqlPrivacy, "erase", erase)
        await world.alice.slash(world.channel, "mydata erase", confirm="yes")
        assert world.stage.engine.num_forgotten == 2  # before and after


async def test_erase_drops_the_reply_that_is_being_made(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        courier = RecordingCourier()
        await world.services.delivery.start(courier)
        engine = world.stage.engine
        engine.gate.clear()
        world.services.delivery.accept(world.said(Scope(world.channel.id), SAID))
        await engine.wait_until_asked(1)
        await world.alice.slash(world.channel, "mydata erase", confirm="yes")
        engine.gate.set()
        await world.services.delivery.stop(5)
        assert courier.sent == []
        assert await is_stored(world) is False


async def test_erase_in_a_direct_message_reaches_what_was_said_in_servers(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.talk(Scope(world.channel.id), SAID)
        await world.talk(Scope(world.alice.user.dm_channel.id), SAID)
        await world.alice.user.slash("mydata erase", confirm="yes")
        assert await is_stored(world) is False


async def test_erase_leaves_the_words_of_others(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.talk(Scope(world.channel.id), SAID)
        await world.alice.slash(world.channel, "settings", top_k=7)
        await world.moderator.slash(world.channel, "mydata erase", confirm="yes")
        assert await world.num_turns(Scope(world.channel.id)) == 2
        assert await world.stored(world.place()) == {Layer.MEMBER: {"top_k": 7}}


async def test_erase_leaves_no_locale_behind(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.alice.slash(world.channel, "privacy")
        assert await world.services.servers.locale(world.alice.id) == "en-US"
        await world.alice.slash(world.channel, "mydata erase", confirm="yes")
        assert await world.services.servers.locale(world.alice.id) is None


@pytest.mark.parametrize("forged", ["no", "", "x" * 3000])
async def test_nothing_is_erased_without_the_confirmation(tmp_path: Path, forged: str) -> None:
    async with commands_world(tmp_path) as world:
        await world.talk(Scope(world.channel.id), SAID)
        result = await world.use(world.alice, world.channel, "mydata erase", confirm=forged)
        assert "is not a choice of `confirm`" in text_of(result)
        assert await is_stored(world)


async def test_my_data_without_a_database_says_so(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        for command, options in (("mydata export", {}), ("mydata erase", {"confirm": "yes"})):
            result = await world.alice.slash(world.channel, command, **options)
            assert text_of(result).startswith(AWAY)
            assert result.ephemeral
            assert attachments_of(result) == []


async def test_erasing_again_at_once_is_refused_to_that_member_only(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.alice.slash(world.channel, "mydata erase", confirm="yes")
        await world.talk(Scope(world.channel.id), SAID)
        refused = await world.alice.slash(world.channel, "mydata erase", confirm="yes")
        assert text_of(refused) == "You've just done that: you can do it again in 60 s."
        assert await is_stored(world)
        other = await world.moderator.slash(world.channel, "mydata erase", confirm="yes")
        assert text_of(other).startswith("Erased")


def test_the_pace_counts_what_succeeded_and_forgets_in_time() -> None:
    clock = Clock()
    pace = Pace(60.0, clock)
    with pytest.raises(StoreUnavailableError), pace.once(1):
        raise StoreUnavailableError
    with pace.once(1):
        clock.now += 20.5
    with pytest.raises(RefusedError, match="again in 40 s"), pace.once(1):
        pass
    clock.now += 39.5
    with pace.once(1):
        pass
