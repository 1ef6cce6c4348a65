"""The embedded model's network, its loss, and its folder in the form that the bot loads."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging as transformers_logging

from training.corpus import IGNORED, Batch
from training.vocabulary import END_ID, VOCABULARY_SIZE, WINDOW, wrap

# transformers' own annotations contradict what its classes return and accept
Network = Any
_TARGET_STEP = 256  # few shapes: see training.corpus


def new_network(seed: int, *, layers: int = 4, heads: int = 6, width: int = 192) -> Network:
    """A GPT-2 with random weights that depend on `seed` alone."""
    config = GPT2Config(
        vocab_size=VOCABULARY_SIZE,
        n_positions=WINDOW,
        n_layer=layers,
        n_head=heads,
        n_embd=width,
        resid_pdrop=0.0,  # every dialogue is new: nothing is learned by heart
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


def save(network: Network, tokenizer: Tokenizer, folder: Path) -> None:
    """Write `network` in half precision, with its tokenizer and configs."""
    folder.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # as below
    half = GPT2LMHeadModel(network.config)
    half.load_state_dict(network.state_dict())
    half = half.half()  # type: ignore[no-untyped-call]  # transformers has no types here
    half.config.pad_token_id = END_ID
    half.generation_config = GenerationConfig(
        bos_token_id=END_ID, eos_token_id=END_ID, pad_token_id=END_ID
    )  # type: ignore[no-untyped-call]  # transformers has no types here
    half.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # others may read it, as the files beside it
    wrap(tokenizer).save_pretrained(folder)
