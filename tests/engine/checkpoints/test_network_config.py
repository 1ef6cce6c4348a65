"""The window and the sizes of a network, under the names that its architecture has for them."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bot.engine.batching.loader import load_gpt2
from bot.engine.checkpoints.network_config import read_network_config, window_of
from bot.engine.reference.loader import load_model
from bot.errors import ModelError

NUM_IDS = 382  # of the tiny tokenizer
SMALL: dict[str, Any] = {"hidden_size": 16, "vocab_size": NUM_IDS, "num_attention_heads": 2}
LLAMA_LIKE = {
    **SMALL,
    "num_hidden_layers": 1,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 16,
}


def bloom() -> Any:
    return transformers.BloomConfig(**SMALL, n_layer=1)


def mpt() -> Any:
    return transformers.MptConfig(
        d_model=16, n_heads=2, n_layers=1, vocab_size=NUM_IDS, max_seq_len=77
    )


def with_a_text_config() -> Any:
    """A network that sees pictures as well; what makes text stands in a config of its own."""
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    return transformers.Gemma3Config(
        text_config={**LLAMA_LIKE, "max_position_embeddings": 99},
        vision_config={**vision, "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
    )


@pytest.fixture
def make(tiny_model: Path, tmp_path: Path) -> Callable[[Any], Path]:
    """Saves a random network of a config beside the tiny tokenizer."""

    def save(config: Any) -> Path:
        config.bos_token_id = config.eos_token_id = config.pad_token_id = 0
        torch.manual_seed(0)
        auto_class: Any = transformers.AutoModelForCausalLM
        auto_class.from_config(config).save_pretrained(tmp_path)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tiny_model / name, tmp_path)
        return tmp_path

    return save


def edit(folder: Path, drop: tuple[str, ...] = (), **changes: object) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if k not in drop}))


def limit_tokenizer(folder: Path, limit: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": limit}))


@pytest.mark.parametrize(("config", "window"), [(mpt, 77), (with_a_text_config, 99)])
def test_an_architectures_own_name_of_the_window_is_found(
    make: Callable[[Any], Path], config: Callable[[], Any], window: int
) -> None:
    loaded = load_model(make(config()), "cpu", "float32")
    assert loaded.window == window
    assert 0 in loaded.end_ids


def test_a_network_without_a_table_of_positions_reads_what_its_tokenizer_was_made_for(
    make: Callable[[Any], Path],
) -> None:
    folder = make(bloom())
    limit_tokenizer(folder, 300)
    assert load_model(folder, "cpu", "float32").window == 300


def test_where_nothing_tells_the_window_the_log_does(
    make: Callable[[Any], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make(bloom())
    limit_tokenizer(folder, 10**30)
    with caplog.at_level(logging.WARNING):
        assert load_model(folder, "cpu", "float32").window == 1024
    assert "does not say how many tokens it can read: 1024 are taken" in caplog.text


def test_a_gpt2_may_name_its_sizes_as_other_networks_do(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    names = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    old = ("n_embd", "n_layer", "n_head", "n_positions", "n_ctx")
    edit(folder, old, max_position_embeddings=256, **names)
    shape = load_gpt2(folder, "cpu", "float32").network.shape
    assert (shape.width, shape.num_layers, shape.num_heads, shape.window) == (32, 2, 2, 256)


def test_a_size_that_a_gpt2_leaves_out_is_the_one_of_transformers(
    tmp_path: Path, make: Callable[[Any], Path]
) -> None:
    make(transformers.GPT2Config(n_embd=24, n_head=12, n_layer=12, vocab_size=NUM_IDS))
    edit(tmp_path, ("n_layer", "n_head", "n_positions"))
    shape = load_gpt2(tmp_path, "cpu", "float32").network.shape
    assert (shape.num_layers, shape.num_heads, shape.window) == (12, 12, 1024)


@pytest.mark.parametrize("kind", ["mamba", "rwkv"])
def test_a_recurrent_network_is_refused_in_one_true_sentence(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ModelError, match="is a recurrent network"):
        read_network_config(tmp_path)


@pytest.mark.parametrize("window", ["-", True, 1, -5])
def test_a_window_that_is_none_is_not_taken(tiny_model: Path, window: object) -> None:
    config = read_network_config(tiny_model)  # whose tokenizer names no limit either
    object.__setattr__(config, "n_positions", window)
    assert window_of(config, tiny_model) == 1024


def test_a_config_with_more_layers_than_weights_is_refused_at_once(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    edit(folder, n_layer=20_000_000)
    with pytest.raises(ModelError, match=r"do not fit their config\.json \(n_layer"):
        load_gpt2(folder, "cpu", "float32")
