"""Attention of new tokens to their own sequence: Vaswani et al. 2017, section 3.2.1.

torch's own kernel is slow on processors without bfloat16 tiles (AMX): 0.43 ms for one token of
DialoGPT-medium at 350 tokens where this takes 0.10, and two to three times as long for a chunk
of a prompt (one core of an AMD EPYC with AVX512-BF16). Importing this module imports torch.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

# Of the queries: their scores stay in the cache, and below what the allocator gets from the
# system again each time.
_BLOCK_TOKENS = 64


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The attention output of a sequence's newest tokens, whose keys and values it holds already.

    `queries`: shape (num_heads, num_tokens, head_width); `keys`, `values`: (num_heads, length,
    head_width), of which the last `num_tokens` are the queries' own. Causal: each token looks at
    itself and those before it. Returns the shape and dtype of `queries`.
    """
    if queries.device.type != "cpu":
        return _whole(queries, keys, values)
    if queries.shape[1] > 1:
        return _in_blocks(queries, keys, values)
    return _whole(queries.float(), keys.float(), values.float()).to(queries.dtype)


def _whole(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    num_tokens, length = queries.shape[1], keys.shape[1]
    mask = None
    if 1 < num_tokens < length:
        visible = torch.ones(num_tokens, length, dtype=torch.bool, device=queries.device)
        mask = visible.tril(diagonal=length - num_tokens)
    return functional.scaled_dot_product_attention(
        queries[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=mask is None and num_tokens > 1,
    )[0]


def _in_blocks(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Block after block of queries, each with the keys that it sees and no others."""
    num_tokens, head_width = queries.shape[1:]
    start = keys.shape[1] - num_tokens
    scaled = queries * head_width**-0.5
    output = torch.empty_like(scaled)
    for first in range(0, num_tokens, _BLOCK_TOKENS):
        last = min(first + _BLOCK_TOKENS, num_tokens)
        scores = torch.bmm(scaled[:, first:last], keys[:, : start + last].transpose(1, 2))
        scores[:, :, start + first :] += _future(last - first, scores.dtype)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(scores.dtype)
        output[:, first:last] = torch.bmm(weights, values[:, : start + last])
    return output


@cache
def _future(num_tokens: int, dtype: torch.dtype) -> Tensor:
    """What is added to a block's scores of itself: minus infinity for the tokens to come."""
    with torch.inference_mode():
        return torch.full((num_tokens, num_tokens), -torch.inf, dtype=dtype).triu(diagonal=1)
