"""One forward pass of a GPT-2 over pieces of several sequences at once.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the names of the
weights are those of transformers' GPT2LMHeadModel. Importing this module imports torch.
"""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain

import torch
from torch import Tensor
from torch.nn import functional

from bot.engine.batching.attention import attend
from bot.engine.batching.kv_cache import CacheShape, KvSequence
from bot.engine.batching.linear import Linear, make_linear
from bot.engine.placement.transfer import on_device

# What new tokens hear of their sequences in a layer, counted from 0: of queries, keys and values,
# shape (3, num_heads, num_tokens, head_width), it makes (num_heads, num_tokens, head_width).
Listen = Callable[[int, Tensor], Tensor]


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

    def __init__(
        self, tensors: MutableMapping[str, Tensor], shape: Shape, *, is_int8: bool = False
    ) -> None:
        """Lay the weights out; with `is_int8` the matrices in 8 bits.

        `tensors` by their names in a checkpoint without the prefix `transformer.`, all of one
        dtype and device; the matrices of the layers are (num_in, num_out). They are taken out one
        after the other, so that memory never holds all of them twice.
        """
        self.shape = shape
        self._words = tensors["wte.weight"]
        self._places = tensors["wpe.weight"]
        self._layers = [
            _layer(tensors, f"h.{i}.", is_int8=is_int8) for i in range(shape.num_layers)
        ]
        self._norm = _norm(tensors, "ln_f")
        self._head = make_linear(tensors.get("lm_head.weight", self._words), is_int8=is_int8)
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
        x = self._run(pieces)
        ends = accumulate(len(piece.ids) for piece in pieces)
        wanted = [end - 1 for end, piece in zip(ends, pieces, strict=True) if piece.wants_logits]
        logits = self.logits(x[on_device(wanted, x.device, torch.int64)])
        for piece in pieces:
            piece.sequence.length += len(piece.ids)
        return logits

    @torch.inference_mode()
    def read(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """Run `pieces` for what the network makes of each token, of the shape (num_tokens, width).

        `logits` makes logits of that. Sequences grow as in `forward`.
        """
        x = self._run(pieces)
        for piece in pieces:
            piece.sequence.length += len(piece.ids)
        return list(torch.split(x, [len(piece.ids) for piece in pieces]))

    @torch.inference_mode()
    def attention(self, piece: Piece, number: int) -> Tensor:
        """How much each token of `piece` looks at itself and those before it in layer `number`.

        Float32, (num_heads, num_tokens, length + num_tokens); counted from 0. The sequence grows.
        """
        x = self._run([piece], number)
        layer, start = self._layers[number], piece.sequence.length
        end = start + len(piece.ids)
        queries, keys, _ = self._mixed(layer, self._normed(x, layer.norm_1)).unbind(0)
        kept_keys = piece.sequence.keys[number]
        kept_keys[:, start:end] = keys
        scores = queries.float() @ kept_keys[:, :end].float().transpose(1, 2)
        visible = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device)
        scores = scores / self.cache_shape.head_width**0.5
        piece.sequence.length = end
        scores = scores.masked_fill(~visible.tril(start), -torch.inf)
        return torch.softmax(scores, dim=-1)

    def logits(self, states: Tensor) -> Tensor:
        """What follows each token: states (num_tokens, width) to float32 (num_tokens, num_ids)."""
        return self._head(self._normed(states, self._norm)).float()

    def _run(self, pieces: Sequence[Piece], num_layers: int | None = None) -> Tensor:
        """Every token of `pieces` through all layers, or the first `num_layers` of them.

        Shape (num_tokens, width), float32.
        """
        ids = list(chain.from_iterable(piece.ids for piece in pieces))
        starts = [(piece.sequence.length, len(piece.ids)) for piece in pieces]
        places = list(chain.from_iterable(range(start, start + n) for start, n in starts))
        inputs = on_device([ids, places], self._words.device)
        return self.through(inputs, partial(_attend, pieces), num_layers)

    def through(self, inputs: Tensor, listen: Listen, num_layers: int | None = None) -> Tensor:
        """Tokens through all layers, or the first `num_layers` of them.

        `inputs`: shape (2, num_tokens), the tokens' ids and their places. Returns float32 of the
        shape (num_tokens, width). No number of it passes through Python: a CUDA graph may hold it.
        """
        # the sum over the layers is kept in float32: bfloat16 would lose a little in each
        x = self._words[inputs[0]].float() + self._places[inputs[1]].float()
        for number, layer in enumerate(self._layers[:num_layers]):
            heard = listen(number, self._mixed(layer, self._normed(x, layer.norm_1)))
            x = x + layer.attention_out(heard.transpose(0, 1).reshape(-1, self.shape.width))
            x = x + layer.mlp_out(layer.mlp_in(self._normed(x, layer.norm_2)))
        return x

    def _normed(self, x: Tensor, norm: _Norm) -> Tensor:
        normed = functional.layer_norm(
            x, (self.shape.width,), norm.weight, norm.bias, self.shape.epsilon
        )
        return normed.to(self._words.dtype)

    def _mixed(self, layer: _Layer, x: Tensor) -> Tensor:
        """Queries, keys and values: shape (3, num_heads, num_tokens, head_width)."""
        sizes = (3, self.shape.num_heads, self.cache_shape.head_width)
        return layer.attention_in(x).view(-1, *sizes).permute(1, 2, 0, 3)


def _attend(pieces: Sequence[Piece], number: int, mixed: Tensor) -> Tensor:
    """Attention of every piece to its own sequence; see Listen."""
    heard = []
    first = 0
    for piece in pieces:
        start, end = piece.sequence.length, piece.sequence.length + len(piece.ids)
        queries, keys, values = mixed[:, :, first : first + len(piece.ids)].unbind(0)
        kept_keys, kept_values = piece.sequence.keys[number], piece.sequence.values[number]
        kept_keys[:, start:end] = keys
        kept_values[:, start:end] = values
        heard.append(attend(queries, kept_keys[:, :end], kept_values[:, :end]))
        first += len(piece.ids)
    return heard[0] if len(heard) == 1 else torch.cat(heard, dim=1)


def _layer(tensors: MutableMapping[str, Tensor], prefix: str, *, is_int8: bool) -> _Layer:
    def linear(name: str) -> Linear:
        weight, bias = tensors.pop(f"{prefix}{name}.weight"), tensors.pop(f"{prefix}{name}.bias")
        return make_linear(weight.t(), bias, is_int8=is_int8, with_gelu=name == "mlp.c_fc")

    return _Layer(
        norm_1=_norm(tensors, f"{prefix}ln_1"),
        attention_in=linear("attn.c_attn"),
        attention_out=linear("attn.c_proj"),
        norm_2=_norm(tensors, f"{prefix}ln_2"),
        mlp_in=linear("mlp.c_fc"),
        mlp_out=linear("mlp.c_proj"),
    )


def _norm(tensors: MutableMapping[str, Tensor], name: str) -> _Norm:
    return _Norm(tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float())
