"""One forward pass of a GPT-2 over pieces of several sequences at once.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the names of the
weights are those of transformers' GPT2LMHeadModel. Importing this module imports torch.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from bot.engine.kv_cache import CacheShape, KvSequence
from bot.engine.linear import Linear, make_linear


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a GPT-2."""

    num_layers: int
    num_heads: int
    width: int
    window: int
    num_ids: int
    epsilon: float = 1e-5


@dataclass(frozen=True, slots=True)
class Piece:
    """The next tokens of a sequence: a chunk of a prompt, or the token that was drawn last.

    `ids`: shape (num_tokens,), at least one; `sequence` has room for them.
    """

    ids: Sequence[int]
    sequence: KvSequence
    wants_logits: bool = True


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class _Layer:
    norm_1: _Norm
    attention_in: Linear
    attention_out: Linear
    norm_2: _Norm
    mlp_in: Linear
    mlp_out: Linear


class Gpt2:
    """A network's weights, ready to run; nothing in it changes."""

    def __init__(self, tensors: MutableMapping[str, Tensor], shape: Shape) -> None:
        """Lay the weights out.

        `tensors` by their names in a checkpoint without the prefix `transformer.`, all of one
        dtype and device; the matrices of the layers are (num_in, num_out). They are taken out one
        after the other, so that memory never holds all of them twice.
        """
        self.shape = shape
        self._words = tensors["wte.weight"]
        self._places = tensors["wpe.weight"]
        self._layers = [_layer(tensors, f"h.{i}.") for i in range(shape.num_layers)]
        self._norm = _norm(tensors, "ln_f")
        self._head = make_linear(tensors.get("lm_head.weight", self._words))
        self.cache_shape = CacheShape(
            num_layers=shape.num_layers,
            num_heads=shape.num_heads,
            head_width=shape.width // shape.num_heads,
            dtype=self._words.dtype,
            device=self._words.device,
        )

    @torch.inference_mode()
    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """Run `pieces` through the network and lengthen their sequences.

        Returns float32 logits (num_wanting_pieces, num_ids), each of its piece's last token.
        If it raises, no sequence has changed.
        """
        device = self._words.device
        ids = torch.tensor(list(chain.from_iterable(p.ids for p in pieces)), device=device)
        starts = [(piece.sequence.length, len(piece.ids)) for piece in pieces]
        places = torch.cat([torch.arange(start, start + n, device=device) for start, n in starts])
        # the sum over the layers is kept in float32: bfloat16 would lose a little in each
        x = self._words[ids].float() + self._places[places].float()
        masks = [_mask(start, n, device) for start, n in starts]
        for number, layer in enumerate(self._layers):
            x = x + self._attend(layer, number, self._normed(x, layer.norm_1), pieces, masks)
            hidden = functional.gelu(
                layer.mlp_in(self._normed(x, layer.norm_2)), approximate="tanh"
            )
            x = x + layer.mlp_out(hidden)
        ends = torch.tensor([n for _, n in starts]).cumsum(0) - 1
        wanted = [
            end for end, piece in zip(ends.tolist(), pieces, strict=True) if piece.wants_logits
        ]
        logits = self._head(self._normed(x[wanted], self._norm)).float()
        for piece in pieces:
            piece.sequence.length += len(piece.ids)
        return logits

    def _normed(self, x: Tensor, norm: _Norm) -> Tensor:
        normed = functional.layer_norm(
            x, (self.shape.width,), norm.weight, norm.bias, self.shape.epsilon
        )
        return normed.to(self._words.dtype)

    def _attend(
        self,
        layer: _Layer,
        number: int,
        x: Tensor,
        pieces: Sequence[Piece],
        masks: list[Tensor | None],
    ) -> Tensor:
        """Attention of every piece to its own sequence: shape (num_tokens, width)."""
        sizes = (3, self.shape.num_heads, self.cache_shape.head_width)
        mixed = layer.attention_in(x).view(-1, *sizes).permute(1, 2, 0, 3)
        heard = []
        first = 0
        for piece, mask in zip(pieces, masks, strict=True):
            start, end = piece.sequence.length, piece.sequence.length + len(piece.ids)
            queries, keys, values = mixed[:, :, first : first + len(piece.ids)].unbind(0)
            kept_keys, kept_values = piece.sequence.keys[number], piece.sequence.values[number]
            kept_keys[:, start:end] = keys
            kept_values[:, start:end] = values
            heard.append(
                functional.scaled_dot_product_attention(
                    queries[None],
                    kept_keys[None, :, :end],
                    kept_values[None, :, :end],
                    attn_mask=mask,
                    is_causal=mask is None and start == 0 and end > 1,
                )[0]
            )
            first += len(piece.ids)
        joined = heard[0] if len(heard) == 1 else torch.cat(heard, dim=1)
        return layer.attention_out(joined.transpose(0, 1).reshape(-1, self.shape.width))


def _mask(start: int, num_tokens: int, device: torch.device) -> Tensor | None:
    """What each new token may see, (num_tokens, start + num_tokens); None: all, or causal."""
    if num_tokens == 1 or start == 0:
        return None
    visible = torch.ones(num_tokens, start + num_tokens, dtype=torch.bool, device=device)
    return visible.tril(diagonal=start)


def _layer(tensors: MutableMapping[str, Tensor], prefix: str) -> _Layer:
    return _Layer(
        norm_1=_norm(tensors, f"{prefix}ln_1"),
        attention_in=_linear(tensors, f"{prefix}attn.c_attn"),
        attention_out=_linear(tensors, f"{prefix}attn.c_proj"),
        norm_2=_norm(tensors, f"{prefix}ln_2"),
        mlp_in=_linear(tensors, f"{prefix}mlp.c_fc"),
        mlp_out=_linear(tensors, f"{prefix}mlp.c_proj"),
    )


def _linear(tensors: MutableMapping[str, Tensor], name: str) -> Linear:
    return make_linear(tensors.pop(f"{name}.weight").t(), tensors.pop(f"{name}.bias"))


def _norm(tensors: MutableMapping[str, Tensor], name: str) -> _Norm:
    return _Norm(tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float())
