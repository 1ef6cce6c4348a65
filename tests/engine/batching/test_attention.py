"""Attention in blocks, against the plain formula."""

import pytest
import torch
from torch import Tensor

from bot.engine.batching.attention import attend


def plain(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The formula, token by token, in double precision."""
    start = keys.shape[1] - queries.shape[1]
    output = torch.empty_like(queries, dtype=torch.double)
    for i in range(queries.shape[1]):
        seen = slice(0, start + i + 1)
        scores = (keys[:, seen].double() @ queries[:, i, :, None].double()).squeeze(-1)
        weights = (scores / queries.shape[2] ** 0.5).softmax(dim=-1)
        output[:, i] = (weights[:, :, None] * values[:, seen].double()).sum(dim=1)
    return output


@pytest.mark.parametrize("before", [0, 1, 63, 64, 100])
@pytest.mark.parametrize("num_tokens", [1, 2, 63, 64, 65, 128, 130])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)], ids=str
)
def test_every_token_hears_itself_and_those_before_it(
    num_tokens: int, before: int, dtype: torch.dtype, tolerance: float
) -> None:
    length = before + num_tokens
    numbers = torch.Generator().manual_seed(length)
    qkv = torch.randn(3, 2, 256, 8, generator=numbers).to(dtype)
    queries = qkv[0, :, length - num_tokens : length]
    keys, values = qkv[1, :, :length], qkv[2, :, :length]
    output = attend(queries, keys, values)
    assert output.dtype == dtype
    torch.testing.assert_close(
        output.double(), plain(queries, keys, values), rtol=0, atol=tolerance
    )


def test_what_stands_behind_the_sequence_is_never_heard() -> None:
    kept = torch.randn(2, 2, 256, 8, generator=torch.Generator().manual_seed(1))
    kept[:, :, 100:] = torch.nan  # a sequence's room that was never written
    queries = torch.randn(2, 70, 8, generator=torch.Generator().manual_seed(2))
    assert bool(torch.isfinite(attend(queries, kept[0, :, :100], kept[1, :, :100])).all())
