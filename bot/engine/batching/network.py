"""One forward pass of a GPT-2 over pieces of several sequences at once.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the names of the
weights are those of transformers' GPT2LMHeadModel. Importing this module imports torch.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from bot.engine.batching.attention import attend
from bot.engine.batching.kv_cache import CacheShape, KvSequence
from bot.engine.batching.linear import Linear, make_linear
from bot.engine.placement.transfer import on_device

# The attention of a layer, counted from 0, to the sequences: of queries, keys and values, shape
# (3, num_heads, num_tokens, head_width), it makes (num_heads, num_tokens, head_width).
Attention = Callable[[int, Tensor], Tensor]
Norm = Callable[[Tensor], Tensor]


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


class Decoder(Protocol):
    """A faster way through a network for replies whose keys and values lie in slots."""

    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """See Gpt2.forward. The logits are good until the next call."""
        ...

    def without_slot(self, capacities: Iterable[int]) -> list[int]:
        """Those of `capacities`, each of a sequence that is to come, for which no slot is free."""
        ...

    def into_slot(self, sequence: KvSequence, capacity: int) -> KvSequence:
        """A copy of `sequence` in a slot for `capacity` tokens; itself where none is free."""
        ...


@dataclass(frozen=True, slots=True)
class _TransformerBlock:
    """A layer; the names are those of its weights."""

    ln_1: Norm
    c_attn: Linear
    c_proj: Linear
    ln_2: Norm
    c_fc: Linear
    mlp_c_proj: Linear


class Gpt2:
    """A network's weights, ready to run; nothing in it changes."""

    def __init__(
        self, tensors: MutableMapping[str, Tensor], shape: Shape, *, is_int8: bool = False
    ) -> None:
        """Lay the weights out; with `is_int8` the matrices in 8 bits.

        `tensors` by their names in a checkpoint without the prefix `transformer.`, all of one
        dtype and device; the matrices of the blocks are (num_in, num_out). They are taken out one
        after the other, so that memory never holds all of them twice.
        """
        self.shape = shape
        self._wte = tensors["wte.weight"]
        self._wpe = tensors["wpe.weight"]
        self._blocks = [
            _block(tensors, f"h.{i}.", shape.epsilon, is_int8=is_int8)
            for i in range(shape.num_layers)
        ]
        self._ln_f = _norm(tensors, "ln_f", shape.epsilon)
        self._lm_head = make_linear(tensors.get("lm_head.weight", self._wte), is_int8=is_int8)
        self.cache_shape = CacheShape(
            num_layers=shape.num_layers,
            num_heads=shape.num_heads,
            head_width=shape.width // shape.num_heads,
            dtype=self._wte.dtype,
            device=self._wte.device,
        )

    def piece(self, ids: Sequence[int]) -> Piece:
        """All of `ids` as the first tokens of a sequence with room for them alone."""
        return Piece(ids, KvSequence(self.cache_shape, len(ids)))

    @torch.inference_mode()
    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """Run `pieces` through the network and lengthen their sequences.

        Returns float32 logits (num_wanting_pieces, num_ids), each of its piece's last token.
        If it raises, no sequence has changed.
        """
        hidden = self._run(pieces)
        ends = accumulate(len(piece.ids) for piece in pieces)
        wanted = [end - 1 for end, piece in zip(ends, pieces, strict=True) if piece.wants_logits]
        logits = self.logits(hidden[on_device(wanted, hidden.device, torch.int64)])
        for piece in pieces:
            piece.sequence.length += len(piece.ids)
        return logits

    @torch.inference_mode()
    def read(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """The hidden states of each piece, of the shape (num_tokens, width), for `logits`.

        Sequences grow as in `forward`.
        """
        hidden = self._run(pieces)
        for piece in pieces:
            piece.sequence.length += len(piece.ids)
        return list(torch.split(hidden, [len(piece.ids) for piece in pieces]))

    @torch.inference_mode()
    def attention(self, piece: Piece, layer: int) -> Tensor:
        """How much each token of `piece` looks at itself and those before it in `layer`.

        Float32, (num_heads, num_tokens, length + num_tokens); counted from 0. The sequence grows.
        """
        x = self._run([piece], layer)
        start = piece.sequence.length
        end = start + len(piece.ids)
        queries, keys, _ = self._qkv(self._blocks[layer], x).unbind(0)
        kept_keys = piece.sequence.keys[layer]
        kept_keys[:, start:end] = keys
        scores = queries.float() @ kept_keys[:, :end].float().transpose(1, 2)
        visible = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device)
        scores = scores / self.cache_shape.head_width**0.5
        piece.sequence.length = end
        scores = scores.masked_fill(~visible.tril(start), -torch.inf)
        return torch.softmax(scores, dim=-1)

    def logits(self, hidden: Tensor) -> Tensor:
        """What follows each token: from (num_tokens, width) to float32 (num_tokens, num_ids)."""
        return self._lm_head(self._ln_f(hidden)).float()

    def _run(self, pieces: Sequence[Piece], num_layers: int | None = None) -> Tensor:
        """Every token of `pieces` through all layers, or the first `num_layers` of them.

        Shape (num_tokens, width), float32.
        """
        ids = list(chain.from_iterable(piece.ids for piece in pieces))
        starts = [(piece.sequence.length, len(piece.ids)) for piece in pieces]
        positions = list(chain.from_iterable(range(start, start + n) for start, n in starts))
        inputs = on_device([ids, positions], self._wte.device)
        return self.through(inputs, partial(_attend, pieces), num_layers)

    def through(
        self, inputs: Tensor, attention: Attention, num_layers: int | None = None
    ) -> Tensor:
        """Tokens through all layers, or the first `num_layers` of them.

        `inputs`: shape (2, num_tokens), the tokens' ids and positions. Returns float32 of the
        shape (num_tokens, width). No number of it passes through Python: a CUDA graph may hold it.
        """
        # the residual stream is kept in float32: bfloat16 would lose a little in each layer
        x = self._wte[inputs[0]].float() + self._wpe[inputs[1]].float()
        for layer, block in enumerate(self._blocks[:num_layers]):
            output = attention(layer, self._qkv(block, x))
            x = x + block.c_proj(output.transpose(0, 1).reshape(-1, self.shape.width))
            x = x + block.mlp_c_proj(block.c_fc(block.ln_2(x)))
        return x

    def _qkv(self, block: _TransformerBlock, x: Tensor) -> Tensor:
        """Queries, keys and values: shape (3, num_heads, num_tokens, head_width)."""
        sizes = (3, self.shape.num_heads, self.cache_shape.head_width)
        return block.c_attn(block.ln_1(x)).view(-1, *sizes).permute(1, 2, 0, 3)


def _attend(pieces: Sequence[Piece], layer: int, qkv: Tensor) -> Tensor:
    """Attention of every piece to its own sequence; see Attention."""
    outputs = []
    first = 0
    for piece in pieces:
        start, end = piece.sequence.length, piece.sequence.length + len(piece.ids)
        queries, keys, values = qkv[:, :, first : first + len(piece.ids)].unbind(0)
        kept_keys, kept_values = piece.sequence.keys[layer], piece.sequence.values[layer]
        kept_keys[:, start:end] = keys
        kept_values[:, start:end] = values
        outputs.append(attend(queries, kept_keys[:, :end], kept_values[:, :end]))
        first += len(piece.ids)
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


def _block(
    tensors: MutableMapping[str, Tensor], prefix: str, epsilon: float, *, is_int8: bool
) -> _TransformerBlock:
    def linear(name: str) -> Linear:
        weight, bias = tensors.pop(f"{prefix}{name}.weight"), tensors.pop(f"{prefix}{name}.bias")
        return make_linear(weight.t(), bias, is_int8=is_int8, with_gelu=name == "mlp.c_fc")

    return _TransformerBlock(
        ln_1=_norm(tensors, f"{prefix}ln_1", epsilon),
        c_attn=linear("attn.c_attn"),
        c_proj=linear("attn.c_proj"),
        ln_2=_norm(tensors, f"{prefix}ln_2", epsilon),
        c_fc=linear("mlp.c_fc"),
        mlp_c_proj=linear("mlp.c_proj"),
    )


def _norm(tensors: Mapping[str, Tensor], name: str, epsilon: float) -> Norm:
    """A layer norm of float32, which returns the weights' dtype."""
    dtype = tensors[f"{name}.weight"].dtype
    weight, bias = tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float()
    return lambda x: functional.layer_norm(x, weight.shape, weight, bias, epsilon).to(dtype)
