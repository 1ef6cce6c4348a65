"""What a model is asked without letting it talk: known answers and a real tiny model."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from bot.dialogue.prompt import Tokenizer
from evaluation.__main__ import main
from evaluation.few_shot import examples_for
from evaluation.item import Item
from evaluation.last_word import last_word, split_ids
from evaluation.likelihood import Likelihood
from evaluation.passages import prompt_of
from evaluation.perplexity import perplexity_per_token, perplexity_per_word
from evaluation.probing import measure_perplexity
from evaluation.reader import ModelReader
from tests.dialogue.byte_tokenizer import ByteTokenizer
from tests.evaluation.figures import figure, is_unknown

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def reader(tiny_model: Path) -> ModelReader:
    return ModelReader(tiny_model, device="cpu", dtype="float32")


def test_perplexity_by_hand() -> None:
    items = [
        Item("two words", logprob=-3 * math.log(4), num_tokens=3),
        Item("one", logprob=-math.log(4), num_tokens=1),
        Item("not measured"),
    ]
    assert figure(perplexity_per_token(), items) == pytest.approx(4)
    assert figure(perplexity_per_word(), items) == pytest.approx(4 ** (4 / 3))
    assert is_unknown(figure(perplexity_per_token(), items[2:]))


def test_a_reply_is_as_likely_as_its_tokens_one_by_one(reader: ModelReader) -> None:
    prompt, wanted = reader.tokenizer.encode("how are you"), reader.tokenizer.encode(" today?")
    whole = reader.read(prompt, wanted)
    apart = [reader.read([*prompt, *wanted[:i]], wanted[i : i + 1]) for i in range(len(wanted))]
    assert whole.logprobs == pytest.approx([one.logprobs[0] for one in apart], abs=1e-4)
    assert whole.is_first == tuple(one.is_first[0] for one in apart)


def test_the_probabilities_of_all_next_tokens_add_up_to_one(reader: ModelReader) -> None:
    prompt = reader.tokenizer.encode("hello")
    logprobs = [reader.read(prompt, [i]).logprobs[0] for i in range(300)]
    firsts = [reader.read(prompt, [i]).is_first[0] for i in range(300)]
    assert sum(map(math.exp, logprobs)) <= 1 + 1e-4
    assert sum(firsts) <= 1
    with pytest.raises(ValueError, match="0 and 1 ids"):
        reader.read([], [1])


def test_only_the_bots_turn_and_its_end_are_counted(reader: ModelReader) -> None:
    ones = torch.ones(1, dtype=torch.float64).numpy()
    num_tokens = []
    for said in ("hi", "a much longer question, is it not?"):
        measured = measure_perplexity(reader, [Item("i am fine", (said,))])
        perplexity = measured.statistics[0](ones)
        wanted = [*reader.tokenizer.encode("i am fine"), reader.tokenizer.end_of_text_id]
        prompt = prompt_of(Item("", (said,)), reader.tokenizer)
        loss = -sum(reader.read(prompt, wanted).logprobs)
        assert perplexity == pytest.approx(math.exp(loss / len(wanted)))
        num_tokens.append(len(wanted))
    assert num_tokens[0] == num_tokens[1]


def test_the_last_word_is_what_is_wanted_without_the_full_stop(reader: ModelReader) -> None:
    parts = split_ids(Item("my name is  Sam-Lee!?"), reader.tokenizer)
    assert parts is not None
    assert parts[0][0] == reader.tokenizer.end_of_text_id
    assert [reader.tokenizer.decode(ids) for ids in parts] == ["my name is", " Sam-Lee"]
    assert split_ids(Item("word."), reader.tokenizer) is None
    assert split_ids(Item(""), reader.tokenizer) is None


class KnowsMusic:
    """A reader that would say " music" and nothing else."""

    window = 64
    tokenizer: Tokenizer = ByteTokenizer()

    def read(self, prompt_ids: Sequence[int], wanted_ids: Sequence[int]) -> Likelihood:
        known = self.tokenizer.encode(" music")[: len(wanted_ids)]
        is_first = tuple(one == other for one, other in zip(wanted_ids, known, strict=False))
        return Likelihood((0.0,) * len(wanted_ids), is_first + (False,) * (len(wanted_ids) - 6))


def test_a_hit_is_the_whole_word_likeliest() -> None:
    items = [Item(f"i like {word}") for word in ("music!", "magic.", "musics", "mud", "word" * 20)]
    assert figure(last_word(KnowsMusic()), items[:1]) == 1
    assert figure(last_word(KnowsMusic()), items) == 1 / 4  # the last one fills the window
    assert is_unknown(figure(last_word(KnowsMusic()), [Item("word")]))


def test_examples_come_from_other_dialogues() -> None:
    items = [Item(f"reply {i}", (f"said {i}",), group=i // 2) for i in range(6)]
    assert examples_for(items, 3, 2) == [("said 4", "reply 4"), ("said 0", "reply 0")]
    assert len(examples_for(items, 0, 5)) == 2


@pytest.mark.parametrize("task", ["perplexity", "last-word", "few-shot"])
def test_a_task_prints_its_figures(
    task: str, tiny_model: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "dialogues.jsonl"
    turns = ["hi there", "do you like music", "yes", "good night"]
    path.write_text(f"{json.dumps({'turns': turns})}\n" * 3)
    out = tmp_path / "figures.json"
    options = ["--device", "cpu", "--dtype", "float32", "--resamples", "20", "--examples", "2"]
    assert main(["probe", task, str(tiny_model), str(path), "--json", str(out), *options]) == 0
    found = json.loads(out.read_text())
    assert found["num_items"] == 6
    assert found["revision"].startswith("sha256:")
    names = {
        "perplexity": {"perplexity_token", "perplexity_word"},
        "last-word": {"last_word"},
        "few-shot": {
            *("perplexity_0_shot", "perplexity_1_shot", "perplexity_2_shot"),
            *("gain_1_shot", "gain_2_shot"),
        },
    }
    assert found["metrics"].keys() == names[task]
    assert "n = 6" in capsys.readouterr().out


def test_recall_is_asked_over_several_distances(
    tiny_model: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["probe", "recall", str(tiny_model), "--limit", "1", "--resamples", "5"]) == 0
    shown = capsys.readouterr().out
    assert "seen words, 2 exchanges between (%)" in shown
    assert "held out words, 0 exchanges between (%)" in shown


def test_what_a_task_lacks_is_told(tiny_model: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["probe", "perplexity", str(tiny_model)]) == 65
    assert "perplexity needs a file" in capsys.readouterr().err
    path = tmp_path / "words.txt"
    path.write_text("word\n")
    assert main(["probe", "last-word", str(tiny_model), str(path), "--device", "cpu"]) == 65
    assert "too short" in capsys.readouterr().err
    assert main(["probe", "recall", str(tmp_path / "absent")]) == 69
    assert "there is no such folder" in capsys.readouterr().err
