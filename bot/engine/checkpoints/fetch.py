"""`python -m bot fetch MODEL`: from a hub to a verified safetensors copy under the models folder.

A copy appears under its final name only when it is whole: everything happens in a `.partial`
folder beside it, which an interrupted fetch leaves behind for the next one to remove.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from filelock import FileLock, Timeout

from bot.engine.checkpoints.checkpoint import (
    DEFAULT_REVISION,
    PICKLED_WEIGHTS,
    WEIGHTS_INDEX,
    inspect_checkpoint,
    is_commit,
    is_hub_id,
    read_json,
    reference_file,
    refuse_code,
    repository_folder,
    shard_names,
    tensor_sizes,
)
from bot.engine.checkpoints.conversion import convert
from bot.engine.checkpoints.disk import check_room, flush, full_disk_error, is_full_disk
from bot.engine.checkpoints.download_plan import Plan, index_file, make_plan
from bot.engine.checkpoints.hub import Hub, Listing
from bot.engine.checkpoints.manifest import (
    FileRecord,
    check_fully,
    make_manifest,
    read_manifest,
    record,
    write_manifest,
)
from bot.errors import ModelError, UnavailableError

_PARTIAL = ".partial-"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched model; `fresh` is False when it was here already."""

    folder: Path
    fresh: bool


def fetch(model: str, revision: str | None, models_folder: Path, hub: Hub) -> Fetched:
    """Fetch `model` at `revision` (branch, tag or commit; None: main), convert and verify it.

    A second call for the same commit only verifies it. Progress bars go to stderr.
    A SIGTERM or SIGHUP meanwhile ends the process after what was begun is removed.
    Raises ModelError and UnavailableError, each a sentence that says what to do.
    """
    if not is_hub_id(model):
        raise ModelError(
            "{model} is not the name of a model on a hub, such as microsoft/DialoGPT-medium.",
            model=model,
        )
    wanted = revision or DEFAULT_REVISION
    try:
        with _unwound_by_signals(), _locked(model, models_folder) as folder:
            for left_over in folder.glob(f"{_PARTIAL}*"):
                shutil.rmtree(left_over)
            if is_commit(wanted) and _is_whole(folder / wanted):
                return Fetched(folder / wanted, fresh=False)
            return _fetch(hub, model, wanted, models_folder)
    except OSError as error:
        if is_full_disk(error):
            raise full_disk_error() from error
        raise UnavailableError(
            "The folder {folder} cannot be written ({reason}).",
            folder=models_folder,
            reason=error.strerror or error,
        ) from error


def plan_fetch(model: str, revision: str | None, hub: Hub) -> Plan:
    """What a fetch of `model` would download; nothing stays on the disk.

    Raises ModelError and UnavailableError, as the fetch would.
    """
    listing = hub.list_files(model, revision or DEFAULT_REVISION)
    with tempfile.TemporaryDirectory() as folder:
        return _plan(hub, listing, Path(folder))


def _fetch(hub: Hub, model: str, revision: str, models_folder: Path) -> Fetched:
    listing = hub.list_files(model, revision)
    folder = repository_folder(model, models_folder)
    target = folder / listing.commit
    fresh = not _is_whole(target)
    if fresh:
        shutil.rmtree(target, ignore_errors=True)
        _build(hub, listing, target)
    if not is_commit(revision):
        _write_reference(reference_file(model, revision, models_folder), listing.commit)
    return Fetched(target, fresh)


def _build(hub: Hub, listing: Listing, target: Path) -> None:
    partial = target.with_name(f"{_PARTIAL}{listing.commit}")
    partial.mkdir()
    try:
        plan = _plan(hub, listing, partial)
        check_room(partial, plan.disk_bytes)
        _download(hub, listing, plan, partial)
        converted_from = _to_safetensors(listing, plan, partial)
        write_manifest(
            partial, make_manifest(partial, listing.model, listing.commit, converted_from)
        )
        for weights in inspect_checkpoint(partial).weight_files:
            tensor_sizes(weights)
        flush(partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _plan(hub: Hub, listing: Listing, folder: Path) -> Plan:
    """What to download; an index of sharded weights, which names them, comes into `folder`."""
    index = index_file(listing)
    if index is None:
        return make_plan(listing, ())
    hub.download(listing, index, folder)
    return make_plan(listing, shard_names(folder / WEIGHTS_INDEX))


def _download(hub: Hub, listing: Listing, plan: Plan, partial: Path) -> None:
    for file in plan.small:
        hub.download(listing, file, partial)
    # before the gigabytes come
    refuse_code(partial, read_json(partial / "config.json"))
    for file in plan.weights:
        hub.download(listing, file, partial)


def _to_safetensors(listing: Listing, plan: Plan, partial: Path) -> FileRecord | None:
    if not plan.pickled:
        return None
    convert(partial)
    source = partial / PICKLED_WEIGHTS
    original = record(source)
    source.unlink()
    return original


def _is_whole(folder: Path) -> bool:
    try:
        manifest = read_manifest(folder)
        if manifest is not None:
            check_fully(folder, manifest)
    except ModelError:
        return False
    return manifest is not None


def _write_reference(path: Path, commit: str) -> None:
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f"{_PARTIAL}{path.name}")
    fresh.write_text(commit + os.linesep)
    fresh.replace(path)


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the fetch, so that it ends its child and tidies up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not its own
        return
    before = {
        number: signal.signal(number, _unwind)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # as under nohup
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unwind(number: int, _frame: FrameType | None) -> NoReturn:
    """End the process by its exception; another signal is not to break that off."""
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)  # the exit code as a shell tells it


@contextmanager
def _locked(model: str, models_folder: Path) -> Iterator[Path]:
    """The repository's folder, for one fetch at a time."""
    folder = repository_folder(model, models_folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield folder
    except Timeout as error:
        raise UnavailableError(
            "Another fetch of {model} is running: wait until it is done.", model=model
        ) from error
