"""What MODEL means, and which folders are refused before torch sees them."""

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.engine.checkpoints.checkpoint import (
    inspect_checkpoint,
    license_of,
    resolve_model,
    tensor_sizes,
)
from bot.engine.checkpoints.manifest import make_manifest, write_manifest
from bot.errors import ModelError
from tests.project.source_tree import ROOT


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value != "-"}))


def test_a_folder_means_itself(tiny_model: Path, tmp_path: Path) -> None:
    assert resolve_model(str(tiny_model), None, tmp_path) == tiny_model.resolve()


@pytest.mark.parametrize(
    ("model", "revision", "sentence"),
    [
        (
            "microsoft/DialoGPT-medium",
            None,
            "`python -m bot fetch microsoft/DialoGPT-medium` fetches",
        ),
        ("org/name", "v2", "`python -m bot fetch org/name --revision v2`"),
        ("gpt2", None, "`python -m bot fetch gpt2`"),
        ("./nowhere", None, "no such folder"),
        ("/etc/passwd", None, "no such folder"),
        ("org/../../etc", None, "no such folder"),
        ("a/b/c", None, "no such folder"),
        ("", None, "no such folder"),
    ],
)
def test_what_is_not_there_is_told_with_what_to_do(
    tmp_path: Path, model: str, revision: str | None, sentence: str
) -> None:
    with pytest.raises(ModelError) as raised:
        resolve_model(model or "-", revision, tmp_path)
    assert sentence in str(raised.value)


def test_a_reference_that_names_no_commit_is_ignored(tmp_path: Path) -> None:
    reference = tmp_path / "org--name" / "refs" / "main"
    reference.parent.mkdir(parents=True)
    reference.write_text("../../../etc\n")
    with pytest.raises(ModelError, match="not on this machine"):
        resolve_model("org/name", None, tmp_path)


def test_a_whole_folder_is_described(tiny_model: Path) -> None:
    found = inspect_checkpoint(tiny_model)
    assert found.commit == ""
    assert [path.name for path in found.weight_files] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("card", "license_id"),
    [
        ("---\nlanguage: en\nlicense: mit\ntags:\n- gpt2\n---\n# Card", "mit"),
        ("---\r\nlicense: 'apache-2.0'\r\n---\r\n", "apache-2.0"),
        ("---\nlicense:\n- mit\n---\n", ""),
        ("---\nlicense: a long text with `marks`\n---\n", ""),
        ("# Card\n---\nlicense: mit\n---\n", ""),
        ("---\ntags: x\n---\nlicense: mit\n", ""),
        ("", ""),
    ],
)
def test_the_license_is_that_of_the_front_matter(
    tmp_path: Path, card: str, license_id: str
) -> None:
    (tmp_path / "README.md").write_bytes(card.encode())
    assert license_of(tmp_path) == license_id


def test_without_a_readable_card_no_license_is_known(tmp_path: Path) -> None:
    assert license_of(tmp_path) == ""
    (tmp_path / "README.md").write_bytes(b"---\nlicense: mit\n---\n\xff")
    assert license_of(tmp_path) == ""


def test_the_embedded_model_has_the_license_of_the_project(tmp_path: Path) -> None:
    assert license_of(resolve_model("embedded", None, tmp_path)) == "mit"


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def with_text(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def copy_over(folder: Path, source: str, target: str) -> None:
    shutil.copy(folder / source, folder / target)


def only_pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_index(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        index = {"weight_map": {f"tensor{number}": name for number, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (without("config.json"), "has no config.json"),
        (with_text("config.json", "{"), "cannot be read"),
        (lambda folder: copy_over(folder, "model.safetensors", "config.json"), "cannot be read"),
        (with_text("config.json", "[]"), "not a JSON object"),
        (without("tokenizer.json"), "has no tokenizer"),
        (without("model.safetensors"), "lacks its weights model.safetensors"),
        (only_pickled, "only pickled weights"),
        (with_index("../../weights.safetensors"), "lacks its weights"),
        (with_index("model-1.safetensors"), "lacks its weights"),
        (with_index(), "names no weights"),
        (lambda folder: edit(folder / "config.json", auto_map={}), "never runs"),
        (lambda folder: edit(folder / "tokenizer_config.json", auto_map={}), "never runs"),
        (with_text("manifest.json", "{}"), "is damaged"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    folder: Path, break_it: Callable[[Path], None], sentence: str
) -> None:
    break_it(folder)
    with pytest.raises(ModelError, match=sentence):
        inspect_checkpoint(folder)


def test_weights_in_several_files_are_found(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "part-1.safetensors")
    shutil.copy(folder / "model.safetensors", folder / "part-2.safetensors")
    with_index("part-2.safetensors", "part-1.safetensors", "part-1.safetensors")(folder)
    found = [path.name for path in inspect_checkpoint(folder).weight_files]
    assert found == ["part-1.safetensors", "part-2.safetensors"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_fetched_file_that_changed_is_refused(folder: Path, name: str, damage: str) -> None:
    write_manifest(folder, make_manifest(folder, "org/name", "a" * 40, None))
    assert inspect_checkpoint(folder).commit == "a" * 40
    path = folder / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (b" " if damage == "changed" else b""))
    with pytest.raises(ModelError, match=f"{name} .*`python -m bot fetch org/name`"):
        inspect_checkpoint(folder)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 5000, -1])
def test_weights_that_are_cut_off_are_refused(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match="cut off or damaged"):
        tensor_sizes(path)


def safetensors_file(header: object, num_bytes: int) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(num_bytes)


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        safetensors_file({"a": tensor([2], 0, 8)}, 9),  # bytes behind the last tensor
        safetensors_file({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, 12),  # a gap
        safetensors_file({"a": tensor([1], 0, 4), "b": tensor([1], 2, 6)}, 6),  # one on another
        safetensors_file({"a": tensor([3], 0, 8)}, 8),  # another size than its shape's
        safetensors_file({"a": tensor([-2], 0, 8)}, 8),
        safetensors_file({"a": tensor([2], 0, 8, "F31")}, 8),
        safetensors_file({"a": {"dtype": "F32"}}, 8),
        safetensors_file([], 0),
        safetensors_file(b"\xff\xfe", 0),
        struct.pack("<Q", 2**63) + b"{}",
        b"<!DOCTYPE html><title>404</title>",
    ],
)
def test_weights_that_are_damaged_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"The weights {path} are cut off or damaged: fetch or"):
        tensor_sizes(path)


def test_weights_that_are_not_there_or_no_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ModelError, match="cut off or damaged"):
            tensor_sizes(path)


def test_the_numbers_in_the_weights_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    assert sum(tensor_sizes(tiny_model / "model.safetensors").values()) == 45888
    path = tmp_path / "model.safetensors"
    whole = {"a.wte": tensor([2, 3], 0, 24), "b": tensor([], 24, 26, "BF16"), "__metadata__": {}}
    path.write_bytes(safetensors_file(whole, 26))
    assert tensor_sizes(path) == {"a.wte": 6, "b": 1}


def test_damaged_weights_are_told_before_torch_is_imported(tiny_model: Path) -> None:
    script = """
import sys
from pathlib import Path
from bot.engine.checkpoints.checkpoint import tensor_sizes
assert tensor_sizes(Path(sys.argv[1]))
assert "torch" not in sys.modules
"""
    weights = str(tiny_model / "model.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", script, weights],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
