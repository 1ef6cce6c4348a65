"""Loading a GPT-2 without transformers: every broken checkpoint is one sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bot.engine.batching.kv_cache import KvSequence
from bot.engine.batching.loader import load_gpt2
from bot.engine.batching.network import Piece
from bot.engine.checkpoints.gpt2_config import is_gpt2
from bot.engine.placement import memory
from bot.engine.reference.loader import load_model
from bot.errors import ModelError, WrongSettingsError
from tests.engine.broken_weights import rewrite, shrink


def configure(folder: Path, changes: dict[str, object], file: str = "config.json") -> None:
    path = folder / file
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | changes))


def test_a_model_is_loaded_with_its_facts(tiny_model: Path) -> None:
    loaded = load_gpt2(tiny_model, "cpu", "auto")
    assert loaded.placement.dtype is torch.float32
    assert (loaded.network.shape.window, loaded.network.shape.num_ids) == (256, 382)
    assert (loaded.end_ids, loaded.commit) == ((0,), "")
    reference = load_model(tiny_model, "cpu", "auto")
    assert loaded.num_parameters == reference.num_parameters == 45888


def test_the_embedded_model_is_read_from_half_precision(embedded_model: Path) -> None:
    loaded = load_gpt2(embedded_model, "cpu", "float32")
    assert loaded.network.cache_shape.dtype is torch.float32
    assert loaded.num_parameters == load_model(embedded_model, "cpu", "auto").num_parameters


def test_half_the_bytes_with_bfloat16(tiny_model: Path) -> None:
    exact, half = (load_gpt2(tiny_model, "cpu", dtype).network for dtype in ("auto", "bfloat16"))
    assert half.cache_shape.token_bytes * 2 == exact.cache_shape.token_bytes


def split(folder: Path) -> None:
    """Weights in two files with an index, as larger models come."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / file)
    weight_map = {name: file for file, held in shards.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def old_masks(weights: dict[str, Tensor]) -> None:
    weights["transformer.h.0.attn.bias"] = torch.ones(1, 1, 256, 256)
    weights["transformer.h.1.attn.masked_bias"] = torch.tensor(-1e4)


@pytest.mark.parametrize("change", [split, lambda folder: rewrite(folder, old_masks)])
def test_other_layouts_of_the_same_model_are_the_same_model(
    folder: Path, tiny_model: Path, change: Callable[[Path], None]
) -> None:
    change(folder)
    ours, original = (load_gpt2(path, "cpu", "float32") for path in (folder, tiny_model))
    logits = [
        loaded.network.forward([Piece([1, 2, 3], KvSequence(loaded.network.cache_shape, 8))])
        for loaded in (ours, original)
    ]
    assert torch.equal(*logits)
    assert ours.num_parameters == original.num_parameters


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_every_token_that_a_config_says_ends_a_text_ends_a_reply(folder: Path, file: str) -> None:
    configure(folder, {"eos_token_id": [0, 7]}, file)
    assert load_gpt2(folder, "cpu", "auto").end_ids == (0, 7)
    assert set(load_model(folder, "cpu", "auto").end_ids) == {0, 7}


def test_positions_that_lack_are_named(folder: Path) -> None:
    rewrite(folder, shrink)
    with pytest.raises(ModelError, match=r"do not fit .*wpe\.weight"):
        load_gpt2(folder, "cpu", "float32")


def test_an_output_layer_that_should_be_there_and_is_not_is_told(folder: Path) -> None:
    configure(folder, {"tie_word_embeddings": False})
    with pytest.raises(ModelError, match=r"do not fit .*lm_head\.weight"):
        load_gpt2(folder, "cpu", "float32")
    with pytest.raises(ModelError, match=r"do not fit .*lm_head\.weight"):
        load_model(folder, "cpu", "float32")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n_layer": 3}, r"do not fit .*h\.2\."),
        ({"n_head": 5}, r"do not fit .*n_head"),
        ({"n_embd": 64}, "do not fit"),
        ({"n_layer": None}, "describes no network.*n_layer"),
        ({"n_head": 0}, "do not fit .*n_head"),
        ({"n_head": True}, "describes no network.*n_head"),
        ({"n_positions": 512}, r"do not fit .*wpe"),
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_told(
    folder: Path, changes: dict[str, object], sentence: str
) -> None:
    configure(folder, changes)
    with pytest.raises(ModelError, match=sentence):
        load_gpt2(folder, "cpu", "float32")


def test_too_little_memory_is_told_before_anything_is_loaded(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda _: 200_000)
    with pytest.raises(ModelError, match="choose a smaller MODEL"):
        load_gpt2(tiny_model, "cpu", "float32")
    load_gpt2(tiny_model, "cpu", "bfloat16")  # half of it is enough


def test_unknown_settings_are_told(tiny_model: Path) -> None:
    with pytest.raises(WrongSettingsError):
        load_gpt2(tiny_model, "tpu", "auto")


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "llama"},
        {"model_type": None},
        {"activation_function": "relu"},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"add_cross_attention": True},
    ],
    ids=str,
)
def test_what_the_network_does_not_do_is_left_to_the_reference_engine(
    tiny_model: Path, changes: dict[str, object]
) -> None:
    config = json.loads((tiny_model / "config.json").read_text())
    assert is_gpt2(config)
    assert is_gpt2({"model_type": "gpt2"})
    assert not is_gpt2(config | changes)
