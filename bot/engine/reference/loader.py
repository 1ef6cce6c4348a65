"""A checkpoint's weights on a device, checked, ready to generate.

Importing this module imports torch and transformers (4 s): `bot.engine.opening` does it in a
thread. Only safetensors are read, nothing is fetched, and no code of a checkpoint is run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging as transformers_logging

from bot.engine.checkpoints.checkpoint import Checkpoint, inspect_checkpoint
from bot.engine.checkpoints.gpt2_config import is_gpt2
from bot.engine.checkpoints.network_config import read_network_config, window_of
from bot.engine.placement.device import INT8, Placement, choose_placement
from bot.engine.placement.memory import check_memory
from bot.engine.placement.soundness import (
    check_finite,
    does_not_fit,
    read_vocabulary,
    sentences_for_faults,
)
from bot.engine.sampling.letters import WholeLetters, whole_letters
from bot.errors import WrongSettingsError

# transformers' own annotations contradict what its classes return and accept
Network = Any


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network on its device and the facts the engine needs of it.

    `end_ids`: the tokens that end a reply, at least one. `num_ids`: rows of the embedding; an
    id at or above it would break a CUDA device for good. `letters`: where tokens stand for bytes.
    """

    network: Network
    placement: Placement
    window: int
    end_ids: tuple[int, ...]
    num_ids: int
    num_parameters: int
    commit: str
    letters: WholeLetters | None = None


def load_model(folder: Path, device: str, dtype: str) -> LoadedModel:
    """Load the checkpoint in `folder` and generate once with it.

    `device` and `dtype` are the settings DEVICE and DTYPE.
    Raises ModelError: missing, damaged or refused files, weights that do not fit the config, NaN,
    too little memory, an absent device. Raises WrongSettingsError for a dtype not had here.
    """
    checkpoint = inspect_checkpoint(folder)
    _refuse_int8(checkpoint, dtype)
    placement = choose_placement(device, dtype)
    check_memory(checkpoint, placement, is_own=False)
    with sentences_for_faults(folder):
        network = _load_network(checkpoint, placement)
        check_finite(network.named_parameters(), folder)
        loaded = _describe(network, checkpoint, placement)
        _warm_up(loaded)
    return loaded


def _refuse_int8(checkpoint: Checkpoint, dtype: str) -> None:
    """Say of a GPT-2 that it is not the model's fault; choose_placement refuses the others."""
    if dtype == INT8 and is_gpt2(checkpoint.config):
        raise WrongSettingsError(
            "DTYPE is int8, but this command runs the model with transformers, which does not "
            "have it: set DTYPE=auto for this command."
        )


def _load_network(checkpoint: Checkpoint, placement: Placement) -> Network:
    auto_class: Any = AutoModelForCausalLM
    library: Any = transformers_logging
    library.disable_progress_bar()
    library.set_verbosity_error()  # its report of missing weights becomes our sentence
    network, report = auto_class.from_pretrained(
        checkpoint.folder,
        dtype=placement.dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    # weights that do not fit: transformers would fill the gaps with random numbers
    for name in ("missing_keys", "mismatched_keys", "error_msgs"):
        if report.get(name):
            raise does_not_fit(checkpoint.folder, report[name])
    return network.to(placement.device).eval()


def _describe(network: Network, checkpoint: Checkpoint, placement: Placement) -> LoadedModel:
    num_ids = int(network.get_input_embeddings().weight.shape[0])
    config = read_network_config(checkpoint.folder)
    configs = [vars(config), vars(network.generation_config)]
    vocabulary = read_vocabulary(checkpoint.folder, configs, num_ids)
    ends = vocabulary.end_ids
    # a model's own sampling defaults would fill whatever a request leaves unset
    network.generation_config = generation_config(
        eos_token_id=list(ends), pad_token_id=ends[0], use_cache=True
    )
    return LoadedModel(
        network=network,
        placement=placement,
        window=window_of(config, checkpoint.folder),
        end_ids=ends,
        num_ids=num_ids,
        num_parameters=sum(tensor.numel() for tensor in network.parameters()),
        commit=checkpoint.commit,
        letters=whole_letters(vocabulary.spelling, placement.device),
    )


def generation_config(**values: object) -> Any:
    """An explicit GenerationConfig."""
    untyped: Any = GenerationConfig
    return untyped(**values)


def _warm_up(loaded: LoadedModel) -> None:
    """The first pass allocates and chooses kernels; it also shows that the model works at all."""
    ids = torch.full((1, 1), loaded.end_ids[0], device=loaded.placement.device)
    loaded.network.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=1, do_sample=False
    )
