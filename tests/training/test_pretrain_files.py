"""`training.pretrain` on files of dialogues, and `--reverse`."""

import importlib.util
import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from bot.engine.reference.loader import load_model
from evaluation.errors import InputError
from training import pretrain
from training.budget import Budget
from training.corpus import Corpus, encode_dialogues
from training.curve import draw_curve
from training.forms import IGNORED, BothSides
from training.loop import CHECKPOINT, train
from training.losses import validation_loss
from training.network import DIRECTION, load_network, load_tokenizer, loss_of
from training.smalltalk.grammar import Grammar
from training.sources import Collected, Invented, read_collected
from training.trainer import Plan, Trainer, read_checkpoint, save_checkpoint
from training.vocabulary import END_ID

ANSWERS = {"red": "apple", "yellow": "lemon", "green": "lime", "blue": "plum"}
DIALOGUES = [
    {"turns": [f"name a {color} fruit", f"{fruit} it is", "thanks", "bye now"]}
    for color, fruit in ANSWERS.items()
] * 12
SHAPE = ["--layers", "1", "--heads", "2", "--width", "32", "--threads", "1"]
SMALL = [*SHAPE, "--vocabulary", "300"]


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in DIALOGUES), encoding="utf-8")
    return path


def plan(chat: Path, *, reverse: bool = False) -> Plan:
    return Plan(
        seed=1,
        batch_tokens=256,
        layers=1,
        heads=2,
        width=32,
        num_ids=300,
        files=(str(chat),),
        is_reverse=reverse,
    )


def trained_on(chat: Path, num_tokens: int, *, reverse: bool = False) -> Trainer:
    trainer = Trainer(plan(chat, reverse=reverse), read_collected([chat]))
    list(trainer.steps(Budget(num_tokens=num_tokens)))
    return trainer


def continued(trainer: Trainer, *turns: str) -> str:
    """What the network says after `turns`, greedily, to the first end-of-text."""
    [encoded] = encode_dialogues([turns], trainer.tokenizer)
    ids = [token_id for turn in encoded for token_id in turn]
    network, start = trainer.averaged_network(), len(ids)
    while len(ids) < start + 20:
        ids.append(int(network(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == END_ID:
            return str(trainer.tokenizer.decode(ids[start:-1])).strip()
    return "no end"


def test_a_file_is_learned_by_heart_with_its_ends_of_turns(chat: Path) -> None:
    trainer = trained_on(chat, 60_000)
    for color, fruit in ANSWERS.items():
        assert continued(trainer, f"name a {color} fruit") == f"{fruit} it is"
    # the side that asked is learned, too
    assert continued(trainer, "name a red fruit", "apple it is") == "thanks"
    assert trainer.validate(read_collected([chat])).mean < 0.2


def test_a_reverse_network_says_what_was_answered(chat: Path) -> None:
    trainer = trained_on(chat, 60_000, reverse=True)
    for color, fruit in ANSWERS.items():
        assert continued(trainer, f"{fruit} it is") == f"name a {color} fruit"
    assert continued(trainer, "bye now", "thanks").endswith("it is")


def test_a_resumed_training_on_files_ends_with_the_same_weights(chat: Path, tmp_path: Path) -> None:
    budget = Budget(num_tokens=8_000)  # several passes
    for reverse in (False, True):
        whole = trained_on(chat, 8_000, reverse=reverse)
        first = Trainer(plan(chat, reverse=reverse), read_collected([chat]))
        list(islice(first.steps(budget), 13))
        save_checkpoint(first, tmp_path / "checkpoint.pt")
        state = read_checkpoint(tmp_path / "checkpoint.pt")
        resumed = Trainer.restore(state, read_collected([chat]))
        assert resumed.plan == first.plan
        list(resumed.steps(budget))
        one, other = (t.averaged_network().state_dict() for t in (whole, resumed))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_files_that_have_changed_are_no_training_to_go_on_with(chat: Path) -> None:
    state = trained_on(chat, 500).state()
    chat.write_text(json.dumps({"turns": ["something", "else"]}), encoding="utf-8")
    with pytest.raises(InputError, match="start without --resume"):
        Trainer.restore(state, read_collected([chat]))


def test_a_typed_end_of_text_ends_no_turn(chat: Path) -> None:
    tokenizer = trained_on(chat, 500).tokenizer
    [[turn]] = encode_dialogues([("a <|endoftext|> b",)], tokenizer)
    assert turn.count(END_ID) == 1
    assert turn[-1] == END_ID


def test_perplexity_counts_the_words_of_what_is_learned(chat: Path) -> None:
    trainer = trained_on(chat, 500)
    source = Collected((("one two", "three  four five", "six <|endoftext|>"), ("a", "b")))
    measured = validation_loss(trainer.network, trainer.tokenizer, source, BothSides())
    assert measured.num_words == 3 + 2 + 1
    counted = [
        len(turn)
        for turns in encode_dialogues(source.dialogues, trainer.tokenizer)
        for turn in turns[1:]
    ]
    assert measured.num_tokens == sum(counted)
    assert measured.mean == pytest.approx(measured.total / sum(counted))
    assert measured.per_word > measured.per_token > 1


def test_padding_counts_for_nothing(chat: Path) -> None:
    trainer = trained_on(chat, 500)
    source = Collected((("a", "b"), ("name a red fruit", "apple it is, and so on, and so on")))
    [batch] = Corpus(source, trainer.tokenizer, "x", 512, BothSides()).chunk(0)
    assert (batch.labels[0] != IGNORED).sum() == len(trainer.tokenizer.encode("b").ids) + 1
    alone = [
        validation_loss(trainer.network, trainer.tokenizer, Collected((turns,)), BothSides())
        for turns in source.dialogues
    ]
    with torch.no_grad():
        total, count = loss_of(trainer.network, batch)
    assert count == sum(one.num_tokens for one in alone)
    assert total.item() == pytest.approx(sum(one.total for one in alone), rel=1e-4)


def test_the_program_makes_a_forward_and_a_reverse_model_of_one_vocabulary(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--dialogues", str(chat), "--validation", str(chat), "--budget", "2k"]
    forward, reverse = tmp_path / "forward", tmp_path / "reverse"
    assert pretrain.main([*files, *SMALL, "--out", str(forward)]) == 0
    shown = capsys.readouterr().out
    assert "dialogues  48 of 192 turns" in shown
    assert "a word" in shown
    lender = ["--tokenizer-of", str(forward / "model")]
    assert pretrain.main([*files, *SHAPE, *lender, "--reverse", "--out", str(reverse)]) == 0
    texts = [(out / "model" / "tokenizer.json").read_text() for out in (forward, reverse)]
    assert texts[0] == texts[1]
    configs = [json.loads((out / "model/config.json").read_text()) for out in (forward, reverse)]
    assert [config.get(DIRECTION) for config in configs] == [None, "reverse"]
    record = json.loads((reverse / "model" / pretrain.RECORD).read_text())
    assert record["direction"] == "reverse: newest turn first"
    assert record["dialogues"].startswith("chat.jsonl (")
    assert pretrain.main(["--out", str(reverse), "--resume", "--budget", "3k"]) == 0
    assert json.loads((reverse / "model/config.json").read_text())[DIRECTION] == "reverse"


def test_training_goes_on_from_a_models_weights(chat: Path, tmp_path: Path) -> None:
    first = trained_on(chat, 10_000)
    first.export(tmp_path / "model")
    out = tmp_path / "out"
    arguments = ["--dialogues", str(chat), "--from", str(tmp_path / "model"), "--threads", "1"]
    assert pretrain.main([*arguments, "--budget", "1k", "--rate", "1e-4", "--out", str(out)]) == 0
    source = read_collected([chat])
    started = load_network(tmp_path / "model")
    tokenizer = load_tokenizer(out / "model")
    before = validation_loss(started, tokenizer, source, BothSides()).mean
    assert before == pytest.approx(first.validate(source).mean, rel=0.01)  # half precision
    after = validation_loss(load_network(out / "model"), tokenizer, source, BothSides()).mean
    assert after < before


def test_the_grammar_has_a_reverse_model_too(grammar: Grammar, tmp_path: Path) -> None:
    reverse = Plan(layers=1, heads=2, width=32, tokenizer_dialogues=300, is_reverse=True)
    trainer = Trainer(reverse, Invented(grammar))
    losses = [step.loss for step in trainer.steps(Budget(num_tokens=12_000))]
    assert losses[-1] < losses[0]
    trainer.export(tmp_path)
    config = load_model(tmp_path, "cpu", "float32").network.config
    assert getattr(config, DIRECTION) == "reverse"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dialogues", "none.jsonl"], "none.jsonl cannot be read"),
        (["--tokenizer-of", "nowhere"], "nowhere has no tokenizer.json: name a model's folder"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pretrain.main([*arguments, "--out", str(tmp_path / "out")]) == 65
    assert capsys.readouterr().out.startswith(sentence)


def test_a_model_that_is_not_there_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--from", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    assert pretrain.main(arguments) == 69
    assert "nowhere" in capsys.readouterr().out


def test_a_model_of_another_vocabulary_is_no_start(chat: Path, tmp_path: Path) -> None:
    trained_on(chat, 500).export(tmp_path)
    words = (tmp_path / "tokenizer.json").read_text().replace('"id": 0', '"id": 1', 1)
    (tmp_path / "tokenizer.json").write_text(words.replace('"<|endoftext|>": 0', '"<|end|>": 0'))
    with pytest.raises(InputError, match="was not made by this program"):
        load_tokenizer(tmp_path)


def test_a_forward_training_does_not_go_on_in_reverse(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(trained_on(chat, 500), tmp_path / CHECKPOINT)
    assert pretrain.main(["--out", str(tmp_path), "--resume", "--reverse"]) == 65
    assert "holds no reverse training" in capsys.readouterr().out


def test_a_width_that_the_heads_do_not_share_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        pretrain.main(["--width", "100", "--heads", "3", "--out", str(tmp_path)])
    assert "--width 100 has to be a multiple of --heads 3" in capsys.readouterr().err


def test_checkpoints_add_points_to_the_validation_curve(chat: Path, tmp_path: Path) -> None:
    validation = read_collected([chat])
    assert len(validation.sample(8).dialogues) == 8
    trainer = Trainer(plan(chat), validation)
    train(trainer, Budget(num_tokens=3_000), tmp_path, 0.0, validation.sample(8))
    points = trainer.progress.validation
    assert len(points) == trainer.progress.num_steps
    assert points[-1][1] < points[0][1]
    restored = Trainer.restore(read_checkpoint(tmp_path / CHECKPOINT), validation)
    assert restored.progress == trainer.progress
    if importlib.util.find_spec("matplotlib"):
        assert draw_curve(trainer.progress.curve, tmp_path / "loss.png", points)


def test_a_damaged_checkpoint_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / CHECKPOINT).write_text("garbage", encoding="utf-8")
    assert pretrain.main(["--resume", "--out", str(tmp_path)]) == 65
    assert "is no checkpoint that can be read" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_told_before_the_training(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    # long enough to be noticed if it began
    arguments = ["--dialogues", str(chat), "--budget", "900M", "--out", str(out), *SMALL]
    assert pretrain.main(arguments) == 65
    assert f"{out} cannot be made: Not a directory." in capsys.readouterr().out


def test_a_checkpoint_is_exported_into_no_file(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(trained_on(chat, 500), tmp_path / CHECKPOINT)
    arguments = ["--out", str(tmp_path), "--export", str(chat / "model")]
    assert pretrain.main(arguments) == 65
    assert f"{chat / 'model'} cannot be made: Not a directory." in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--threads=0", "--width=-6", "--layers=0", "--rate=nan"])
def test_numbers_that_train_nothing_are_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        pretrain.main([option, "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err.splitlines()[-1]
