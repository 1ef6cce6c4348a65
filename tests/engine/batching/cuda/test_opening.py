"""How a GPT-2 opens on a CUDA device, as far as a processor can show."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine import opening
from bot.engine.batching.cuda import opening as cuda
from bot.engine.batching.cuda.self_check import UnsoundError
from bot.engine.batching.engine import LocalEngine
from bot.engine.checks import EngineLimits
from bot.engine.protocol import GenerationRequest
from bot.engine.pulse import WatchableEngine
from bot.engine.reference.engine import ReferenceEngine
from bot.engine.thread import EngineThread
from bot.errors import ModelError

ASSERT = torch.AcceleratorError("CUDA error: device-side assert triggered")
LIMITS = EngineLimits(cache_bytes=4_000_000)


@pytest.fixture
def thread() -> Iterator[EngineThread]:
    running = EngineThread("engine")
    yield running
    running.shutdown()


def open_here(folder: Path, thread: EngineThread) -> WatchableEngine:
    wanted = opening.Wanted(folder, "tiny", "cpu", "float32", 1, None, LIMITS)
    return opening._open_on_cuda(wanted, thread)


async def test_an_engine_opened_for_cuda_answers_from_its_slots(
    tiny_model: Path,
    thread: EngineThread,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bot")
    monkeypatch.setattr(cuda, "Capture", lambda device: list)
    engine = open_here(tiny_model, thread)
    assert isinstance(engine, LocalEngine)
    (completion,) = await engine.generate(
        GenerationRequest((1, 2, 3), SamplingParams(max_new_tokens=8))
    )
    assert completion.ids
    assert caplog.messages == ["Replies are made with CUDA graphs, in slots: 20 of 287 tokens."]
    await engine.close()


async def test_where_the_engine_computes_wrongly_transformers_makes_the_replies(
    tiny_model: Path,
    thread: EngineThread,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def find_fault(_: object) -> None:
        raise UnsoundError("a prompt alone differs by 1.0e+00 of the largest logit")

    monkeypatch.setattr(cuda, "check_network", find_fault)
    engine = open_here(tiny_model, thread)
    assert type(engine) is ReferenceEngine
    (line,) = caplog.messages
    assert "(a prompt alone differs by 1.0e+00 of the largest logit): transformers makes" in line
    await engine.close()


@pytest.mark.parametrize("where", ["check_network", "check_decoder"])
def test_a_broken_device_ends_the_start_in_a_sentence(
    where: str, tiny_model: Path, thread: EngineThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be done with the device in this process, not even by transformers."""

    def fail(*_: object) -> None:
        raise ASSERT

    monkeypatch.setattr(cuda, "Capture", lambda device: list)
    monkeypatch.setattr(cuda, where, fail)
    monkeypatch.setattr(cuda, "_touch", fail)
    with pytest.raises(ModelError, match="does not work here"):
        open_here(tiny_model, thread)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_graphs_are_captured_and_right(
    dtype: str, embedded_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot")
    ready, _ = cuda.load_on_cuda(embedded_model, "cuda", dtype, EngineLimits())
    assert ready.decoder is not None, caplog.messages


def test_slots_leave_a_part_of_the_free_memory_to_the_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10_000_000, 80_000_000))
    assert cuda._free_bytes(torch.device("cuda", 0)) == 8_000_000
