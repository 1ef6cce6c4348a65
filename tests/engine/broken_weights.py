"""Changes of a tiny GPT-2's weights on the disk, for the tests of what loads them."""

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

Change = Callable[[dict[str, Tensor]], None]


def rewrite(folder: Path, change: Change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def lose(name: str) -> Change:
    def change(weights: dict[str, Tensor]) -> None:
        del weights[name]

    return change


def shrink(weights: dict[str, Tensor]) -> None:
    weights["transformer.wpe.weight"] = weights["transformer.wpe.weight"][:100].clone()


def poison(value: float) -> Change:
    def change(weights: dict[str, Tensor]) -> None:
        weights["transformer.h.1.mlp.c_fc.weight"][3, 3] = value

    return change
