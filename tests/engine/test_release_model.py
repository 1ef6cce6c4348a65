"""A model that release 0.1.0 fetched is found, checked and run by this code."""

import json
from pathlib import Path

import pytest

from bot.dialogue.sampling import SamplingParams
from bot.engine.checkpoints.checkpoint import inspect_checkpoint, resolve_model
from bot.engine.checkpoints.fetch import fetch
from bot.engine.checkpoints.hub import Hub
from bot.engine.checkpoints.manifest import (
    MANIFEST,
    FileRecord,
    Manifest,
    check_fully,
    read_manifest,
    write_manifest,
)
from bot.engine.checkpoints.network_config import read_network_config, window_of
from bot.engine.opening import open_engine
from bot.engine.protocol import GenerationRequest
from bot.engine.tokenizer import load_tokenizer
from bot.errors import ModelError
from tests.fixtures import release_0_1_0 as release

SENTENCE = "hello there, how are you? 안녕"
IDS = (361, 359, 12, 330, 366, 259, 31, 279, 244, 335, 244)
NEXT_ID, NEXT_LOGPROB = 307, -3.62936  # the likeliest token after IDS

# As `write_manifest` wrote it, to the byte
WRITTEN = """{
  "source": "example/tiny",
  "commit": "0123456789abcdef0123456789abcdef01234567",
  "files": {
    "config.json": {
      "size": 2,
      "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    }
  },
  "converted_from": {
    "size": 7,
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  }
}
"""
READ = Manifest(
    source="example/tiny",
    commit="0123456789abcdef0123456789abcdef01234567",
    files={
        "config.json": FileRecord(
            2, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        )
    },
    converted_from=FileRecord(
        7, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    ),
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The models folder of the release, which a test may change."""
    return release.unpack_models(tmp_path / "models")


@pytest.fixture
def folder(models: Path) -> Path:
    return resolve_model(release.MODEL, None, models)


def test_a_manifest_is_written_and_read_as_ever(tmp_path: Path) -> None:
    write_manifest(tmp_path, READ)
    assert (tmp_path / "manifest.json").read_text() == WRITTEN
    assert read_manifest(tmp_path) == READ
    (tmp_path / "config.json").write_text("{}")
    check_fully(tmp_path, READ)


def test_a_manifest_without_what_it_was_converted_from_is_read(tmp_path: Path) -> None:
    content = json.loads(WRITTEN)
    del content["converted_from"]
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.converted_from is None


def test_the_fetched_model_is_found_by_its_name_and_whole(models: Path, folder: Path) -> None:
    assert folder == (models / "example--tiny" / release.COMMIT).resolve()
    assert (models / "example--tiny" / "refs" / "main").read_text().strip() == release.COMMIT
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.source, manifest.commit) == (release.MODEL, release.COMMIT)
    check_fully(folder, manifest)
    checkpoint = inspect_checkpoint(folder)
    assert checkpoint.commit == release.COMMIT
    assert window_of(read_network_config(folder), folder) == 128


def test_a_fetch_of_that_commit_finds_it_and_asks_no_hub(models: Path, folder: Path) -> None:
    fetched = fetch(release.MODEL, release.COMMIT, models, Hub("http://127.0.0.1:9"))
    assert (fetched.folder.resolve(), fetched.fresh) == (folder, False)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_small_file_that_was_changed_since_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="has changed since it was fetched"):
        inspect_checkpoint(folder)


def test_its_tokenizer_gives_the_ids_that_it_gave(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert tuple(tokenizer.encode(SENTENCE)) == IDS
    assert tokenizer.decode(IDS) == SENTENCE


async def test_its_weights_say_what_they_said(folder: Path) -> None:
    engine = await open_engine(
        folder, model=release.MODEL, device="cpu", dtype="float32", num_threads=1
    )
    assert (engine.info.revision, engine.info.num_parameters) == (release.COMMIT, 14_752)
    params = SamplingParams(top_k=1, repetition_penalty=1.0, max_new_tokens=8, seed=1)
    (completion,) = await engine.generate(GenerationRequest(IDS, params))
    await engine.close()
    assert completion.ids[0] == NEXT_ID
    assert completion.logprobs[0] == pytest.approx(NEXT_LOGPROB, abs=1e-3)
