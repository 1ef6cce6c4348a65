"""Which number format a model runs in."""

from pathlib import Path

import pytest
import torch

from bot.engine.batching.loader import load_gpt2
from bot.engine.checkpoints.checkpoint import inspect_checkpoint
from bot.engine.checkpoints.gpt2_config import own_bytes
from bot.engine.opening import open_engine
from bot.engine.placement import device
from bot.engine.placement.device import LARGE_BYTES, choose_placement, has_fast_bfloat16
from bot.engine.placement.memory import measure
from bot.engine.placement.survey import survey


@pytest.fixture(params=[True, False], ids=["a processor with bfloat16", "a processor without"])
def is_fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    known = {"avx512_bf16": request.param, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    return bool(request.param)


@pytest.fixture
def tiny_counts_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "LARGE_BYTES", 1000)


def test_a_large_gpt2_runs_in_bfloat16_where_the_processor_is_fast_at_it(is_fast: bool) -> None:
    expected = torch.bfloat16 if is_fast else torch.float32
    assert choose_placement("cpu", "auto", own_bytes=LARGE_BYTES).dtype is expected
    assert choose_placement("cpu", "auto", own_bytes=LARGE_BYTES - 1).dtype is torch.float32
    assert choose_placement("cpu", "auto").dtype is torch.float32  # another architecture
    assert choose_placement("cpu", "float32", own_bytes=LARGE_BYTES).dtype is torch.float32
    assert choose_placement("cpu", "bfloat16").dtype is torch.bfloat16


def test_amx_counts_and_a_torch_that_cannot_tell_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert has_fast_bfloat16()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not has_fast_bfloat16()
    monkeypatch.undo()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_fast_bfloat16()


def test_only_a_gpt2_is_our_own(tiny_model: Path, chat_model: Path) -> None:
    assert own_bytes(inspect_checkpoint(tiny_model)) > 45888 * 4
    assert own_bytes(inspect_checkpoint(chat_model)) == 0


@pytest.mark.usefixtures("tiny_counts_as_large")
def test_what_is_loaded_is_what_the_doctor_says(tiny_model: Path, is_fast: bool) -> None:
    loaded = load_gpt2(tiny_model, "cpu", "auto")
    checkpoint = inspect_checkpoint(tiny_model)
    told = survey(checkpoint, "cpu", "auto")
    assert told.dtype == loaded.info("tiny").dtype == ("bfloat16" if is_fast else "float32")
    assert told.needed_bytes == measure(checkpoint, loaded.placement, is_own=True).needed_bytes
    half, full = (survey(checkpoint, "cpu", name).needed_bytes for name in ("bfloat16", "float32"))
    assert told.needed_bytes == (half if is_fast else full)
    assert abs(half * 2 - full) <= 1


def test_without_a_model_both_formats_are_told(is_fast: bool) -> None:
    assert survey(None, "cpu", "auto").dtype == ("float32/bfloat16" if is_fast else "float32")
    assert survey(None, "cpu", "float32").dtype == "float32"


@pytest.mark.usefixtures("tiny_counts_as_large")
async def test_the_log_says_that_bfloat16_was_chosen(
    tiny_model: Path,
    is_fast: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bot")
    engine = await open_engine(tiny_model, model="tiny", device="cpu", dtype="auto", num_threads=1)
    await engine.close()
    assert f"{'bfloat16' if is_fast else 'float32'} on cpu" in caplog.text
