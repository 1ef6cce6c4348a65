"""A checkpoint on disk: which folder MODEL means, what is in it, and whether it is whole.

No torch here: a model that is missing or damaged is told within milliseconds.

A fetched repository lies in `<models_folder>/<org>--<name>/<commit>/`; the file
`<org>--<name>/refs/<revision>` names the commit that a branch or tag stood for when it was
fetched, as in a git repository.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from safetensors import SafetensorError, safe_open

from bot.engine.checkpoints.manifest import check_quickly, read_manifest
from bot.errors import ModelError

EMBEDDED = "embedded"
DEFAULT_REVISION = "main"
PICKLED_WEIGHTS = "pytorch_model.bin"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
CARD = "README.md"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model", "vocab.txt")
_EMBEDDED_FOLDER = Path(__file__).resolve().parent.parent.parent / "models" / "smalltalk"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LICENSE = re.compile(r"^license: *[\"']?([\w.+-]{1,40})[\"']? *$", re.ASCII | re.MULTILINE)
_SHARD = re.compile(r"[\w.-]+\.safetensors", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that holds all that a model needs; nothing in it was run or loaded yet.

    `commit` is empty for a folder that was not fetched.
    """

    folder: Path
    config: Mapping[str, object]
    weight_files: tuple[Path, ...]
    commit: str


def is_hub_id(model: str) -> bool:
    """Whether `model` has the form of a repository's name on the hub."""
    return _HUB_ID.fullmatch(model) is not None and ".." not in model and "--" not in model


def is_commit(revision: str) -> bool:
    """Whether `revision` is a full commit id."""
    return _COMMIT.fullmatch(revision) is not None


def repository_folder(model: str, models_folder: Path) -> Path:
    """Where all fetched commits of a hub repository lie."""
    return models_folder / model.replace("/", "--")


def reference_file(model: str, revision: str, models_folder: Path) -> Path:
    """The file that names the commit of a fetched branch or tag."""
    return repository_folder(model, models_folder) / "refs" / quote(revision, safe="")


def resolve_model(model: str, revision: str | None, models_folder: Path) -> Path:
    """The folder that MODEL means: `embedded`, a folder, or a repository that was fetched.

    Raises ModelError with what to do when it is not there.
    """
    if model == EMBEDDED:
        if not (_EMBEDDED_FOLDER / "config.json").is_file():
            raise ModelError(
                "This copy of Banter came without its embedded model: please set MODEL."
            )
        return _EMBEDDED_FOLDER
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not is_hub_id(model):
        raise ModelError(
            "MODEL is {model}, but there is no such folder: name one that is there, or a model "
            "of the hub such as microsoft/DialoGPT-medium.",
            model=model,
        )
    fetched = fetched_folder(model, revision or DEFAULT_REVISION, models_folder)
    if fetched is not None:
        return fetched
    option = f" --revision {revision}" if revision and revision != DEFAULT_REVISION else ""
    raise ModelError(
        "The model {model} is not on this machine yet: `{command}` fetches it.",
        model=model,
        command=f"python -m bot fetch {model}{option}",
    )


def fetched_folder(model: str, revision: str, models_folder: Path) -> Path | None:
    """The folder of a fetched revision, or None where it is not there."""
    commit = revision
    if not is_commit(revision):
        reference = reference_file(model, revision, models_folder)
        commit = reference.read_text().strip() if reference.is_file() else ""
    if not is_commit(commit):
        return None
    folder = repository_folder(model, models_folder) / commit
    return folder.resolve() if folder.is_dir() else None


def inspect_checkpoint(folder: Path) -> Checkpoint:
    """Read what `folder` holds and refuse what cannot or must not be loaded.

    Raises ModelError: a file is missing or damaged, was changed since it was fetched, only
    pickled weights, program code.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        check_quickly(folder, manifest)
    config = read_json(folder / "config.json")
    refuse_code(folder, config)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(
            "The model in {folder} has no tokenizer ({names}): copy its tokenizer files there.",
            folder=folder,
            names=", ".join(TOKENIZER_FILES[:2]),
        )
    return Checkpoint(
        folder=folder,
        config=config,
        weight_files=_weight_files(folder),
        commit=manifest.commit if manifest is not None else "",
    )


def read_json(path: Path) -> Mapping[str, object]:
    """A JSON object of a checkpoint; raises ModelError where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            "The model in {folder} has no {file}: please choose another MODEL.",
            folder=path.parent,
            file=path.name,
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(
            "The file {file} of the model cannot be read ({reason}): fetch or copy it again.",
            file=path,
            reason=error,
        ) from error
    if not isinstance(content, dict):
        raise ModelError("The file {file} of the model is not a JSON object.", file=path)
    return content


def tensor_sizes(weights: Path) -> dict[str, int]:
    """How many numbers each tensor of a safetensors file holds; only its header is read.

    Raises ModelError where the file is cut off or damaged.
    """
    try:
        # numpy, so that torch is not imported
        with safe_open(weights, framework="numpy") as opened:
            shapes = {name: opened.get_slice(name).get_shape() for name in list(opened.keys())}
    except (OSError, SafetensorError) as error:
        raise ModelError(
            "The weights {file} are cut off or damaged: fetch or copy the model again.",
            file=weights,
        ) from error
    return {name: math.prod(shape) for name, shape in shapes.items()}


def license_of(folder: Path) -> str:
    """The license that the model card in `folder` names (`mit`), or an empty text.

    The card's front matter holds it, between two lines `---` at its beginning.
    """
    try:
        card = (folder / CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    front = re.match(r"---\n(.*?)^---$", card, re.DOTALL | re.MULTILINE)
    named = _LICENSE.search(front[1]) if front else None
    return named[1] if named else ""


def shard_names(index: Path) -> tuple[str, ...]:
    """The files that an index of sharded weights names, at least one; raises ModelError."""
    weight_map = read_json(index).get("weight_map")
    named = weight_map.values() if isinstance(weight_map, dict) else ()
    names = sorted({str(name) for name in named})
    for name in names:
        # a name with a folder in it could lead out of the checkpoint
        if not _SHARD.fullmatch(name):
            raise _lacks(index.parent, name)
    if not names:
        raise ModelError("The file {file} of the model names no weights.", file=WEIGHTS_INDEX)
    return tuple(names)


def refuse_code(folder: Path, config: Mapping[str, object]) -> None:
    """Refuse a checkpoint that asks for program code of its own to be run."""
    tokenizer_config = folder / "tokenizer_config.json"
    settings = read_json(tokenizer_config) if tokenizer_config.is_file() else {}
    if "auto_map" in config or "auto_map" in settings:
        raise ModelError(
            "The model in {folder} brings program code of its own (auto_map), which Banter never "
            "runs: please choose another MODEL.",
            folder=folder,
        )


def _weight_files(folder: Path) -> tuple[Path, ...]:
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / WEIGHTS_INDEX).is_file():
        shards = tuple(folder / name for name in shard_names(folder / WEIGHTS_INDEX))
        for shard in shards:
            if not shard.is_file():
                raise _lacks(folder, shard.name)
        return shards
    if any(folder.glob("*.bin")):
        raise ModelError(
            "The model in {folder} has only pickled weights, which can hold a virus. From a hub, "
            "`python -m bot fetch` converts them; a folder of your own: save it as safetensors.",
            folder=folder,
        )
    raise _lacks(folder, WEIGHTS)


def _lacks(folder: Path, name: str) -> ModelError:
    return ModelError(
        "The model in {folder} lacks its weights {file}: copy or fetch it again.",
        folder=folder,
        file=name,
    )
