"""The model's folder, the hub it may come from, and the device it is to run on."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from bot.engine.checkpoints.checkpoint import resolve_model
from bot.engine.placement import memory
from bot.startup.single_instance import only_instance
from tests.discord_server.server import DiscordServer
from tests.doctor.patient import Patient
from tests.engine.checkpoints.hub import LoopbackHub

EMBEDDED = resolve_model("embedded", None, Path())


@pytest.fixture
def model(lonely: Patient) -> Path:
    """A folder of its own with a whole model in it."""
    folder = Path(shutil.copytree(EMBEDDED, lonely.folder / "model"))
    lonely.environ["MODEL"] = "model"
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with LoopbackHub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield running


@pytest.mark.usefixtures("model")
async def test_a_whole_model_that_fits(lonely: Patient) -> None:
    found = await lonely.examine()
    found.the("ok", "The model model is here and whole: ")
    assert "MB of memory that are free there" in found.the("ok", "The model runs on cpu in float32")
    assert found.exit_code == 0


async def test_a_folder_that_is_not_there_is_told(lonely: Patient) -> None:
    found = await lonely.examine(MODEL="models/nowhere/")
    assert "name one that is there" in found.the("fault", "MODEL is models/nowhere/")
    found.the("ok", "A model would run on cpu in float32")
    assert found.exit_code == 69


async def test_a_misspelt_name_is_told(lonely: Patient, hub: LoopbackHub) -> None:
    found = await lonely.examine(MODEL="microsoft/DialoGTP-medium")
    (line,) = found.marked("fault")
    assert "has no model microsoft/DialoGTP-medium that you may read: check the name" in line


async def test_a_model_that_has_to_be_fetched_is_told(lonely: Patient, hub: LoopbackHub) -> None:
    hub.add("banter/small", EMBEDDED)
    found = await lonely.examine(MODEL="banter/small", MODEL_REVISION="a" * 40)
    line = found.the("warning", "The model banter/small is not on this machine yet")
    assert "(5 MB)" in line
    assert f"`python -m bot fetch banter/small --revision {'a' * 40}` does it now" in line
    assert found.exit_code == 0


async def test_a_hub_that_is_away_is_told(
    lonely: Patient, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    found = await lonely.examine(MODEL="banter/small")
    found.the("warning", "`python -m bot fetch banter/small` fetches it")
    assert "check the network" in found.the("fault", "127.0.0.1:1 cannot be reached")
    assert found.exit_code == 69


async def test_cut_off_weights_are_told(lonely: Patient, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    found = await lonely.examine()
    (line,) = found.marked("fault")
    assert "model.safetensors are cut off or damaged: fetch or copy the model again" in line


async def test_only_pickled_weights_are_told(lonely: Patient, model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    found = await lonely.examine()
    assert "`python -m bot fetch` converts them" in found.the("fault", "only pickled weights")


async def test_the_reverse_model_is_looked_at(lonely: Patient, model: Path) -> None:
    reverse = Path(shutil.copytree(model, lonely.folder / "reverse"))
    found = await lonely.examine(REVERSE_MODEL="reverse")
    found.the("ok", "The reverse model reverse is here.")
    same = await lonely.examine(REVERSE_MODEL="model")
    same.the("fault", "REVERSE_MODEL and MODEL are both model")
    (reverse / "model.safetensors").unlink()
    broken = await lonely.examine(REVERSE_MODEL="reverse")
    broken.the("fault", "lacks its weights model.safetensors")
    assert broken.exit_code == 69


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
async def test_a_file_that_is_missing_is_told(lonely: Patient, model: Path, name: str) -> None:
    (model / name).unlink()
    (line,) = (await lonely.examine()).marked("fault")
    assert name.removesuffix(".json") in line


async def test_a_gpu_that_is_not_there_is_told(lonely: Patient) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    found = await lonely.examine(DEVICE="cuda")
    assert "set DEVICE=auto" in found.the("fault", "torch sees no CUDA device")
    found.the("ok", "The model is the embedded demonstration voice")
    assert found.exit_code == 69


async def test_too_little_memory_is_told(lonely: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda _: 2_000_000)
    found = await lonely.examine()
    line = found.the("fault", "of memory on cpu, where 2 MB are free")
    assert "choose a smaller MODEL" in line
    assert found.exit_code == 69


async def test_the_memory_of_the_bot_that_runs_is_not_missed(
    patient: Patient, server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda _: 2_000_000)
    with only_instance(server.token):
        found = await patient.examine()
    found.the("ok", "The model runs on cpu in float32, and takes 14 MB of memory.")
    assert found.exit_code == 0


async def test_a_torch_that_does_not_load_is_told(
    lonely: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bot.engine.placement.device", None)
    found = await lonely.examine()
    assert "remove the folder .venv" in found.the("fault", "The library torch cannot be loaded")
