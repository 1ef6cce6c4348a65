"""Which checkpoints the engine for GPT-2s can run; no torch here."""

from collections.abc import Mapping

from bot.engine.checkpoints.checkpoint import Checkpoint

# What the network does, the default first; a checkpoint that asks for anything else is the
# reference engine's.
_FIXED: Mapping[str, tuple[object, ...]] = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}


def is_gpt2(config: Mapping[str, object]) -> bool:
    """Whether `config` is that of a network which `load_gpt2` can run."""
    return config.get("model_type") == "gpt2" and all(
        config.get(name, values[0]) in values for name, values in _FIXED.items()
    )


def own_bytes(checkpoint: Checkpoint) -> int:
    """The size of the weights where `load_gpt2` can run them, else 0; see choose_placement."""
    if not is_gpt2(checkpoint.config):
        return 0
    return sum(path.stat().st_size for path in checkpoint.weight_files)
