"""The network, its loss, and its folder in the form that the bot loads."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging as transformers_logging

from bot.engine.reference.loader import load_model
from evaluation.errors import InputError
from training.corpus import Batch
from training.forms import IGNORED
from training.vocabulary import (
    END_ID,
    END_OF_TEXT,
    VOCABULARY_SIZE,
    WINDOW,
    as_text_only,
    wrap,
)

# transformers' own annotations contradict what its classes return and accept
Network = Any
DIRECTION = "banter_direction"  # in config.json
FORWARD, REVERSE = "forward", "reverse"  # REVERSE: its rows are newest turn first
_TARGET_STEP = 256  # few shapes: see training.corpus


def new_network(
    seed: int,
    *,
    layers: int = 4,
    heads: int = 6,
    width: int = 192,
    num_ids: int = VOCABULARY_SIZE,
) -> Network:
    """A GPT-2 with random weights that depend on `seed` alone."""
    config = GPT2Config(
        vocab_size=num_ids,
        n_positions=WINDOW,
        n_layer=layers,
        n_head=heads,
        n_embd=width,
        resid_pdrop=0.0,  # dialogues are new, or read a few times: little is learned by heart
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=END_ID,
        eos_token_id=END_ID,  # without a pad token: transformers would warn at every batch
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config)


def loss_of(network: Network, batch: Batch) -> tuple[Tensor, int]:
    """The summed loss over the batch's labels, and their number.

    The large output layer is computed only where there is a label. Padding stands on the right,
    where a causal network does not look, so no mask is needed.
    """
    hidden = network.transformer(batch.ids, use_cache=False).last_hidden_state
    targets = batch.labels[:, 1:].flatten()
    places = (targets != IGNORED).nonzero().squeeze(1)
    num_targets = len(places)
    places = functional.pad(places, (0, -num_targets % _TARGET_STEP))
    counted = targets[places]
    counted[num_targets:] = IGNORED
    logits = functional.linear(hidden[:, :-1].flatten(0, 1)[places], network.lm_head.weight)
    loss = functional.cross_entropy(logits.float(), counted, ignore_index=IGNORED, reduction="sum")
    return loss, num_targets


def load_network(folder: Path) -> Network:
    """The weights in `folder`, to be trained on. Raises ModelError, InputError."""
    loaded = load_model(folder, "cpu", "float32").network
    config = loaded.config
    fits = config.model_type == "gpt2" and config.eos_token_id == END_ID
    if not fits or config.n_positions != WINDOW:
        raise InputError(
            f"{folder} is no model that this program made: name the folder `model` of one of its "
            "trainings."
        )
    network = new_network(0, **shape_of(loaded))
    network.load_state_dict(loaded.state_dict())
    return network


def shape_of(network: Network) -> dict[str, int]:
    """What `new_network` needs to make another of the same shape."""
    config = network.config
    return {
        "layers": config.n_layer,
        "heads": config.n_head,
        "width": config.n_embd,
        "num_ids": config.vocab_size,
    }


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder. Raises InputError."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"{folder} has no tokenizer.json: name a model's folder.")
    tokenizer = as_text_only(Tokenizer.from_file(str(path)))
    if tokenizer.token_to_id(END_OF_TEXT) != END_ID:
        raise InputError(
            f"{path} was not made by this program, its {END_OF_TEXT} is not token {END_ID}: name "
            "the folder `model` of one of its trainings."
        )
    return tokenizer


def save(network: Network, tokenizer: Tokenizer, folder: Path, *, direction: str = FORWARD) -> None:
    """Write `network` in half precision, with its tokenizer and configs.

    A direction other than FORWARD stands in its config.json, as DIRECTION.
    """
    folder.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # as below
    half = GPT2LMHeadModel(network.config)
    half.load_state_dict(network.state_dict())
    half = half.half()  # type: ignore[no-untyped-call]  # transformers has no types here
    half.config.pad_token_id = END_ID
    if direction != FORWARD:
        setattr(half.config, DIRECTION, direction)
    half.generation_config = GenerationConfig(
        bos_token_id=END_ID, eos_token_id=END_ID, pad_token_id=END_ID
    )  # type: ignore[no-untyped-call]  # transformers has no types here
    half.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # others may read it, as the files beside it
    wrap(tokenizer).save_pretrained(folder)
