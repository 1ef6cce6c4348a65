"""Whether a device computes what it should, tried with the model itself before the first answer.

A driver, a card and a torch that were never tried together may run without an error and be wrong.
Importing this module imports torch.
"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.cuda.slot_decoder import SlotDecoder, SlotGroup
from bot.engine.batching.kv_cache import KvSequence
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.sampling.rules import ReplyRow, apply_rules
from bot.engine.sampling.sampler import Choice, pick

# Of the largest logit: kernels add in another order for another number of rows. DialoGPT's logits
# in bfloat16 are within 1e-2 of those in float32.
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
_LENGTHS = (1, 5, 24, 13)  # of prompts, in turns
_CAPACITY = 64  # a prompt, and two tokens for every size of step
_NUM_DRAWS = 8


class UnsoundError(Exception):
    """A way through the network is wrong here; the text says how."""


@torch.inference_mode()
def check_network(network: Gpt2) -> None:
    """Prompts read together, alone and in chunks have to agree; raises UnsoundError."""
    tolerance = TOLERANCES[network.cache_shape.dtype]
    prompts = _prompts(network, len(_LENGTHS))
    together = network.forward([network.piece(ids) for ids in prompts])
    for ids, row in zip(prompts, together, strict=True):
        alone = network.forward([network.piece(ids)])
        _compare("a prompt alone", alone, row[None], tolerance)
        sequence = KvSequence(network.cache_shape, len(ids))
        for start in range(0, len(ids), 7):
            chunk = network.forward([Piece(ids[start : start + 7], sequence)])
        _compare("a prompt in chunks", chunk, row[None], tolerance)
    _check_sampler(together, tolerance)


@torch.inference_mode()
def check_decoder(network: Gpt2, decoder: SlotDecoder) -> None:
    """Replies in slots, all and every second one of them, beside the network's own way."""
    for group in decoder.groups:
        _check_group(network, decoder, group)


def _check_group(network: Gpt2, decoder: SlotDecoder, group: SlotGroup) -> None:
    dice, prompts = _dice(1), _prompts(network, group.slots.num_slots)
    plain = [KvSequence(network.cache_shape, _CAPACITY) for _ in prompts]
    network.forward([Piece(ids, kept) for ids, kept in zip(prompts, plain, strict=True)])
    seated = [decoder.into_slot(kept, group.slots.capacity - 1) for kept in plain]
    for step in group.steps:
        for numbers in (range(step.size), range(1, step.size, 2)):  # others sit in between
            ids = [dice.randrange(network.shape.num_ids) for _ in numbers]
            if not ids or any(plain[n].length >= network.shape.window for n in numbers):
                continue
            expected = network.forward(_nexts(ids, [plain[n] for n in numbers]))
            found = decoder.forward(_nexts(ids, [seated[n] for n in numbers]))
            tolerance = TOLERANCES[network.cache_shape.dtype]
            _compare(f"a step of {step.size} slots", found, expected, tolerance)


def _check_sampler(logits: Tensor, tolerance: float) -> None:
    """The same numbers have to draw the same tokens as on the processor, equally likely ones."""
    params = SamplingParams(top_k=50, top_p=0.9, repetition_penalty=1.2, no_repeat_ngram_size=2)
    dice = _dice(2)
    rows = logits.repeat_interleave(_NUM_DRAWS, dim=0)
    choices = [Choice(params, dice.random()) for _ in rows]
    said = [ReplyRow(dice.choices(range(logits.shape[1]), k=9), params) for _ in rows]
    drawn = pick(apply_rules(rows, said, [0]), choices).cpu()
    there = rows.cpu()
    ruled = apply_rules(there, said, [0])
    expected = pick(ruled, choices)
    found, wanted = (ruled.gather(1, ids[:, None]) for ids in (drawn, expected))
    _compare("what was drawn", found, wanted, tolerance)


def _prompts(network: Gpt2, number: int) -> list[list[int]]:
    dice, longest = _dice(0), network.shape.window // 4
    lengths = [min(_LENGTHS[n % len(_LENGTHS)], longest) for n in range(number)]
    return [dice.choices(range(network.shape.num_ids), k=length) for length in lengths]


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - words are no secret


def _nexts(ids: Sequence[int], sequences: Sequence[KvSequence]) -> list[Piece]:
    return [Piece([token_id], sequence) for token_id, sequence in zip(ids, sequences, strict=True)]


def _compare(what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    error = float((found - expected).abs().max() / expected.abs().max())
    if not error <= tolerance:  # NaN is not
        raise UnsoundError(f"{what} differs by {error:.1e} of the largest logit")
