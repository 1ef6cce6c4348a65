"""Every way that a fetch can go wrong: one sentence each, and nothing left behind."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bot.engine.checkpoints.disk import is_full_disk
from bot.engine.checkpoints.fetch import fetch
from bot.engine.checkpoints.hub import Hub
from bot.engine.checkpoints.weights import convert_weights
from bot.errors import EXIT_UNAVAILABLE, ModelError, UnavailableError
from tests.engine.checkpoints.fetching import (
    COMMIT,
    MODEL,
    PICKLED,
    get,
    leftovers,
    link,
    replace_file,
)
from tests.engine.checkpoints.hub import LoopbackHub


class Bomb:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (os.mkdir, (str(self._path),))


@pytest.mark.parametrize("legacy", ["old format", "zip format", "bare pickle"])
def test_a_pickle_bomb_is_refused_and_does_not_go_off(
    hub: LoopbackHub, repository: Path, tmp_path: Path, legacy: str
) -> None:
    folder = link(repository, tmp_path / "bomb")
    (folder / PICKLED).unlink()
    content = {"weight": torch.zeros(3), "bomb": Bomb(tmp_path / "exploded")}
    if legacy == "bare pickle":
        (folder / PICKLED).write_bytes(pickle.dumps(content["bomb"]))
    else:
        zipped = legacy == "zip format"
        torch.save(content, folder / PICKLED, _use_new_zipfile_serialization=zipped)
    hub.add(MODEL, folder)
    with pytest.raises(ModelError, match="is refused: it asks for") as raised:
        get(hub, tmp_path / "models")
    assert raised.value.exit_code == EXIT_UNAVAILABLE
    assert not (tmp_path / "exploded").exists()
    assert leftovers(tmp_path / "models") == []


def cut(hub: LoopbackHub, _: Path) -> None:
    hub.faults.truncated = {"vocab.json"}


def cut_whole(_: LoopbackHub, folder: Path) -> None:
    weights = folder / PICKLED
    replace_file(weights, weights.read_bytes()[:500])


def corrupt(hub: LoopbackHub, _: Path) -> None:
    hub.faults.corrupted = {PICKLED}


def corrupt_small(hub: LoopbackHub, _: Path) -> None:
    hub.faults.corrupted = {"config.json"}


def drop_for_ever(hub: LoopbackHub, _: Path) -> None:
    hub.faults.dropped = {PICKLED: 99}


def reset_for_ever(hub: LoopbackHub, _: Path) -> None:
    hub.faults.dropped = {PICKLED: 99}
    hub.faults.reset = True


def fail_inside(hub: LoopbackHub, _: Path) -> None:
    hub.faults.statuses = {"merges.txt": 500}


def gate(hub: LoopbackHub, _: Path) -> None:
    hub.faults.gated = True


def answer_nonsense(hub: LoopbackHub, _: Path) -> None:
    hub.faults.nonsense = True


def rename_away(hub: LoopbackHub, folder: Path) -> None:
    hub.repositories = {"org/other": (COMMIT, folder)}


def another_branch(hub: LoopbackHub, folder: Path) -> None:
    hub.repositories = {MODEL: ("main-is-no-commit", folder)}


def without_weights(_: LoopbackHub, folder: Path) -> None:
    (folder / PICKLED).unlink()


def with_sharded_pickles(_: LoopbackHub, folder: Path) -> None:
    (folder / PICKLED).rename(folder / "pytorch_model-00001-of-00002.bin")
    (folder / "pytorch_model.bin.index.json").write_text("{}")


def with_absent_shard(_: LoopbackHub, folder: Path) -> None:
    index = {"weight_map": {"x": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def lengthen(hub: LoopbackHub, _: Path) -> None:
    hub.faults.longer.add("vocab.json")


def without_config(_: LoopbackHub, folder: Path) -> None:
    (folder / "config.json").unlink()


def with_code(_: LoopbackHub, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoModel": "x.Y"}}
    replace_file(folder / "config.json", json.dumps(config).encode())


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (cut, "vocab.json of .* another hash"),
        (lengthen, "vocab.json of the model is longer than the hub has said"),
        (cut_whole, "cut off or damaged"),
        (corrupt, f"{PICKLED} of .* another hash"),
        (corrupt_small, "config.json of .* another hash"),
        (drop_for_ever, "cannot be reached .peer closed connection"),
        (reset_for_ever, "cannot be reached .*reset"),
        (fail_inside, "answered with an error .500"),
        (gate, "accept its terms"),
        (answer_nonsense, "cannot be reached"),
        (rename_away, f"has no model {MODEL}"),
        (another_branch, "names no commit"),
        (without_weights, "has neither model.safetensors nor pytorch_model.bin"),
        (with_sharded_pickles, "several pickled files, .* set MODEL to that folder"),
        (with_absent_shard, "lacks its weights model-00001-of-00002.safetensors"),
        (without_config, "has no config.json"),
        (with_code, "never runs"),
    ],
)
def test_a_failing_fetch_says_why_and_leaves_nothing(
    hub: LoopbackHub,
    repository: Path,
    tmp_path: Path,
    break_it: Callable[[LoopbackHub, Path], None],
    sentence: str,
) -> None:
    folder = link(repository, tmp_path / "broken")
    hub.add(MODEL, folder)
    break_it(hub, folder)
    with pytest.raises(UnavailableError, match=sentence) as raised:
        get(hub, tmp_path / "models")
    assert raised.value.exit_code == EXIT_UNAVAILABLE
    assert leftovers(tmp_path / "models") == []


def test_a_file_whose_hash_is_right_is_taken_whatever_a_header_says_of_its_size(
    hub: LoopbackHub, repository: Path, tmp_path: Path
) -> None:
    hub.add(MODEL, repository)
    hub.faults.misnumbered.add("vocab.json")
    assert get(hub, tmp_path / "models").fresh


def test_an_unknown_revision_is_told(hub: LoopbackHub, repository: Path, tmp_path: Path) -> None:
    hub.add(MODEL, repository)
    with pytest.raises(ModelError, match="no revision v9"):
        get(hub, tmp_path, revision="v9")


def test_a_hub_that_is_away_is_told(tmp_path: Path) -> None:
    with LoopbackHub() as gone:
        url = gone.url
    with pytest.raises(UnavailableError, match="cannot be reached"):
        fetch(MODEL, None, tmp_path, Hub(url))


@pytest.mark.parametrize("model", ["../etc/passwd", "a/b/c", "embedded/", "", "a--b/c", "-x/y"])
def test_what_is_no_name_of_a_model_never_reaches_the_hub(
    hub: LoopbackHub, tmp_path: Path, model: str
) -> None:
    with pytest.raises(ModelError, match="is not the name"):
        get(hub, tmp_path, model)
    assert hub.requests == []


def test_a_disk_that_is_too_small_is_told_before_the_download(
    hub: LoopbackHub, repository: Path, small_disk: Path
) -> None:
    (small_disk / "full").write_bytes(bytes(40 * 2**20))
    hub.add(MODEL, repository)
    with pytest.raises(ModelError, match=r"MB free, the model needs \d+ MB"):
        get(hub, small_disk / "models")
    assert not [line for line in hub.requests if "resolve" in line]


def test_a_disk_that_fills_up_during_the_download_is_told(
    hub: LoopbackHub, repository: Path, small_disk: Path
) -> None:
    def fill(name: str) -> None:
        if name == PICKLED:
            (small_disk / "full").write_bytes(bytes(92 * 2**20))

    hub.faults.before_serving = fill
    hub.add(MODEL, repository)
    with pytest.raises(ModelError, match="The disk is full"):
        get(hub, small_disk / "models")
    assert leftovers(small_disk / "models") == []


def test_a_disk_that_fills_up_during_the_conversion_is_recognised(
    repository: Path, small_disk: Path
) -> None:
    folder = small_disk / "model"
    folder.mkdir()
    for path in repository.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (small_disk / "full").write_bytes(bytes(86 * 2**20))
    with pytest.raises(Exception, match="No space left") as raised:
        convert_weights(folder, lambda _done, _total: None)
    assert is_full_disk(raised.value)


def test_a_token_goes_to_the_hub_and_not_to_where_it_redirects(
    hub: LoopbackHub, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    hub.faults.corrupted = {PICKLED}  # ends the fetch before a conversion
    hub.add(MODEL, repository)
    with pytest.raises(ModelError, match="another hash"):
        get(hub, tmp_path / "models")
    assert hub.authorised == {"api", "resolve"}


def test_the_converting_process_has_no_network_and_no_secrets(tmp_path: Path) -> None:
    program = (
        "import socket, os\n"
        "from bot.engine.checkpoints.conversion_child import leave_the_network\n"
        "left = leave_the_network()\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 1)\n"
        "    print(left, 'connected')\n"
        "except OSError:\n"
        "    print(left, 'alone')\n"
    )
    with LoopbackHub() as hub:
        child = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PORT": str(hub.port)},
            capture_output=True,
            text=True,
            check=True,
        )
    if child.stdout.startswith("False"):
        pytest.skip("this system lets no process leave the network")
    assert child.stdout == "True alone\n"
