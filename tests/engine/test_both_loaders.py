"""What both loaders refuse: every broken checkpoint is one sentence that says what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.engine.batching.loader import load_gpt2
from bot.engine.reference.loader import load_model
from bot.errors import ModelError
from tests.engine.broken_weights import Change, lose, poison, rewrite, shrink

Load = Callable[[Path, str, str], object]
both = pytest.mark.parametrize("load", [load_gpt2, load_model])


@both
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lose("transformer.h.1.ln_1.bias"), r"do not fit .*h\.1\.ln_1\.bias"),
        (lose("transformer.h.0.mlp.c_fc.weight"), r"do not fit .*h\.0\.mlp\.c_fc"),
        (lose("transformer.wte.weight"), r"do not fit .*wte"),
        (shrink, "do not fit|cannot be loaded|does not work"),
        (poison(float("nan")), r"not finite .*h\.1\.mlp\.c_fc"),
        (poison(float("inf")), "not finite"),
        (poison(float("-inf")), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, load: Load, change: Change, sentence: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(ModelError, match=sentence):
        load(folder, "cpu", "float32")


@both
def test_cut_off_weights_are_refused(folder: Path, load: Load) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match="cut off or damaged"):
        load(folder, "cpu", "float32")


@both
def test_a_tokenizer_that_is_larger_than_the_model_is_refused(folder: Path, load: Load) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["surplus"] = 382
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="knows 383 tokens, the model only 382"):
        load(folder, "cpu", "float32")
