"""Pickled weights to safetensors: read, put under the names that the network has, write, compare.

Importing this module imports torch and transformers (4 s): `conversion_child` does it in a process
of its own.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from bot.engine.checkpoints.checkpoint import PICKLED_WEIGHTS, WEIGHTS
from bot.engine.checkpoints.network_config import read_whole_config, unknown_network
from bot.engine.checkpoints.pickle_check import is_zip
from bot.errors import ModelError

# masks and rotation tables that older networks kept among their weights and newer ones compute
_COMPUTED = re.compile(r"(^|\.)(attn\.(masked_)?bias|attention\.(masked_)?bias|inv_freq)$")
Progress = Callable[[int, int], None]


def convert_weights(folder: Path, progress: Progress) -> None:
    """Write `model.safetensors` beside the `pytorch_model.bin` in `folder` and compare the two.

    The network is described by `config.json` there. `progress(done, total)` counts tensors.
    Raises ModelError: damaged, incomplete, of other shapes than the config's, not finite.
    """
    source = read_pickled(folder / PICKLED_WEIGHTS)
    weights = rename(source, Skeleton(folder))
    for number, (name, tensor) in enumerate(weights.items()):
        _check_finite(name, tensor)
        progress(number, 2 * len(weights))
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(contiguous, folder / WEIGHTS, metadata={"format": "pt"})
    with safe_open(folder / WEIGHTS, framework="pt") as written:
        for number, (name, tensor) in enumerate(weights.items()):
            _compare(name, tensor, written.get_tensor(name))
            progress(len(weights) + number + 1, 2 * len(weights))


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint that `check_pickles` let through, by name, on the CPU."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip(path))
    # torch.load raises many kinds for a damaged file, pickle.UnpicklingError among them
    except Exception as error:
        raise ModelError(
            "The file {file} is cut off or damaged: fetch the model again.", file=path.name
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise ModelError("The file {file} holds something other than weights.", file=path.name)
    return dict(content)


class Skeleton:
    """The network that a config describes, without memory for its weights.

    `shapes`: every weight by its name. `shared`: the names of weights that are one tensor with
    another (the output layer with the embedding), and that tensor's name. `prefix`: what
    checkpoints of the inner network lack.
    """

    def __init__(self, folder: Path) -> None:
        auto_class: Any = AutoModelForCausalLM
        config = read_whole_config(folder)
        try:
            with torch.device("meta"):
                network = auto_class.from_config(config)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unknown_network(error) from error
        first: dict[int, str] = {}
        self.shapes: dict[str, torch.Size] = {}
        self.shared: dict[str, str] = {}
        self.prefix = f"{network.base_model_prefix}."
        for name, tensor in network.state_dict(keep_vars=True).items():
            owner = first.setdefault(id(tensor), name)
            if owner == name:
                self.shapes[name] = tensor.shape
            else:
                self.shared[name] = owner


def rename(source: Mapping[str, Tensor], skeleton: Skeleton) -> dict[str, Tensor]:
    """The weights of `source` under the network's names, each once; raises ModelError for gaps.

    Buffers that the network computes are left out. Of a shared weight one copy is enough, under
    either name; where two copies differ both are kept, since transformers does not share them.
    """
    shapes = skeleton.shapes
    names = {name.removeprefix(skeleton.prefix): name for name in shapes if name not in source}
    weights = {names.get(name, name): tensor for name, tensor in source.items()}
    for copy, name in skeleton.shared.items():
        if copy in weights:
            weights.setdefault(name, weights[copy])
    for name, shape in shapes.items():
        _check_shape(name, weights.get(name), shape)
    for name in weights:
        if not (name in shapes or name in skeleton.shared or _COMPUTED.search(name)):
            raise ModelError(
                "The weights do not fit their config.json: the network has no {name}.", name=name
            )
    kept = {name: weights[name] for name in shapes}
    for copy, name in skeleton.shared.items():
        if copy in weights and not torch.equal(weights[copy], weights[name]):
            _check_shape(copy, weights[copy], shapes[name])
            kept[copy] = weights[copy]
    return kept


def _check_shape(name: str, found: Tensor | None, wanted: torch.Size) -> None:
    if found is None:
        raise ModelError(
            "The weights do not fit their config.json: {name} should be {wanted}, there is none.",
            name=name,
            wanted=tuple(wanted),
        )
    if found.shape != wanted:
        raise ModelError(
            "The weights do not fit their config.json: {name} should be {wanted}, there is "
            "{found}.",
            name=name,
            wanted=tuple(wanted),
            found=tuple(found.shape),
        )


def _check_finite(name: str, tensor: Tensor) -> None:
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise ModelError(
            "The weights hold a number that is not finite ({name}): please choose another MODEL.",
            name=name,
        )


def _compare(name: str, tensor: Tensor, written: Tensor) -> None:
    if written.dtype != tensor.dtype or not torch.equal(written, tensor):
        raise ModelError(
            "The converted weights differ from their source ({name}): the disk or the memory of "
            "this machine may be faulty.",
            name=name,
        )
