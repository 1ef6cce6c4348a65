"""What the check before the first answer finds, and what follows from it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bot.engine.batching.cuda.opening import ready_for_cuda
from bot.engine.batching.cuda.self_check import UnsoundError, check_decoder, check_network
from bot.engine.batching.cuda.slot_decoder import Prepare, make_decoder
from bot.engine.batching.cuda.slots import SlotSequence
from bot.engine.batching.cuda.static_decode import StaticDecode
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
from bot.engine.checks import EngineLimits
from tests.engine.recording import recorded
from tests.engine.running import (
    Watched,
)


def test_a_sound_network_and_decoder_pass_the_check(loaded_gpt2: LoadedGpt2) -> None:
    check_network(loaded_gpt2.network)
    check_decoder(loaded_gpt2.network, make_decoder(loaded_gpt2.network, ((5, 96), (8, 128)), list))


def first_slots(decode: StaticDecode) -> None:
    """Every row of a step is that of the first slot."""
    run = decode.run
    decode.run = lambda: run()[:1].expand(decode.size, -1)  # type: ignore[method-assign]  # a fault


def not_a_number(decode: StaticDecode) -> None:
    run = decode.run
    decode.run = lambda: run() * torch.nan  # type: ignore[method-assign]  # a fault


def nobody_reads(decode: StaticDecode) -> None:
    """Who takes no part is written to as if it did."""
    decode._inputs[2] = 0
    put = decode.set

    def set_wrongly(taking_part: Sequence[tuple[int, SlotSequence]]) -> None:
        put(taking_part)
        cells = decode._inputs[2]
        cells[cells == decode.slots.capacity - 1] = 0

    decode.set = set_wrongly  # type: ignore[method-assign]  # a fault


@pytest.mark.parametrize("spoil", [first_slots, not_a_number, nobody_reads])
def test_wrong_graphs_are_not_used_and_the_log_says_so(
    spoil: Callable[[StaticDecode], None],
    loaded_gpt2: LoadedGpt2,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def capture(_: torch.device) -> Prepare:
        def prepare(decodes: Sequence[StaticDecode]) -> None:
            for decode in decodes:
                spoil(decode)

        return prepare

    ready, limits = ready_for_cuda(loaded_gpt2, EngineLimits(), capture)
    assert ready.decoder is None
    assert limits == EngineLimits(num_rows=64)
    (line,) = caplog.messages
    assert line.startswith("Replies are made without CUDA graphs, more slowly (a step of ")


def test_a_capture_that_fails_leaves_the_engine_without_graphs(
    loaded_gpt2: LoadedGpt2, caplog: pytest.LogCaptureFixture
) -> None:
    def capture(_: torch.device) -> Prepare:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    ready, _ = ready_for_cuda(loaded_gpt2, EngineLimits(), capture)
    assert ready.decoder is None
    (line,) = caplog.messages
    assert line.endswith("more slowly (operation not permitted when stream is capturing).")


def test_a_network_that_hears_its_neighbours_does_not_pass(loaded_gpt2: LoadedGpt2) -> None:
    network = Watched(loaded_gpt2.network)

    def mix(pieces: Sequence[Piece], logits: Tensor) -> None:
        if len(pieces) > 1:
            logits += logits.roll(1, 0)

    network.after.append(mix)
    with pytest.raises(UnsoundError, match="a prompt alone differs"):
        ready_for_cuda(replace(loaded_gpt2, network=network), EngineLimits(), recorded)
