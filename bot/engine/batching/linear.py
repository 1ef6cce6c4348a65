"""A matrix with a bias, laid out as the device multiplies it fastest.

Importing this module imports torch.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from bot.engine.placement.device import can_pack

Linear = Callable[[Tensor], Tensor]  # (num_tokens, num_in) -> (num_tokens, num_out)
_PACKED_ROWS = 8  # what oneDNN lays the weights out for: a step of several people's replies
_LARGEST = 127  # of 8 bits with a sign; -128 is left out, so that both directions are alike
_ROUNDED_ROWS = 1024  # at a time: on the way each number takes 8 bytes
_ZERO = 128  # what stands for 0 where there is no sign


def make_linear(
    weight: Tensor, bias: Tensor | None = None, *, is_int8: bool = False, with_gelu: bool = False
) -> Linear:
    """`x @ weight.T + bias` for weights (num_out, num_in); in and out have the weights' dtype.

    With `with_gelu` GPT-2's GELU (its approximation by tanh) is applied to the product.

    On a processor oneDNN's own layout is 1.8 to 2.8 times as fast as a plain matrix, in float32
    and bfloat16, for 1 row as for 16. With `is_int8` (processors only) the weights are kept in 8
    bits: twice as fast as bfloat16, and less exact.
    """
    if not is_int8 and weight.device.type == "cpu" and can_pack(weight.dtype):
        return _packed(weight, bias, with_gelu=with_gelu)
    multiply = _quantised(weight, bias) if is_int8 else _plain(weight, bias)
    if not with_gelu:
        return multiply
    return lambda x: functional.gelu(multiply(x), approximate="tanh")


def _plain(weight: Tensor, bias: Tensor | None) -> Linear:
    laid_out = weight.contiguous()
    return lambda x: functional.linear(x, laid_out, bias)


def _packed(weight: Tensor, bias: Tensor | None, *, with_gelu: bool) -> Linear:
    # torch's compiler uses these operators; they have no public name.
    pack, apply = torch.ops.mkldnn._reorder_linear_weight, torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
    packed = pack(weight.contiguous(), _PACKED_ROWS)
    then: tuple[object, ...] = ("gelu", [], "tanh") if with_gelu else ("none", [], "")
    return lambda x: apply(x, packed, bias, *then)


def _rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`weight` in 8 bits, and a scale for each of its rows."""
    scales = weight.abs().amax(dim=1).float().clamp(min=torch.finfo(torch.float32).tiny) / _LARGEST
    return (weight.float() / scales[:, None]).round().to(torch.int8), scales


def _quantised(weight: Tensor, bias: Tensor | None) -> Linear:
    """Weights in 8 bits with a scale for each output, inputs with a scale for each token.

    A scale of its own for each token, unlike torch's quantize_dynamic, which has one for all:
    other rows of the same step do not change a reply. Whole numbers are added exactly.
    """
    pieces = [
        _rounded(rows) for rows in torch.tensor_split(weight, -(-len(weight) // _ROUNDED_ROWS))
    ]
    whole, scales = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    packed = torch.ops.onednn.qlinear_prepack(whole.contiguous(), None)
    zeros = torch.zeros_like(scales, dtype=torch.int64)
    added = torch.zeros_like(scales) if bias is None else bias.float()

    def multiply(x: Tensor) -> Tensor:
        steps = x.abs().amax(dim=1, keepdim=True).float() / _LARGEST
        steps = steps.clamp(min=torch.finfo(torch.float32).tiny)
        levels = (x / steps).round_().add_(_ZERO).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            *(levels, 1.0, _ZERO, packed, scales, zeros, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        return torch.addcmul(added, product, steps).to(x.dtype)

    return multiply
