"""Fetching from a hub on loopback, the good way."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from bot.engine.checkpoints.checkpoint import license_of, resolve_model
from bot.engine.checkpoints.fetch import Fetched
from bot.engine.reference.loader import load_model
from bot.errors import ModelError, UnavailableError
from tests.engine.checkpoints.fetching import COMMIT, MODEL, PICKLED, get, leftovers, link
from tests.engine.checkpoints.hub import LoopbackHub
from tests.tiny_models import DIALOGPT_TINY, dialogpt_weights


@dataclass(frozen=True, slots=True)
class Converted:
    models: Path
    fetched: Fetched
    requests: list[str]


@pytest.fixture(scope="module")
def converted(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, no_pauses: None
) -> Converted:
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


def test_a_reset_connection_is_taken_up_again(
    hub: LoopbackHub, tiny_model: Path, tmp_path: Path
) -> None:
    hub.add("org/safe", tiny_model)
    hub.faults.dropped = {"tokenizer.json": 3}
    hub.faults.reset = True
    assert get(hub, tmp_path / "models", "org/safe").fresh
    assert sum("tokenizer.json" in line for line in hub.requests) == 4


def test_a_download_that_goes_to_a_pipe_says_nothing(
    hub: LoopbackHub,
    tiny_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    hub.add("org/safe", tiny_model)
    hub.faults.dropped = {"tokenizer.json": 1}
    get(hub, tmp_path / "models", "org/safe")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


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
    (folder / "flax_model.msgpack").write_bytes(b"never read")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def test_safetensors_are_taken_as_they_are(
    hub: LoopbackHub, safe_repository: Path, tmp_path: Path
) -> None:
    hub.add("org/safe", safe_repository)
    folder = get(hub, tmp_path / "models", "org/safe").folder
    assert (folder / "model.safetensors").read_bytes() == (
        safe_repository / "model.safetensors"
    ).read_bytes()
    assert license_of(folder) == "mit"
    assert not [line for line in hub.requests if PICKLED in line or "flax" in line]
    assert not get(hub, tmp_path / "models", "org/safe").fresh


def test_of_sharded_weights_only_those_in_the_index_are_taken(
    hub: LoopbackHub, tiny_model: Path, tmp_path: Path
) -> None:
    folder = link(tiny_model, tmp_path / "sharded")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(weights)}
    for shard in set(weight_map.values()):
        part = {name: weights[name] for name in weights if weight_map[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "consolidated.safetensors").write_bytes(b"the same weights again")
    hub.add("org/sharded", folder)
    fetched = get(hub, tmp_path / "models", "org/sharded").folder
    assert {path.name for path in fetched.glob("*.safetensors")} == set(weight_map.values())
    assert not [line for line in hub.requests if "consolidated" in line]
    network = load_model(fetched, "cpu", "float32").network
    assert torch.equal(network.transformer.wpe.weight, weights["transformer.wpe.weight"])


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
