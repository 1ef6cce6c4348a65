"""/complete on the real bot in a simulated Discord; only the engine is a script."""

import asyncio
import logging
import struct
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.dialogue.sampling import Layer, SamplingParams
from bot.engine.protocol import LAST_LAYER, Prediction, PredictionRequest
from bot.errors import EngineMemoryError
from bot.rendering.attention_picture import can_draw
from tests.cogs.commands_bot import World, attachments_of, commands_world, text_of

TEXT = "I love cats because"
BLOCKED = "bullshit"
REFUSED = "There are words in it that I don't say: please try again, or start another text."


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with commands_world(tmp_path, cooldown_seconds=0) as opened:
        yield opened


def asked(world: World) -> PredictionRequest:
    return world.stage.engine.predicted[-1]


async def test_the_text_goes_on_in_bold_for_all_to_see(world: World) -> None:
    world.stage.engine.goes_on_with = " they purr"
    result = await world.alice.slash(world.channel, "complete", text=TEXT, seed=7, picture=False)
    text = text_of(result)
    assert not result.ephemeral
    assert text.startswith("I love cats because **they purr**\n")
    assert "mine (10 word pieces); with the seed 7" in text
    assert "1  ␣  50%  x 25%\n2  t  50%  x 25%\n" in text
    assert attachments_of(result) == []


async def test_the_picture_is_a_png_of_sensible_size(world: World) -> None:
    result = await world.alice.slash(world.channel, "complete", text=TEXT, layer=1)
    (file,) = attachments_of(result)
    content = await file.read()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    assert width == height
    assert 500 <= width <= 2000
    assert 10_000 < len(content) < 1_000_000
    assert file.filename == "attention.png"
    assert file.description == "Where layer 1 of 2 looks (mean over its heads)"


async def test_what_is_typed_is_asked_of_the_engine_over_ones_own_settings(world: World) -> None:
    await world.services.sampling.save(Layer.MEMBER, world.place(), {"temperature": 1.5})
    await world.alice.slash(world.channel, "complete", text=f"  {TEXT} ")
    plain = asked(world)
    assert bytes(plain.text_ids).decode() == TEXT
    assert (plain.length, plain.layer) == (50, LAST_LAYER)
    assert plain.params == SamplingParams(temperature=1.5, no_repeat_ngram_size=2)
    wished = {"length": 9, "temperature": 0.5, "top_k": 3, "top_p": 0.8, "seed": 4, "layer": 2}
    await world.alice.slash(world.channel, "complete", text=TEXT, **wished)
    params = SamplingParams(temperature=0.5, top_k=3, top_p=0.8, seed=4, no_repeat_ngram_size=2)
    assert (asked(world).params, asked(world).length, asked(world).layer) == (params, 9, 2)
    await world.alice.slash(world.channel, "complete", text=TEXT, picture=False, layer=1)
    assert asked(world).layer is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"length": 0}, "`length` must be between 1 and 100; you gave 0."),
        ({"length": 101}, "`length` must be between 1 and 100; you gave 101."),
        ({"layer": 0}, "`layer` must be between 1 and 1000; you gave 0."),
        ({"temperature": 9.0}, "`temperature` must be between 0.1 and 2.0; you gave 9.0."),
        ({"seed": -1}, "`seed` must be between 0 and 2147483647; you gave -1."),
        ({"text": " \u200d "}, "The text is empty: write how it begins."),
    ],
)
async def test_what_discords_clients_would_not_send_is_one_private_sentence(
    options: dict[str, Any], sentence: str, world: World
) -> None:
    result = await world.use(world.alice, world.channel, "complete", **{"text": TEXT, **options})
    assert text_of(result) == sentence
    assert result.ephemeral
    assert world.stage.engine.predicted == []
    assert world.services.admission.num_pending == 0


async def test_a_layer_beyond_the_model_is_told_by_the_engine(world: World) -> None:
    result = await world.alice.slash(world.channel, "complete", text=TEXT, layer=9)
    assert text_of(result) == "`layer` must be between 1 and 2; you gave 9."
    assert world.services.admission.num_pending == 0


async def test_blocked_words_are_refused_on_either_side(world: World) -> None:
    result = await world.alice.slash(world.channel, "complete", text=f"what {BLOCKED}")
    assert text_of(result) == REFUSED
    assert world.stage.engine.predicted == []
    world.stage.engine.goes_on_with = "shit"
    result = await world.alice.slash(world.channel, "complete", text="such bull")
    assert text_of(result) == REFUSED
    assert attachments_of(result) == []


async def test_marks_mentions_and_invitations_of_both_sides_are_only_text(world: World) -> None:
    world.stage.engine.goes_on_with = " @everyone **loud** discord.gg/abc"
    given = f"<@{world.alice.id}> ||psst|| `x`"
    result = await world.alice.slash(world.channel, "complete", text=given, picture=False)
    shown = text_of(result).partition("\n")[0]
    assert shown.startswith(f"<@\u200b{world.alice.id}> \\|\\|psst\\|\\| \\`x\\` **@\u200beveryone")
    assert "\\*\\*loud\\*\\* discord\u200b.gg/abc**" in shown
    [sent] = [one.json for one in world.env.http_requests if one.method == "PATCH"]
    assert sent["allowed_mentions"] == {"parse": []}


async def test_a_cooldown_counts_it_like_a_message(tmp_path: Path) -> None:
    async with commands_world(tmp_path, cooldown_seconds=30) as world:
        await world.alice.slash(world.channel, "complete", text=TEXT, picture=False)
        again = await world.alice.slash(world.channel, "complete", text=TEXT, picture=False)
        assert text_of(again).endswith("Send it again in 30 s.")
        assert again.ephemeral
        assert len(world.stage.engine.predicted) == 1


async def test_replies_go_on_while_a_text_is_written(world: World) -> None:
    engine, ready = world.stage.engine, asyncio.Event()
    write = engine.predict

    async def write_slowly(request: PredictionRequest) -> Prediction:
        await world.env.external_wait(ready.wait(), reason="the text is being written")
        return await write(request)

    engine.predict = write_slowly  # type: ignore[method-assign]
    result = await world.alice.slash(world.channel, "complete", text=TEXT, picture=False)
    assert result.deferred
    await world.alice.send(world.channel, f"{world.stage.us} hello there")
    assert world.stage.texts()[-1].startswith("reply")
    assert engine.predicted == []
    ready.set()
    await world.env.settle()
    assert "**and so on**" in text_of(result)


async def test_nothing_of_it_is_stored_or_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.stage.engine.goes_on_with = " zanzibar"
    await world.alice.slash(world.channel, "complete", text="my quokka", picture=False)
    kept = str(await world.services.privacy.export(world.alice.id)) + caplog.text
    assert "quokka" not in kept
    assert "zanzibar" not in kept


async def test_in_a_direct_message_it_works_as_well(world: World) -> None:
    result = await world.alice.user.slash("complete", text=TEXT, picture=False)
    assert "**and so on**" in text_of(result)


async def test_without_matplotlib_the_text_comes_alone_and_says_which_extra_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_draw()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = await world.alice.slash(world.channel, "complete", text=TEXT)
    assert "**and so on**" in text_of(result)
    assert "hasn't installed the extra `plots` (matplotlib)" in text_of(result)
    assert attachments_of(result) == []
    assert asked(world).layer is None


async def test_a_model_that_hides_its_attention_gives_its_text(world: World) -> None:
    write = world.stage.engine.predict

    async def hide(request: PredictionRequest) -> Prediction:
        return replace(await write(request), attention=None)

    world.stage.engine.predict = hide  # type: ignore[method-assign]
    result = await world.alice.slash(world.channel, "complete", text=TEXT)
    assert "**and so on**" in text_of(result)
    assert "This model doesn't show what it looks at, so there's no picture." in text_of(result)
    assert attachments_of(result) == []


async def test_an_engine_that_fails_gives_its_sentence_and_the_place_back(world: World) -> None:
    async def fail(request: PredictionRequest) -> Prediction:
        raise EngineMemoryError

    world.stage.engine.predict = fail  # type: ignore[method-assign]
    result = await world.alice.slash(world.channel, "complete", text=TEXT)
    assert text_of(result) == EngineMemoryError.sentence
    assert world.services.admission.num_pending == 0
