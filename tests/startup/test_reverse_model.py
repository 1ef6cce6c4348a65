"""REVERSE_MODEL: a second engine beside the first, and what is refused."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bot.engine.protocol import Cancellation, Passage
from bot.errors import EngineClosedError, ModelError, WrongSettingsError
from bot.settings.settings import Settings
from bot.startup.app import compose
from bot.startup.foundation import open_foundation
from bot.texts import explain
from tests.rooms import said
from tests.tiny_models import make_chat_model, make_tiny_gpt2


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """forward and reverse, of one vocabulary, and another model."""
    folder = tmp_path_factory.mktemp("models")
    make_tiny_gpt2(folder / "forward", seed=1)
    make_tiny_gpt2(folder / "reverse", seed=2)
    make_chat_model(folder / "other")
    return folder


def settings(folder: Path, model: Path, reverse_model: Path | str | None) -> Settings:
    return Settings(
        model=str(model),
        reverse_model=None if reverse_model is None else str(reverse_model),
        device="cpu",
        dtype="float32",
        database_url=f"sqlite+aiosqlite:///{folder}/banter.db",
        history_key="off",
        num_candidates=4,
        max_new_tokens=12,
        seed=3,
    )


async def test_several_candidates_are_ranked_by_the_reverse_model_too(
    models: Path, tmp_path: Path
) -> None:
    named = settings(tmp_path, models / "forward", models / "reverse")
    async with open_foundation(named) as foundation:
        assert foundation.reverse is not None
        assert foundation.reverse.info.model == str(models / "reverse")
        assert foundation.reverse.info.dtype == "float32"
        reply = await compose(foundation, origin="discord").conversation.respond(
            said("hello there, how are you today?", 1), Cancellation()
        )
        reverse = foundation.reverse
    assert reply.text
    with closing(sqlite3.connect(tmp_path / "banter.db")) as connection:
        [(stored,)] = connection.execute("SELECT scores FROM turn WHERE role = 'bot'").fetchall()
    assert {"mean_logprob_alone", "mean_logprob_back", "score"} <= json.loads(stored).keys()
    with pytest.raises(EngineClosedError):
        await reverse.score([Passage((1,), (1,))])


async def test_without_the_setting_there_is_one_engine(models: Path, tmp_path: Path) -> None:
    async with open_foundation(settings(tmp_path, models / "forward", None)) as foundation:
        assert foundation.reverse is None


async def test_another_vocabulary_is_refused(models: Path, tmp_path: Path) -> None:
    named = settings(tmp_path, models / "forward", models / "other")
    with pytest.raises(WrongSettingsError, match="another vocabulary than MODEL"):
        async with open_foundation(named):
            pass


async def test_files_that_are_written_otherwise_may_hold_the_same_vocabulary(
    models: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(models / "reverse", tmp_path / "copy"))
    tokenizer = copy / "tokenizer.json"
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text())))
    assert tokenizer.read_bytes() != (models / "reverse" / "tokenizer.json").read_bytes()
    async with open_foundation(settings(tmp_path, models / "forward", copy)) as foundation:
        assert foundation.reverse is not None


@pytest.mark.parametrize("name", ["forward", "forward/", "../{folder}/forward"])
async def test_the_main_model_once_more_is_refused_before_anything_is_made(
    models: Path, tmp_path: Path, name: str
) -> None:
    again = f"{models}/{name.format(folder=models.name)}"
    with pytest.raises(WrongSettingsError, match="a reverse model is another one"):
        async with open_foundation(settings(tmp_path, models / "forward", again)):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_without_a_model_is_refused_before_anything_is_made(
    models: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as refused:
        async with open_foundation(settings(tmp_path / "new", models / "forward", models)):
            pass
    assert str(refused.value) == (
        f"The model in {models} has no config.json: please choose another REVERSE_MODEL. "
        "To do without a reverse model, leave REVERSE_MODEL empty."
    )
    assert "다른 REVERSE_MODEL" in explain(refused.value, "ko")
    assert list(tmp_path.iterdir()) == []


async def test_a_reverse_model_whose_weights_are_broken_is_named_as_such(
    models: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(models / "reverse", tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    weights["transformer.ln_f.bias"][0] = torch.nan
    save_file(weights, broken / "model.safetensors")
    named = settings(tmp_path, models / "forward", broken)
    with pytest.raises(ModelError, match="is broken, please choose another REVERSE_MODEL or"):
        async with open_foundation(named):
            pass


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("nobody/reverse", "it is not on this machine: .* `python -m bot fetch nobody/reverse`"),
        ("/nowhere/reverse", "there is no such folder"),
        ("./nowhere", "there is no such folder"),
    ],
)
async def test_a_reverse_model_that_is_not_here_is_told(
    models: Path, tmp_path: Path, name: str, found: str
) -> None:
    with pytest.raises(ModelError, match=f"REVERSE_MODEL is {name}, but {found}"):
        async with open_foundation(settings(tmp_path, models / "forward", name)):
            pass
    assert list(tmp_path.iterdir()) == []
