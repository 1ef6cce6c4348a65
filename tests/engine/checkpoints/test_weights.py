"""Pickled checkpoints: what is let through, and under which names it comes out."""

import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.checkpoints.pickle_check import check_pickles
from bot.engine.checkpoints.weights import Skeleton, read_pickled, rename
from bot.errors import ModelError
from tests.tiny_models import Shape, dialogpt_weights, make_dialogpt_shaped

SHAPE = Shape(layers=1, heads=2, width=8, window=16, vocabulary=300)


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Skeleton:
    return Skeleton(make_dialogpt_shaped(tmp_path_factory.mktemp("shape"), shape=SHAPE))


@pytest.mark.parametrize("zipped", [False, True], ids=["old format", "zip format"])
def test_honest_weights_pass_and_come_back(tmp_path: Path, zipped: bool) -> None:
    weights = dialogpt_weights(SHAPE)
    weights["transformer.ln_f.bias"] = torch.nn.Parameter(weights["transformer.ln_f.bias"])
    torch.save(weights, tmp_path / "w.bin", _use_new_zipfile_serialization=zipped)
    check_pickles(tmp_path / "w.bin")
    read = read_pickled(tmp_path / "w.bin")
    assert list(read) == list(weights)
    assert all(torch.equal(read[name], weights[name]) for name in weights)


@settings(max_examples=60, deadline=None)
@given(kept=st.integers(0, 3000), flipped=st.integers(0, 3000), zipped=st.booleans())
def test_no_damage_gets_past_without_a_sentence(
    kept: int, flipped: int, zipped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "w.bin"
    torch.save({"a": torch.ones(400)}, path, _use_new_zipfile_serialization=zipped)
    content = bytearray(path.read_bytes())
    content[flipped % len(content)] ^= 0xFF
    path.write_bytes(content[:kept])
    with suppress(ModelError):  # anything else fails the test
        check_pickles(path)
        read_pickled(path)


@pytest.mark.parametrize("protocol", range(6))
def test_names_that_weights_never_need_are_refused(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "w.bin").write_bytes(pickle.dumps(OrderedDict(a=print), protocol=protocol))
    with pytest.raises(ModelError, match="is refused"):
        check_pickles(tmp_path / "w.bin")


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("w/data/0", bytes(10**7))
    with pytest.raises(ModelError, match="a compressed or double entry"):
        check_pickles(path)


def test_something_else_than_weights_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.bin")
    check_pickles(tmp_path / "w.bin")
    with pytest.raises(ModelError, match="something other than weights"):
        read_pickled(tmp_path / "w.bin")


def test_masks_and_the_second_copy_of_the_embedding_are_left_out(skeleton: Skeleton) -> None:
    weights = rename(dialogpt_weights(SHAPE), skeleton)
    assert set(weights) == set(skeleton.shapes)
    assert skeleton.shared == {"lm_head.weight": "transformer.wte.weight"}
    assert not [name for name in weights if name.endswith(".attn.bias")]


def test_an_output_layer_that_differs_from_the_embedding_is_kept(skeleton: Skeleton) -> None:
    source = dialogpt_weights(SHAPE)
    source["lm_head.weight"] = source["lm_head.weight"] + 1
    weights = rename(source, skeleton)
    assert set(weights) == {*skeleton.shapes, "lm_head.weight"}
    assert torch.equal(weights["lm_head.weight"], source["lm_head.weight"])


def test_an_output_layer_alone_is_the_embedding(skeleton: Skeleton) -> None:
    source = dialogpt_weights(SHAPE)
    head = source["lm_head.weight"]
    del source["transformer.wte.weight"]
    weights = rename(source, skeleton)
    assert set(weights) == set(skeleton.shapes)
    assert weights["transformer.wte.weight"] is head


def test_an_output_layer_of_another_shape_is_named(skeleton: Skeleton) -> None:
    source = dialogpt_weights(SHAPE)
    source["lm_head.weight"] = source["lm_head.weight"][:4]
    with pytest.raises(ModelError, match=r"lm_head.weight should be .*, there is \(4, 8\)"):
        rename(source, skeleton)


def test_names_of_the_inner_network_alone_are_completed(skeleton: Skeleton) -> None:
    source = dialogpt_weights(SHAPE)
    del source["lm_head.weight"]
    inner = {name.removeprefix("transformer."): tensor for name, tensor in source.items()}
    assert set(rename(inner, skeleton)) == set(skeleton.shapes)


@pytest.mark.parametrize("name", ["transformer.wte.weight", "transformer.h.0.ln_1.bias"])
def test_a_missing_weight_is_named(skeleton: Skeleton, name: str) -> None:
    source = dialogpt_weights(SHAPE)
    del source["lm_head.weight"], source[name]
    with pytest.raises(ModelError, match=f"{name} should be .*, there is none"):
        rename(source, skeleton)


def test_a_weight_of_another_shape_is_named(skeleton: Skeleton) -> None:
    source = dialogpt_weights(SHAPE)
    source["transformer.wpe.weight"] = source["transformer.wpe.weight"][:4]
    with pytest.raises(ModelError, match=r"wpe.weight should be \(16, 8\), there is \(4, 8\)"):
        rename(source, skeleton)


def test_a_weight_that_the_network_lacks_is_named(skeleton: Skeleton) -> None:
    source = dialogpt_weights(SHAPE)
    source["score.weight"] = torch.zeros(2, 8)
    with pytest.raises(ModelError, match="the network has no score"):
        rename(source, skeleton)
