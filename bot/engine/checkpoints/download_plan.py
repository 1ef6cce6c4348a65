"""Which files of a repository a model needs."""

from dataclasses import dataclass

from bot.engine.checkpoints.checkpoint import (
    CARD,
    PICKLED_WEIGHTS,
    TOKENIZER_FILES,
    WEIGHTS,
    WEIGHTS_INDEX,
)
from bot.engine.checkpoints.hub import Listing, RemoteFile
from bot.errors import ModelError

_PICKLED_INDEX = "pytorch_model.bin.index.json"
_SMALL_FILES = (
    CARD,  # it names the license
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    *TOKENIZER_FILES,
)
_MAX_SMALL = 64 * 2**20
_MAX_WEIGHTS = 64 * 2**30


@dataclass(frozen=True, slots=True)
class Plan:
    """Which files to fetch; `weights` are safetensors, or one pickle that is then converted."""

    small: tuple[RemoteFile, ...]
    weights: tuple[RemoteFile, ...]

    @property
    def num_bytes(self) -> int:
        """What is downloaded."""
        return sum(file.size for file in (*self.small, *self.weights))

    @property
    def disk_bytes(self) -> int:
        """What the disk has to hold: a pickle lies beside what it is converted to."""
        return self.num_bytes + (self.weights[0].size if self.pickled else 0)

    @property
    def pickled(self) -> bool:
        """Whether the weights have to be converted."""
        return self.weights[0].name == PICKLED_WEIGHTS


def index_file(listing: Listing) -> RemoteFile | None:
    """The file that says which shards hold the weights, where a plan needs to know them."""
    index = listing.files.get(WEIGHTS_INDEX)
    if index is None or WEIGHTS in listing.files:
        return None
    if index.size > _MAX_SMALL:
        raise _too_large(listing)
    return index


def make_plan(listing: Listing, shards: tuple[str, ...]) -> Plan:
    """Choose what is needed of `listing`; `shards` are those that its index names.

    Raises ModelError where something is missing or too large.
    """
    files = listing.files
    if "config.json" not in files or files.keys().isdisjoint(TOKENIZER_FILES):
        raise ModelError(
            "{model} has no config.json or no tokenizer: it is not a model that Banter can use.",
            model=listing.model,
        )
    small = tuple(files[name] for name in _SMALL_FILES if name in files)
    weights = _choose_weights(listing, shards)
    sizes = [file.size for file in small]
    if max(sizes) > _MAX_SMALL or sum(file.size for file in weights) > _MAX_WEIGHTS:
        raise _too_large(listing)
    return Plan(small, weights)


def _choose_weights(listing: Listing, shards: tuple[str, ...]) -> tuple[RemoteFile, ...]:
    files = listing.files
    names = shards or tuple(name for name in (WEIGHTS, PICKLED_WEIGHTS) if name in files)[:1]
    for name in names:
        if name not in files:
            raise ModelError(
                "{model} lacks its weights {file}: it is not a model that Banter can use.",
                model=listing.model,
                file=name,
            )
    if names:
        return tuple(files[name] for name in names)
    if _PICKLED_INDEX in files:
        raise ModelError(
            "{model} has its weights in several pickled files, which Banter does not convert: "
            "choose another MODEL, or save this one as safetensors with transformers "
            "(save_pretrained) and set MODEL to that folder.",
            model=listing.model,
        )
    raise ModelError(
        "{model} has neither {safe} nor {pickled}: it is not a model that Banter can use.",
        model=listing.model,
        safe=WEIGHTS,
        pickled=PICKLED_WEIGHTS,
    )


def _too_large(listing: Listing) -> ModelError:
    return ModelError("The files of {model} are too large.", model=listing.model)
