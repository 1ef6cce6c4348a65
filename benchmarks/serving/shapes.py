"""Models of known sizes that have learnt nothing, made in place from random numbers.

Importing this module imports torch.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.loop_lag import write_vocabulary


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a GPT-2; `window` in tokens."""

    num_layers: int
    num_heads: int
    width: int
    window: int = 1024
    num_ids: int = 50257

    @property
    def num_matrix_weights(self) -> int:
        """Weights that every token is multiplied with, the words' own matrix left out."""
        return 12 * self.num_layers * self.width**2

    @property
    def num_step_weights(self) -> int:
        """Weights that a step reads however few tokens it makes: the words' matrix included."""
        return self.num_matrix_weights + self.num_ids * self.width

    @property
    def num_token_numbers(self) -> int:
        """Numbers that the KV cache keeps of a token."""
        return 2 * self.num_layers * self.width


SHAPES: Mapping[str, ModelShape] = {  # of DialoGPT, and of the model in bot/models
    "small": ModelShape(12, 12, 768),
    "medium": ModelShape(24, 16, 1024),
    "large": ModelShape(36, 20, 1280),
    "embedded": ModelShape(4, 6, 192, window=256, num_ids=2048),
}


def make_model(folder: Path, shape: ModelShape, *, seed: int = 0, spread: float = 0.02) -> Path:
    """A checkpoint in float32 with its tokenizer in a new `folder`; `spread` of the weights.

    Its end-of-text token is never among the likely ones: replies are as long as they may be.
    """
    end_id = write_vocabulary(folder, shape.num_ids)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: _start(name, sizes, spread, generator) for name, sizes in _sizes_of_tensors(shape)
    }
    tensors["wte.weight"][end_id] = 0
    named = {f"transformer.{name}": tensor for name, tensor in tensors.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_config(shape, end_id)), encoding="utf-8")
    return folder


def make_stretched(folder: Path, into: Path, window: int) -> Path:
    """A copy of the checkpoint in `folder` with a wider window, in a new folder `into`.

    Its places are those of the first window over and over: it goes on talking, at least.
    """
    shutil.copytree(folder, into)
    tensors = load_file(into / "model.safetensors")
    places = tensors["transformer.wpe.weight"]
    copies = -(-window // places.shape[0])
    tensors["transformer.wpe.weight"] = places.repeat(copies, 1)[:window].contiguous()
    save_file(tensors, into / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((into / "config.json").read_text(encoding="utf-8"))
    (into / "config.json").write_text(json.dumps({**config, "n_positions": window}))
    return into


def shape_of(folder: Path) -> ModelShape:
    """The sizes of the checkpoint in `folder`."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return ModelShape(
        num_layers=config["n_layer"],
        num_heads=config["n_head"],
        width=config["n_embd"],
        window=config["n_positions"],
        num_ids=config["vocab_size"],
    )


def _config(shape: ModelShape, end_id: int) -> dict[str, object]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "bos_token_id": end_id,
        "eos_token_id": end_id,
        "n_positions": shape.window,
        "n_embd": shape.width,
        "n_head": shape.num_heads,
        "n_layer": shape.num_layers,
        "vocab_size": shape.num_ids,
        "dtype": "float32",
    }


def _start(name: str, sizes: tuple[int, ...], spread: float, generator: torch.Generator) -> Tensor:
    if name.endswith(".bias"):
        return torch.zeros(sizes)
    if ".ln_" in name or name.startswith("ln_"):
        return torch.ones(sizes)
    return torch.empty(sizes).normal_(0, spread, generator=generator)


def _sizes_of_tensors(shape: ModelShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = shape.width
    matrices = {
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "mlp.c_fc": (width, 4 * width),
        "mlp.c_proj": (4 * width, width),
    }
    yield "wte.weight", (shape.num_ids, width)
    yield "wpe.weight", (shape.window, width)
    yield from (("ln_f.weight", (width,)), ("ln_f.bias", (width,)))
    for layer in range(shape.num_layers):
        for norm in ("ln_1", "ln_2"):
            yield f"h.{layer}.{norm}.weight", (width,)
            yield f"h.{layer}.{norm}.bias", (width,)
        for name, sizes in matrices.items():
            yield f"h.{layer}.{name}.weight", sizes
            yield f"h.{layer}.{name}.bias", sizes[1:]
