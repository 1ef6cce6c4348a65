"""Loading: every broken checkpoint is one sentence that says what to do."""

import json
from pathlib import Path

import pytest
import torch

from bot.engine.placement import memory
from bot.engine.placement.device import choose_placement
from bot.engine.reference.loader import load_model
from bot.errors import ModelError, WrongSettingsError

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def test_a_model_is_loaded_with_its_facts(tiny_model: Path) -> None:
    loaded = load_model(tiny_model, "cpu", "auto")
    assert loaded.placement.dtype is torch.float32
    assert (loaded.window, loaded.end_ids, loaded.num_parameters) == (256, (0,), 45888)
    assert not loaded.network.training


def test_a_chat_model_ends_at_each_of_its_end_tokens(chat_model: Path) -> None:
    assert load_model(chat_model, "cpu", "auto").end_ids == (2, 0)


def test_half_the_bytes_with_bfloat16(tiny_model: Path) -> None:
    loaded = load_model(tiny_model, "cpu", "bfloat16")
    assert {tensor.dtype for tensor in loaded.network.parameters()} == {torch.bfloat16}


def test_an_unknown_architecture_is_told(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "nobody-knows"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder, "cpu", "float32")


def test_too_little_memory_is_told_before_anything_is_loaded(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda _: 120_000)
    with pytest.raises(ModelError, match="choose a smaller MODEL"):
        load_model(tiny_model, "cpu", "float32")
    load_model(tiny_model, "cpu", "bfloat16")  # half of it is enough


@NO_CUDA
def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(ModelError, match="DEVICE=auto"):
        choose_placement("cuda", "auto")
    assert choose_placement("auto", "auto").device.type in ("cpu", "mps")


@pytest.mark.parametrize(("device", "dtype"), [("tpu", "auto"), ("cpu", "float16")])
def test_unknown_settings_are_told(device: str, dtype: str) -> None:
    with pytest.raises(WrongSettingsError):
        choose_placement(device, dtype)


def test_a_models_own_sampling_defaults_do_not_leak(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "generation_config.json").write_text(
        '{"eos_token_id": 0, "suppress_tokens": [5, 6, 7, 8], "repetition_penalty": 5.0,'
        ' "num_beams": 1, "typical_p": 0.1, "begin_suppress_tokens": [1, 2, 3], "max_length": 9}'
    )
    network = load_model(folder, "cpu", "float32").network
    own = load_model(tiny_model, "cpu", "float32").network.generation_config.to_diff_dict()
    assert network.generation_config.to_diff_dict() == own
