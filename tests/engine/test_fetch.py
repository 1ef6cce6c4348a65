"""Fetching from a hub on loopback: the good way, and every way that it can go wrong."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from bot.engine.checkpoint import resolve_model
from bot.engine.disk import is_full_disk
from bot.engine.fetch import Fetched, fetch
from bot.engine.hub import Hub
from bot.engine.loader import load_model
from bot.engine.weights import convert_weights
from bot.errors import EXIT_UNAVAILABLE, ModelError, UnavailableError
from tests.engine.hub import LoopbackHub
from tests.tiny_models import DIALOGPT_TINY, dialogpt_weights, make_dialogpt_shaped

MODEL = "microsoft/DialoGPT-tiny"
COMMIT = "a" * 40
PICKLED = "pytorch_model.bin"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dialogpt_shaped(tmp_path_factory.mktemp("source"), shape=DIALOGPT_TINY)


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as running:
        yield running


def link(source: Path, target: Path) -> Path:
    """A copy of a repository that a test may change, file by file."""
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).hardlink_to(path)
    return target


def replace_file(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def get(hub: LoopbackHub, models: Path, model: str = MODEL, revision: str | None = None) -> Fetched:
    return fetch(model, revision, models, Hub(hub.url, retry_seconds=0.001))


def leftovers(models: Path) -> list[str]:
    """Everything under the models folder that is not a lock."""
    return [path.name for path in models.rglob("*") if path.is_file() and path.name != ".lock"]


@dataclass(frozen=True, slots=True)
class Converted:
    models: Path
    fetched: Fetched
    requests: list[str]


@pytest.fixture(scope="module")
def converted(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A DialoGPT-shaped repository, fetched once; its conversion takes seconds."""
    models = tmp_path_factory.mktemp("fetched") / "models"
    with LoopbackHub() as hub:
        hub.add(MODEL, repository)
        hub.faults.dropped = {PICKLED: 2}
        return Converted(models, get(hub, models), hub.requests)


def test_a_pickled_repository_becomes_a_model_that_loads(converted: Converted) -> None:
    assert converted.fetched.fresh
    folder = resolve_model(MODEL, None, converted.models)
    assert folder == converted.fetched.folder.resolve()
    loaded = load_model(folder, "cpu", "float32")
    assert (loaded.window, loaded.num_ids, loaded.commit) == (64, 50257, COMMIT)
    assert loaded.end_ids == (50256,)


def test_converted_weights_are_the_source_to_the_bit(converted: Converted) -> None:
    source = dialogpt_weights(DIALOGPT_TINY)
    written = load_file(converted.fetched.folder / "model.safetensors")
    computed = {name for name in source if name.endswith((".attn.bias", ".attn.masked_bias"))}
    assert set(written) == set(source) - computed - {"lm_head.weight"}
    for name, tensor in written.items():
        assert tensor.dtype is source[name].dtype
        assert torch.equal(tensor, source[name])


def test_nothing_but_the_model_is_kept(converted: Converted) -> None:
    assert sorted(leftovers(converted.models)) == [
        "config.json",
        "main",
        "manifest.json",
        "merges.txt",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.json",
    ]


def test_a_broken_connection_is_taken_up_again(converted: Converted) -> None:
    assert sum(PICKLED in line for line in converted.requests) == 6  # three times, with a redirect


def test_every_revision_finds_the_fetched_commit(converted: Converted) -> None:
    for revision in (None, "", "main", COMMIT):
        assert resolve_model(MODEL, revision, converted.models).name == COMMIT
    with pytest.raises(ModelError, match="--revision v2"):
        resolve_model(MODEL, "v2", converted.models)


def test_a_second_fetch_downloads_nothing(hub: LoopbackHub, converted: Converted) -> None:
    hub.add(MODEL, Path("/nowhere"))
    assert not get(hub, converted.models, revision=COMMIT).fresh
    assert hub.requests == []


@pytest.fixture
def safe_repository(tiny_model: Path, tmp_path: Path) -> Path:
    """A repository with safetensors, and a pickle beside them that must not be touched."""
    folder = link(tiny_model, tmp_path / "safe")
    (folder / PICKLED).write_bytes(b"never read")
    (folder / "README.md").write_bytes(b"never read")
    return folder


def test_safetensors_are_taken_as_they_are(
    hub: LoopbackHub, safe_repository: Path, tmp_path: Path
) -> None:
    hub.add("org/safe", safe_repository)
    folder = get(hub, tmp_path / "models", "org/safe").folder
    assert (folder / "model.safetensors").read_bytes() == (
        safe_repository / "model.safetensors"
    ).read_bytes()
    assert not [line for line in hub.requests if PICKLED in line or "README" in line]
    assert not get(hub, tmp_path / "models", "org/safe").fresh


def test_a_new_commit_is_fetched_beside_the_old_one(
    hub: LoopbackHub, safe_repository: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    for commit in ("b" * 40, "c" * 40):
        hub.add("org/safe", safe_repository, commit=commit)
        assert get(hub, models, "org/safe").fresh
        assert resolve_model("org/safe", None, models).name == commit
    assert resolve_model("org/safe", "b" * 40, models).name == "b" * 40


def test_a_damaged_copy_is_fetched_again(
    hub: LoopbackHub, safe_repository: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    hub.add("org/safe", safe_repository)
    weights = get(hub, models, "org/safe").folder / "model.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert get(hub, models, "org/safe").fresh
    assert weights.read_bytes() == sound


def test_leftovers_of_a_killed_fetch_are_removed(
    hub: LoopbackHub, safe_repository: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    partial = models / "org--safe" / f".partial-{COMMIT}"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(b"half")
    hub.add("org/safe", safe_repository)
    get(hub, models, "org/safe")
    assert not partial.exists()


def test_two_fetches_of_one_model_do_not_meet(
    hub: LoopbackHub, safe_repository: Path, tmp_path: Path
) -> None:
    hub.add("org/safe", safe_repository)
    (tmp_path / "models" / "org--safe").mkdir(parents=True)
    with (
        FileLock(tmp_path / "models" / "org--safe" / ".lock"),
        pytest.raises(UnavailableError, match="Another fetch"),
    ):
        get(hub, tmp_path / "models", "org/safe")


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


def without_config(_: LoopbackHub, folder: Path) -> None:
    (folder / "config.json").unlink()


def with_code(_: LoopbackHub, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoModel": "x.Y"}}
    replace_file(folder / "config.json", json.dumps(config).encode())


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (cut, "vocab.json of .* did not arrive whole"),
        (cut_whole, "cut off or damaged"),
        (corrupt, f"{PICKLED} of .* another hash"),
        (corrupt_small, "config.json of .* another hash"),
        (drop_for_ever, "did not arrive whole"),
        (fail_inside, "answered with an error .500"),
        (gate, "accept its terms"),
        (answer_nonsense, "cannot be reached"),
        (rename_away, f"has no model {MODEL}"),
        (another_branch, "names no commit"),
        (without_weights, "has neither model.safetensors nor pytorch_model.bin"),
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


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
        "from bot.engine.convert import leave_the_network\n"
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
