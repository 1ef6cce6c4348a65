"""From a hub that has only a pickled DialoGPT to a reply on Discord, with nothing done by hand."""

from pathlib import Path

import pytest

from tests.engine.checkpoints.hub import LoopbackHub
from tests.tiny_models import Shape, make_dialogpt_shaped
from tests.whole_bot.home import Home

MODEL = "microsoft/DialoGPT-small"
WINDOW = 1024


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with DialoGPT's files, vocabulary and window, and little in between."""
    shape = Shape(layers=2, heads=2, width=32, window=WINDOW, vocabulary=50257)
    return make_dialogpt_shaped(tmp_path / "repository", shape=shape)


async def test_a_pickled_model_is_fetched_once_and_served_with_its_window(
    home: Home, repository: Path
) -> None:
    with LoopbackHub() as hub:
        hub.add(MODEL, repository)
        home.env |= {
            "MODEL": MODEL,
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "CONTEXT_TOKENS": "4000",
            "MAX_NEW_TOKENS": "16",
        }
        async with await home.start() as bot:
            assert "fetching it" in bot.stderr
            assert "convert: 100%" in bot.stderr
            await home.talk("hello " * 600)
            status = await home.server.interact(
                "status", channel=home.general, member=home.ada
            ).answer()
            assert (await bot.terminate()).exit_code == 0
    assert f"{WINDOW}" in status.content
    ((_, _, num_prompt_tokens),) = home.prompts()
    assert WINDOW - 32 < num_prompt_tokens <= WINDOW - 16
    weights = list((home.folder / "data" / "models").rglob("*.safetensors"))
    assert len(weights) == 1
    assert not list((home.folder / "data").rglob("*.bin"))
