"""Matrices in 8 bits."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from bot.engine.batching.linear import make_linear
from bot.engine.batching.loader import load_gpt2
from bot.engine.checkpoints.checkpoint import inspect_checkpoint
from bot.engine.placement import device
from bot.engine.placement.device import can_quantise, choose_placement
from bot.engine.placement.survey import survey
from bot.engine.reference.loader import load_model
from bot.errors import WrongSettingsError

NEEDS_VNNI = pytest.mark.skipif(
    not can_quantise(), reason="this processor does not multiply 8-bit numbers exactly (no VNNI)"
)


@NEEDS_VNNI
@pytest.mark.parametrize("num_rows", [1, 3, 16, 130])
def test_the_product_is_that_of_the_rounded_numbers(num_rows: int) -> None:
    numbers = torch.Generator().manual_seed(num_rows)
    weight = torch.randn(40, 24, generator=numbers)
    bias = torch.randn(40, generator=numbers)
    x = torch.randn(num_rows, 24, generator=numbers)
    scales = weight.abs().amax(dim=1, keepdim=True) / 127
    steps = x.abs().amax(dim=1, keepdim=True) / 127
    rounded = functional.linear(
        (x / steps).round() * steps, (weight / scales).round() * scales, bias
    )
    product = make_linear(weight, bias, is_int8=True)(x)
    torch.testing.assert_close(product, rounded, rtol=1e-5, atol=1e-5)
    exact = functional.linear(x, weight, bias)
    assert float((product - exact).norm() / exact.norm()) < 0.02


@NEEDS_VNNI
def test_a_matrix_that_lies_the_other_way_round_is_the_same() -> None:
    weight = torch.randn(40, 24, generator=torch.Generator().manual_seed(1))
    x = torch.randn(3, 24, generator=torch.Generator().manual_seed(2))
    turned = weight.t().contiguous().t()
    assert make_linear(weight, is_int8=True)(x).equal(make_linear(turned, is_int8=True)(x))


@NEEDS_VNNI
def test_a_tokens_product_does_not_depend_on_the_others() -> None:
    numbers = torch.Generator().manual_seed(3)
    weight, bias = torch.randn(40, 24, generator=numbers), torch.randn(40, generator=numbers)
    multiply = make_linear(weight, bias, is_int8=True)
    x = torch.randn(20, 24, generator=numbers)
    x[7] *= 1000  # one scale for all of them would drown the others
    assert multiply(x)[3].equal(multiply(x[3:4])[0])


@NEEDS_VNNI
def test_nothing_and_no_number_come_through() -> None:
    numbers = torch.Generator().manual_seed(4)
    bias = torch.randn(40, generator=numbers)
    multiply = make_linear(torch.randn(40, 24, generator=numbers), bias, is_int8=True)
    assert multiply(torch.zeros(1, 24))[0].equal(bias)
    assert bool(torch.isnan(multiply(torch.full((1, 24), torch.nan))).all())
    assert make_linear(torch.zeros(40, 24), bias, is_int8=True)(torch.ones(1, 24))[0].equal(bias)


@NEEDS_VNNI
def test_a_gpt2_says_that_it_runs_in_int8(tiny_model: Path) -> None:
    loaded = load_gpt2(tiny_model, "cpu", "int8")
    assert loaded.info("tiny").dtype == "int8"


def test_int8_is_refused_with_what_to_do_where_the_model_is_no_gpt2(chat_model: Path) -> None:
    sentence = "works with GPT-2s such as DialoGPT only, and MODEL is another .*: set DTYPE=auto"
    with pytest.raises(WrongSettingsError, match=sentence):
        survey(inspect_checkpoint(chat_model), "cpu", "int8")


def test_int8_is_refused_with_what_to_do_off_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(WrongSettingsError, match="would run on mps: set DTYPE=auto, or DEVICE=cpu"):
        choose_placement("mps", "int8", own_bytes=1)


def test_int8_is_refused_with_what_to_do_without_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "can_quantise", lambda: False)
    with pytest.raises(WrongSettingsError, match=r"this processor does not .*: set DTYPE=auto"):
        choose_placement("cpu", "int8", own_bytes=1)


def test_transformers_says_of_a_gpt2_that_int8_is_not_for_this_command(tiny_model: Path) -> None:
    with pytest.raises(WrongSettingsError, match="set DTYPE=auto for this command"):
        load_model(tiny_model, "cpu", "int8")


@NEEDS_VNNI
def test_before_a_model_is_there_int8_is_not_refused() -> None:
    assert survey(None, "cpu", "int8").dtype == "int8"
