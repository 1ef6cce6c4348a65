"""What a checkpoint's config says of its network, by the names and defaults of transformers.

Importing transformers takes seconds: the loaders do it in the engine's thread.
"""

import logging
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from bot.engine.checkpoints.checkpoint import read_json
from bot.errors import ModelError

# transformers' configs have no common type whose attributes are known
NetworkConfig = Any

logger = logging.getLogger(__name__)

# How architectures call the number of tokens that they can read, where transformers' map of names
# does not lead to the first.
_WINDOW_NAMES = (
    *("max_position_embeddings", "n_positions", "n_ctx"),
    *("max_seq_len", "max_sequence_length", "seq_length"),
)
_MAX_LIMIT = 2**24  # tokenizers without a limit of their own say 10^30
# Positions without a table (ALiBi) have no end; BLOOM and MPT were trained with twice as many.
_SOUND_WINDOW = 1024
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError)
# A state in the place of a window; transformers' classes for them take no cache as others do.
_RECURRENT = frozenset({"mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma", "xlstm"})


def read_whole_config(folder: Path) -> NetworkConfig:
    """The config of a checkpoint, which may hold those of several networks.

    Raises ModelError where transformers cannot read it.
    """
    from transformers import AutoConfig  # noqa: PLC0415 - heavy: see the module's docstring

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _UNREADABLE as error:
        raise unknown_network(error) from error


def read_network_config(folder: Path) -> NetworkConfig:
    """The config of the network in a checkpoint that makes text.

    Raises ModelError for one that describes no network that Banter can run.
    """
    config = read_whole_config(folder).get_text_config(decoder=True)
    if config.model_type in _RECURRENT:
        raise ModelError(
            "The model in {folder} is a recurrent network ({kind}), which Banter cannot run: "
            "choose another MODEL.",
            folder=folder,
            kind=config.model_type,
        )
    return config


def unknown_network(error: Exception) -> ModelError:
    """What a person is told of a config from which transformers makes no network."""
    return ModelError(
        "The config.json of the model describes no network that Banter knows ({reason}).",
        reason=(str(error).strip() or type(error).__name__).splitlines()[0],
    )


def window_of(config: NetworkConfig, folder: Path) -> int:
    """How many tokens the network can read, prompt and reply together.

    Where its config does not say, what its tokenizer was made for; else a number that the log
    tells.
    """
    for name in _WINDOW_NAMES:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 1:
            return value
    limit = _limit_of_tokenizer(folder)
    if isinstance(limit, int | float) and 1 < limit <= _MAX_LIMIT:
        return int(limit)
    logger.warning(
        "The model in %s does not say how many tokens it can read: %d are taken.",
        folder,
        _SOUND_WINDOW,
    )
    return _SOUND_WINDOW


def _limit_of_tokenizer(folder: Path) -> object:
    path = folder / "tokenizer_config.json"
    return read_json(path).get("model_max_length") if path.is_file() else None
