"""A GPT-2's weights on a device, checked and run once, without transformers.

Importing this module imports torch (1.3 s): `bot.engine.opening` does it in the engine's thread.
Only safetensors are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from bot.engine.batching.network import Decoder, Gpt2, Shape
from bot.engine.checkpoints.checkpoint import Checkpoint, inspect_checkpoint, read_json
from bot.engine.checkpoints.gpt2_config import own_bytes
from bot.engine.checkpoints.network_config import (
    NetworkConfig,
    read_network_config,
    window_of,
)
from bot.engine.placement.device import Placement, choose_placement
from bot.engine.placement.memory import check_memory
from bot.engine.placement.soundness import (
    check_finite,
    does_not_fit,
    read_vocabulary,
    sentences_for_faults,
)
from bot.engine.protocol import EngineInfo
from bot.engine.sampling.letters import WholeLetters, whole_letters

_PREFIX = "transformer."
_EMBEDDING, _HEAD = "wte.weight", "lm_head.weight"


@dataclass(frozen=True, slots=True)
class LoadedGpt2:
    """A network and the facts the engine needs of it; `end_ids` end a reply.

    `decoder`: a faster way through the network, on the devices that have one. `letters`: where
    tokens stand for bytes.
    """

    network: Gpt2
    placement: Placement
    end_ids: tuple[int, ...]
    num_parameters: int
    commit: str
    decoder: Decoder | None = None
    letters: WholeLetters | None = None

    def info(self, model: str) -> EngineInfo:
        """What an engine with it serves, under the name `model`."""
        return EngineInfo(
            model=model,
            revision=self.commit,
            device=str(self.placement.device),
            dtype=self.placement.format_name,
            window=self.network.shape.window,
            num_parameters=self.num_parameters,
        )


def load_gpt2(folder: Path, device: str, dtype: str) -> LoadedGpt2:
    """Load the checkpoint in `folder` and run it once.

    `device` and `dtype` are the settings DEVICE and DTYPE. Raises ModelError: missing or damaged
    files, weights that do not fit the config, NaN, too little memory, an absent device. Raises
    WrongSettingsError for a dtype not had here.
    """
    checkpoint = inspect_checkpoint(folder)
    placement = choose_placement(device, dtype, own_bytes=own_bytes(checkpoint))
    check_memory(checkpoint, placement, is_own=True)
    with sentences_for_faults(folder):
        tensors = _read(checkpoint, placement)
        shape = _shape(checkpoint, tensors)
        _check_complete(checkpoint, tensors, shape)
        check_finite(tensors.items(), folder)
        vocabulary = read_vocabulary(folder, _configs(checkpoint), shape.num_ids)
        num_parameters = sum(tensor.numel() for tensor in tensors.values())
        loaded = LoadedGpt2(
            network=Gpt2(tensors, shape, is_int8=placement.is_int8),
            placement=placement,
            end_ids=vocabulary.end_ids,
            num_parameters=num_parameters,
            commit=checkpoint.commit,
            letters=whole_letters(vocabulary.spelling, placement.device),
        )
        _warm_up(loaded)
    return loaded


def _read(checkpoint: Checkpoint, placement: Placement) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in checkpoint.weight_files:
        for name, tensor in load_file(path).items():  # a GPU holds them in its own format only
            short = name.removeprefix(_PREFIX)
            # buffers of old checkpoints: the causal mask, which attention brings itself
            if not short.endswith((".attn.bias", ".attn.masked_bias")):
                tensors[short] = tensor.to(placement.device, placement.dtype)
    if _shares_embedding(checkpoint):
        _share(tensors)
    return tensors


def _share(tensors: dict[str, Tensor]) -> None:
    """Let the output layer be the embedding, unless both are there and differ.

    So transformers does it: what was trained apart stays apart, whatever the config says.
    """
    head, embedding = tensors.get(_HEAD), tensors.get(_EMBEDDING)
    if embedding is None and head is not None:
        tensors[_EMBEDDING] = tensors.pop(_HEAD)
    elif head is not None and embedding is not None and torch.equal(head, embedding):
        del tensors[_HEAD]


def _shares_embedding(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.config.get("tie_word_embeddings", True))


def _configs(checkpoint: Checkpoint) -> list[Mapping[str, object]]:
    """Where a checkpoint names the tokens that end its text; a chat model has several."""
    path = checkpoint.folder / "generation_config.json"
    return [checkpoint.config, read_json(path) if path.is_file() else {}]


def _shape(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> Shape:
    config = read_network_config(checkpoint.folder)
    vocabulary = tensors.get(_EMBEDDING)
    if vocabulary is None:
        raise does_not_fit(checkpoint.folder, [_EMBEDDING])
    return Shape(
        num_layers=_size(checkpoint, config, "n_layer", len(tensors)),
        num_heads=_size(checkpoint, config, "n_head", vocabulary.shape[-1]),
        width=_size(checkpoint, config, "n_embd", vocabulary.shape[-1]),
        window=window_of(config, checkpoint.folder),
        num_ids=vocabulary.shape[0],
        epsilon=config.layer_norm_epsilon,
    )


def _size(checkpoint: Checkpoint, config: NetworkConfig, name: str, most: int) -> int:
    """A number of the config, which cannot be more than the weights have room for."""
    value = getattr(config, name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise does_not_fit(checkpoint.folder, [name])
    return value


def _check_complete(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], shape: Shape) -> None:
    """Refuse weights that are missing or of another shape than the config says."""
    expected = _expected(shape, tensors)
    if _HEAD in tensors or not _shares_embedding(checkpoint):
        expected[_HEAD] = (shape.num_ids, shape.width)
    wrong = [
        name
        for name, sizes in expected.items()
        if name not in tensors or tuple(tensors[name].shape) != sizes
    ]
    if wrong or shape.width % shape.num_heads:
        raise does_not_fit(checkpoint.folder, wrong or ["n_head"])


def _expected(shape: Shape, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    width = shape.width
    matrix = tensors.get("h.0.mlp.c_fc.weight")
    inner = 4 * width if matrix is None or matrix.dim() != 2 else matrix.shape[1]
    block = {
        "ln_1": (width,),
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "ln_2": (width,),
        "mlp.c_fc": (width, inner),
        "mlp.c_proj": (inner, width),
    }
    modules = {
        f"h.{i}.{name}": sizes for i in range(shape.num_layers) for name, sizes in block.items()
    }
    expected: dict[str, tuple[int, ...]] = {
        _EMBEDDING: (shape.num_ids, width),
        "wpe.weight": (shape.window, width),
    }
    for name, sizes in {"ln_f": (width,), **modules}.items():
        expected |= {f"{name}.weight": sizes, f"{name}.bias": sizes[-1:]}
    return expected


@torch.inference_mode()
def _warm_up(loaded: LoadedGpt2) -> None:
    """The first pass allocates and chooses kernels; it also shows that the model works at all."""
    loaded.network.forward([loaded.network.piece(loaded.end_ids[:1])])
