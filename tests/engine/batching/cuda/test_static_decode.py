"""The static way to decode beside the network's own."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bot.engine.batching.cuda.self_check import check_decoder
from bot.engine.batching.cuda.slot_decoder import SlotDecoder, make_decoder, plan_slots
from bot.engine.batching.cuda.slots import SlotSequence
from bot.engine.batching.kv_cache import CacheShape, KvSequence
from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.checks import EngineLimits
from tests.engine.recording import NOT_IN_A_GRAPH, Recorded, record
from tests.engine.running import (
    Watched,
)

MB = 2**20


def decoder_of(network: Gpt2, *plans: tuple[int, int]) -> SlotDecoder:
    return make_decoder(network, plans, list)


def read(network: Gpt2, ids: Sequence[int], capacity: int = 64) -> KvSequence:
    sequence = KvSequence(network.cache_shape, capacity)
    network.forward([Piece(ids, sequence)])
    return sequence


def steps(ids: Sequence[int], sequences: Sequence[KvSequence]) -> list[Piece]:
    return [Piece([token_id], sequence) for token_id, sequence in zip(ids, sequences, strict=True)]


def error(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


def seat(decoder: SlotDecoder, sequence: KvSequence, capacity: int = 60) -> SlotSequence:
    seated = decoder.into_slot(sequence, capacity)
    assert isinstance(seated, SlotSequence)
    return seated


@pytest.mark.parametrize("name", ["tiny", "embedded"])
@pytest.mark.parametrize(
    ("dtype", "bound"), [("float32", 1e-5), ("bfloat16", 2e-2)], ids=["float32", "bfloat16"]
)
def test_replies_that_join_and_leave_have_the_logits_of_the_network(
    name: str, dtype: str, bound: float, tiny_model: Path, embedded_model: Path
) -> None:
    folder = {"tiny": tiny_model, "embedded": embedded_model}[name]
    network = load_gpt2(folder, "cpu", dtype).network
    decoder = decoder_of(network, (5, 64), (3, 160))
    rng, running = random.Random(3), list[tuple[KvSequence, KvSequence]]()
    sizes = set[int]()
    for _ in range(40):
        if len(running) > 6 or (running and rng.random() < 0.3):
            running.pop(rng.randrange(len(running)))
        if rng.random() < 0.7:
            ids = rng.choices(range(network.shape.num_ids), k=rng.randint(1, 30))
            plain = read(network, ids, 160)
            other = plain.copy(plain.length, 160)  # where no slot is free it stays there
            running.append((plain, decoder.into_slot(other, rng.choice((40, 150)))))
        some = rng.sample(running, rng.randint(1, len(running))) if running else []
        some = [one for one in some if one[1].length < one[1].capacity - 4]
        if not some:
            continue
        texts = [
            rng.choices(range(network.shape.num_ids), k=rng.choice((1, 1, 1, 4))) for _ in some
        ]
        wants = [len(ids) == 1 or rng.random() < 0.5 for ids in texts]
        expected, found = (
            way([Piece(*one) for one in zip(texts, sequences, wants, strict=True)])
            for way, sequences in (
                (network.forward, [plain for plain, _ in some]),
                (decoder.forward, [seated for _, seated in some]),
            )
        )
        sizes.add(len(found))
        if len(found):
            assert error(found, expected) <= bound
    assert len(sizes) > 3
    del running, some, other
    assert [group.slots.num_free for group in decoder.groups] == [5, 3]


def test_what_a_slot_held_before_is_not_heard(loaded_gpt2: LoadedGpt2) -> None:
    network = loaded_gpt2.network
    decoder = decoder_of(network, (2, 64))
    broken = seat(decoder, read(network, range(30)))
    beside = seat(decoder, read(network, range(20)))
    broken.keys.fill_(torch.nan)
    broken.values.fill_(torch.inf)
    logits = decoder.forward(steps((5, 6), (broken, beside)))
    assert logits[0].isnan().all()
    assert error(logits[1:], network.forward(steps((6,), (read(network, range(20)),)))) <= 1e-5
    del broken
    again = seat(decoder, read(network, range(9)))
    assert again.number == 0
    assert (
        error(
            decoder.forward(steps((7,), (again,))),
            network.forward(steps((7,), (read(network, range(9)),))),
        )
        <= 1e-5
    )


def test_a_slot_that_takes_no_part_keeps_what_it_holds(loaded_gpt2: LoadedGpt2) -> None:
    network = loaded_gpt2.network
    decoder = decoder_of(network, (4, 64))
    seated = [seat(decoder, read(network, range(n + 3))) for n in range(4)]
    waiting = [(s.keys[:, :, :-1].clone(), s.values[:, :, :-1].clone()) for s in seated]
    decoder.forward(steps((1,), (seated[3],)))
    for sequence, (keys, values) in list(zip(seated, waiting, strict=True))[:3]:
        assert torch.equal(sequence.keys[:, :, :-1], keys)
        assert torch.equal(sequence.values[:, :, :-1], values)
    assert [s.length for s in seated] == [3, 4, 5, 7]


def test_a_reply_high_up_moves_down_when_the_others_have_left(loaded_gpt2: LoadedGpt2) -> None:
    network = loaded_gpt2.network
    decoder = decoder_of(network, (8, 64))
    seated = [seat(decoder, read(network, range(n + 3))) for n in range(8)]
    last = seated.pop()
    seated.clear()
    expected = network.forward(steps((9,), (read(network, range(10)),)))
    assert error(decoder.forward(steps((9,), (last,))), expected) <= 1e-5
    assert (last.number, decoder.groups[0].slots.num_free) == (0, 7)
    del last
    assert decoder.groups[0].slots.num_free == 8


def test_what_has_no_slot_goes_the_networks_own_way(loaded_gpt2: LoadedGpt2) -> None:
    network = loaded_gpt2.network
    decoder = decoder_of(network, (1, 64))
    plain = [read(network, range(n + 3)) for n in range(3)]
    taken = [decoder.into_slot(one.copy(one.length, 64), 60) for one in plain]
    assert [isinstance(one, SlotSequence) for one in taken] == [True, False, False]
    assert decoder.without_slot([10, 70]) == [10, 70]
    found = decoder.forward(steps((7, 8, 9), (taken[1], taken[0], taken[2])))
    assert error(found, network.forward(steps((7, 8, 9), [plain[n] for n in (1, 0, 2)]))) <= 1e-5


def test_a_step_that_fails_has_changed_no_sequence(loaded_gpt2: LoadedGpt2) -> None:
    network = Watched(loaded_gpt2.network)
    decoder = decoder_of(network, (1, 64))
    seated, plain = seat(decoder, read(network, range(4))), read(network, range(5))

    def fail(_: Sequence[Piece]) -> None:
        raise torch.OutOfMemoryError

    network.before.append(fail)
    with pytest.raises(torch.OutOfMemoryError):
        decoder.forward(steps((1, 2), (seated, plain)))
    network.before.clear()
    assert (seated.length, plain.length) == (4, 5)
    found = decoder.forward(steps((1, 2), (seated, plain)))
    expected = network.forward(steps((1, 2), [read(network, range(n)) for n in (4, 5)]))
    assert error(found, expected) <= 1e-5


MEDIUM = CacheShape(24, 16, 64, torch.bfloat16, torch.device("cpu"))


@pytest.mark.parametrize(
    ("shape", "window", "megabytes", "plans"),
    [
        (MEDIUM, 1024, 512, [(7, 384), (1, 1056)]),
        (MEDIUM, 1024, 4096, [(56, 384), (10, 1056)]),
        (MEDIUM, 1024, 32_768, [(64, 384), (64, 1056)]),
        (MEDIUM, 1024, 64, [(1, 384)]),
        (MEDIUM, 1024, 32, []),
        (MEDIUM, 256, 512, [(14, 288)]),
        (MEDIUM, 383, 512, [(10, 384)]),
    ],
)
def test_slots_are_planned_within_the_memory_for_keys_and_values(
    shape: CacheShape, window: int, megabytes: int, plans: list[tuple[int, int]]
) -> None:
    limits = EngineLimits(num_rows=64, cache_bytes=megabytes * MB)
    assert plan_slots(shape, window, limits) == plans
    used = sum(num_slots * capacity * shape.token_bytes for num_slots, capacity in plans)
    assert used <= 0.75 * limits.cache_bytes


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_recorded_step_serves_whoever_comes_later(embedded_model: Path, dtype: str) -> None:
    """Nothing of the first run is left in it: a CUDA graph of it will do."""
    network = load_gpt2(embedded_model, "cpu", dtype).network
    decoder = make_decoder(network, ((5, 96), (8, 128)), record)
    check_decoder(network, decoder)
    steps = [step for group in decoder.groups for step in group.steps]
    replays = [step.replay for step in steps]
    names = {
        str(func) for one in replays if isinstance(one, Recorded) for func, *_ in one.operations
    }
    assert any("scaled_dot_product" in name for name in names)
    assert [name for name in names if any(part in name for part in NOT_IN_A_GRAPH)] == []
