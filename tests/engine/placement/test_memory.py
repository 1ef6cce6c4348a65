"""What a model is told to take, against what it takes."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from inspect import getclosurevars, isfunction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bot.engine.batching.loader import load_gpt2
from bot.engine.batching.network import Gpt2
from bot.engine.checkpoints.checkpoint import inspect_checkpoint
from bot.engine.checkpoints.gpt2_config import own_bytes
from bot.engine.placement.device import available_bytes, choose_placement
from bot.engine.placement.memory import Demand, measure
from bot.engine.reference.loader import load_model
from tests.engine.batching.test_int8 import NEEDS_VNNI


def tensors_in(thing: object) -> Iterator[Tensor]:
    """Those in lists, in dataclasses, and those that functions hold."""
    if isinstance(thing, Tensor):
        yield thing
    elif isfunction(thing):
        yield from tensors_in(list(getclosurevars(thing).nonlocals.values()))
    elif isinstance(thing, list):
        for part in thing:
            yield from tensors_in(part)
    elif is_dataclass(thing) and not isinstance(thing, type):
        yield from tensors_in([getattr(thing, field.name) for field in fields(thing)])


def bytes_of(network: Gpt2) -> int:
    held = {id(tensor): tensor for tensor in tensors_in(list(vars(network).values()))}
    return sum(tensor.numel() * tensor.dtype.itemsize for tensor in held.values())


def demand(folder: Path, dtype: str, *, is_own: bool) -> Demand:
    checkpoint = inspect_checkpoint(folder)
    placement = choose_placement("cpu", dtype, own_bytes=own_bytes(checkpoint))
    return measure(checkpoint, placement, is_own=is_own)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_our_own_network_takes_what_is_told_its_words_twice(dtype: str, tiny_model: Path) -> None:
    told, network = demand(tiny_model, dtype, is_own=True), load_gpt2(tiny_model, "cpu", dtype)
    num_words = network.network.shape.num_ids * network.network.shape.width
    assert told.num_copied == num_words
    assert bytes_of(network.network) == pytest.approx(told.weight_bytes, rel=0.05)
    assert bytes_of(network.network) > 1.1 * told.num_parameters * told.placement.dtype.itemsize


@NEEDS_VNNI
def test_in_int8_loading_takes_what_is_told_and_what_is_kept_is_less(tiny_model: Path) -> None:
    told = demand(tiny_model, "int8", is_own=True)
    whole = told.num_parameters * told.placement.dtype.itemsize
    assert whole + told.num_copied == told.weight_bytes
    assert bytes_of(load_gpt2(tiny_model, "cpu", "int8").network) < told.weight_bytes


def test_in_transformers_the_words_are_there_once(tiny_model: Path) -> None:
    told = demand(tiny_model, "float32", is_own=False)
    network = load_model(tiny_model, "cpu", "float32").network
    assert told.weight_bytes == sum(one.numel() * 4 for one in network.parameters())


def test_without_a_layout_of_its_own_nothing_is_copied(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    told = demand(tiny_model, "float32", is_own=True)
    assert told.num_copied == 0
    assert bytes_of(load_gpt2(tiny_model, "cpu", "float32").network) == told.weight_bytes


def test_the_free_memory_of_this_machine_is_known() -> None:
    free = available_bytes(torch.device("cpu"))
    assert free is None or 2**20 < free < 2**50
