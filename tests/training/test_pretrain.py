import asyncio
import json
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from bot.dialogue.sampling import SamplingParams
from bot.engine.checkpoints.network_config import read_network_config, window_of
from bot.engine.opening import open_tokenizer
from bot.engine.protocol import (
    Completion,
    Engine,
    EngineInfo,
    FinishReason,
    GenerationRequest,
)
from bot.engine.tokenizer import load_tokenizer
from training import pretrain
from training.curve import draw_curve
from training.model_card import main as model_card
from training.smalltalk.grammar import Grammar
from training.trainer import Plan, Trainer
from training.voice import GREEDY, Voice, open_voice


@pytest.fixture
def folder(trained: Trainer, tmp_path: Path) -> Path:
    trained.export(tmp_path / "model")
    return tmp_path / "model"


def test_the_bot_loads_the_folder_and_answers(folder: Path) -> None:
    async def answers() -> list[str]:
        async with open_voice(folder, num_threads=1) as voice:
            return [await voice.answer(["hi"], params) for params in (GREEDY, SamplingParams())]

    assert window_of(read_network_config(folder), folder) == 256
    assert all(isinstance(reply, str) for reply in asyncio.run(answers()))


def test_the_whole_dialogue_is_in_the_prompt(folder: Path) -> None:
    class Recorder:
        """An engine that keeps what it is asked and says nothing."""

        def __init__(self) -> None:
            self.requests: list[GenerationRequest] = []
            self.info = EngineInfo("m", "", "cpu", "float32", 256, 1)

        async def generate(self, request: GenerationRequest) -> list[Completion]:
            self.requests.append(request)
            return [Completion((), (), FinishReason.STOP, 0, len(request.prompt_ids))]

    async def ask() -> None:
        tokenizer = await open_tokenizer(folder)
        voice = Voice(cast("Engine", recorder), tokenizer)
        await voice.answer(["hi", "hello!", "I am Ada", "hi Ada!", "who am I?"], GREEDY)
        await tokenizer.close()

    recorder = Recorder()
    asyncio.run(ask())
    [request] = recorder.requests
    assert request.prompt_ids.count(0) == 5
    assert len(request.own_ids) == 2


def test_the_tokenizer_knows_every_character_and_no_word_at_two_places(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    for text in ("hello there", "안녕하세요, 뷁", "naïve 😀 ok", "<|endoftext|>"):
        assert tokenizer.decode(tokenizer.encode(text)).strip() == text
    assert tokenizer.encode("Sam") == tokenizer.encode("hi Sam")[-len(tokenizer.encode("Sam")) :]
    assert tokenizer.end_of_text_id == 0
    assert 0 not in tokenizer.encode("a <|endoftext|> b")


def test_the_program_trains_resumes_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pretrain, "Plan", partial(Plan, tokenizer_dialogues=300))
    out = ["--out", str(tmp_path), "--threads", "1"]
    small = ["--seed", "3", "--layers", "1", "--heads", "2", "--width", "32"]
    assert pretrain.main([*out, *small, "--budget", "2k"]) == 0
    first = capsys.readouterr().out
    assert "sha256" in first
    assert pretrain.main([*out, "--budget", "4k", "--resume"]) == 0
    assert pretrain.main([*out, "--export", str(tmp_path / "copy")]) == 0
    weights = [tmp_path / name / "model.safetensors" for name in ("model", "copy")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert json.loads((tmp_path / "copy" / pretrain.RECORD).read_text())["seed"] == "3"


def test_resuming_without_a_checkpoint_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain.main(["--out", str(tmp_path), "--resume"]) == 78
    assert "no checkpoint" in capsys.readouterr().out


def test_the_curve_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert draw_curve([(1000, 5.0), (2000, 3.0)], tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_model_card_has_its_table(
    folder: Path, grammar: Grammar, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(folder), "--probes", "2", "--dialogues", "1", "--threads", "1", "--write"]
    assert model_card(arguments) == 0
    card = capsys.readouterr().out
    assert (folder / "README.md").read_text(encoding="utf-8") == card
    for name in ("loss, seen words", "recall@1, held out words, one exchange later", "Distinct-2"):
        assert name in card
    assert card.count("- **bot**") >= 20
