"""A checkpoint's weights on a device, checked, ready to generate.

Importing this module imports torch and transformers (4 s): `bot.engine.opening` does it in a
thread. Only safetensors are read, nothing is fetched, and no code of a checkpoint is run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging as transformers_logging

from bot.engine.checkpoint import Checkpoint, inspect_checkpoint
from bot.engine.device import Placement, available_bytes, choose_placement
from bot.engine.faults import is_memory_fault
from bot.engine.safetensors_header import read_header
from bot.engine.tokenizer import load_tokenizer
from bot.errors import ModelError

# transformers' own annotations contradict what its classes return and accept
Network = Any
_MEMORY_SLACK = 1.15  # activations and the allocator's own pieces, above the weights


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network on its device and the facts the engine needs of it.

    `end_ids`: the tokens that end a reply, at least one. `num_ids`: rows of the embedding; an
    id at or above it would break a CUDA device for good.
    """

    network: Network
    placement: Placement
    window: int
    end_ids: tuple[int, ...]
    num_ids: int
    num_parameters: int
    commit: str


def load_model(folder: Path, device: str, dtype: str) -> LoadedModel:
    """Load the checkpoint in `folder` and generate once with it.

    `device` and `dtype` are the settings DEVICE and DTYPE.
    Raises ModelError: missing, damaged or refused files, weights that do not fit the config, NaN,
    too little memory, an absent device. Raises WrongSettingsError for a dtype not had here.
    """
    checkpoint = inspect_checkpoint(folder)
    placement = choose_placement(device, dtype)
    _check_memory(checkpoint, placement)
    with _sentences_for_faults(folder):
        network = _load_network(checkpoint, placement)
        _check_finite(network, folder)
        loaded = _describe(network, checkpoint, placement)
        _warm_up(loaded)
    return loaded


def _check_memory(checkpoint: Checkpoint, placement: Placement) -> None:
    tensors = [tensor for path in checkpoint.weight_files for tensor in read_header(path)]
    needed = sum(tensor.num_elements for tensor in tensors) * placement.dtype.itemsize
    available = available_bytes(placement.device)
    if available is not None and needed * _MEMORY_SLACK > available:
        raise ModelError(
            "The model needs {needed} MB of memory on {device}, where {available} MB are free: "
            "choose a smaller MODEL or DTYPE=bfloat16.",
            needed=round(needed * _MEMORY_SLACK / 1e6),
            available=round(available / 1e6),
            device=placement.device.type,
        )


@contextmanager
def _sentences_for_faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise ModelError(
            "The model in {folder} cannot be loaded ({reason}): fetch or copy it again, or choose "
            "another MODEL.",
            folder=folder,
            reason=_first_line(error),
        ) from error
    except (RuntimeError, MemoryError) as error:
        if is_memory_fault(error):
            raise ModelError(
                "There is too little memory for the model in {folder}: choose a smaller MODEL or "
                "DTYPE=bfloat16.",
                folder=folder,
            ) from error
        raise ModelError(
            "The model in {folder} does not work here ({reason}): choose another MODEL or DEVICE.",
            folder=folder,
            reason=_first_line(error),
        ) from error


def _load_network(checkpoint: Checkpoint, placement: Placement) -> Network:
    auto_class: Any = AutoModelForCausalLM
    _quieten_transformers()
    config = AutoConfig.from_pretrained(
        checkpoint.folder, local_files_only=True, trust_remote_code=False
    )
    network, report = auto_class.from_pretrained(
        checkpoint.folder,
        config=config,
        dtype=placement.dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    _check_complete(checkpoint.folder, report)
    return network.to(placement.device).eval()


def _quieten_transformers() -> None:
    library: Any = transformers_logging
    library.disable_progress_bar()
    library.set_verbosity_error()  # its report of missing weights becomes our sentence


def _check_complete(folder: Path, report: dict[str, Any]) -> None:
    """Refuse weights that do not fit: transformers would fill the gaps with random numbers."""
    for name in ("missing_keys", "mismatched_keys", "error_msgs"):
        if report.get(name):
            raise ModelError(
                "The weights in {folder} do not fit their config.json ({names}): fetch or copy the "
                "model again.",
                folder=folder,
                names=", ".join(sorted(str(key) for key in report[name])[:3]),
            )


def _check_finite(network: Network, folder: Path) -> None:
    for name, tensor in network.named_parameters():
        low, high = torch.aminmax(tensor.detach())
        if not torch.isfinite(high - low):
            raise ModelError(
                "The weights in {folder} hold a number that is not finite ({name}): the model is "
                "broken, please choose another MODEL or fetch it again.",
                folder=folder,
                name=name,
            )


def _describe(network: Network, checkpoint: Checkpoint, placement: Placement) -> LoadedModel:
    tokenizer = load_tokenizer(checkpoint.folder)
    num_ids = int(network.get_input_embeddings().weight.shape[0])
    if tokenizer.num_ids > num_ids:
        raise ModelError(
            "The tokenizer in {folder} knows {num_tokens} tokens, the model only {num_rows}: they "
            "do not belong together, fetch or copy the model again.",
            folder=checkpoint.folder,
            num_tokens=tokenizer.num_ids,
            num_rows=num_ids,
        )
    end_ids = _end_ids(network, tokenizer.end_of_text_id, num_ids)
    # a model's own sampling defaults would fill whatever a request leaves unset
    network.generation_config = generation_config(
        eos_token_id=list(end_ids), pad_token_id=end_ids[0], use_cache=True
    )
    return LoadedModel(
        network=network,
        placement=placement,
        window=checkpoint.window,
        end_ids=end_ids,
        num_ids=num_ids,
        num_parameters=sum(tensor.numel() for tensor in network.parameters()),
        commit=checkpoint.commit,
    )


def _end_ids(network: Network, end_of_text_id: int, num_ids: int) -> tuple[int, ...]:
    """What ends a reply: the tokenizer's token, and those that the model's configs name."""
    ids: list[object] = [end_of_text_id]
    for source in (network.config, network.generation_config):
        named = getattr(source, "eos_token_id", None)
        ids += named if isinstance(named, list) else [named]
    return tuple(dict.fromkeys(i for i in ids if isinstance(i, int) and 0 <= i < num_ids))


def generation_config(**values: object) -> Any:
    """An explicit GenerationConfig."""
    untyped: Any = GenerationConfig
    return untyped(**values)


def _warm_up(loaded: LoadedModel) -> None:
    """The first pass allocates and chooses kernels; it also shows that the model works at all."""
    ids = torch.full((1, 1), loaded.end_ids[0], device=loaded.placement.device)
    loaded.network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=generation_config(
            max_new_tokens=1, do_sample=False, pad_token_id=loaded.end_ids[0]
        ),
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
