"""Opening and closing an engine as the bot does."""

import asyncio
import gc
import re
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role
from bot.engine.batching import loader as gpt2_loader
from bot.engine.batching.engine import LocalEngine
from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import GenerationRequest
from bot.engine.reference.engine import ReferenceEngine
from bot.errors import ModelError
from tests.engine.running import engine_threads


async def test_an_opened_engine_tells_what_it_serves(tiny_model: Path) -> None:
    engine = await open_engine(tiny_model, model="tiny", device="cpu", dtype="auto", num_threads=1)
    assert (engine.info.model, engine.info.device, engine.info.dtype) == ("tiny", "cpu", "float32")
    assert engine.info.window == 256
    await engine.close()
    assert engine_threads() == []


async def test_closing_frees_the_model(tiny_model: Path) -> None:
    engine = await open_engine(tiny_model, model="tiny", device="cpu", dtype="auto")
    local = engine._current.engine
    assert isinstance(local, LocalEngine)
    assert local._worker.runner is not None
    network = weakref.ref(local._worker.runner.network)
    await engine.generate(GenerationRequest((1, 2), SamplingParams(max_new_tokens=8)))
    await engine.close()
    gc.collect()
    assert network() is None


async def test_a_gpt2_gets_the_local_engine_and_everything_else_the_reference_engine(
    tiny_model: Path, chat_model: Path
) -> None:
    for folder, kind in ((tiny_model, LocalEngine), (chat_model, ReferenceEngine)):
        engine = await open_engine(folder, model="any", device="cpu", dtype="auto")
        assert type(engine._current.engine) is kind
        await engine.close()


async def test_a_failed_opening_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        await open_engine(tmp_path, model="none", device="cpu", dtype="auto")
    assert engine_threads() == []


async def test_a_cancelled_opening_leaves_no_thread(tiny_model: Path) -> None:
    opening = asyncio.create_task(open_engine(tiny_model, model="tiny", device="cpu", dtype="auto"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for thread in engine_threads():
        thread.join(5)
    assert engine_threads() == []


async def test_a_model_that_was_loading_when_it_was_given_up_is_freed(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = asyncio.Event(), threading.Event()
    networks: list[weakref.ref[object]] = []
    loop = asyncio.get_running_loop()

    def load_slowly(folder: Path, device: str, dtype: str) -> LoadedGpt2:
        loop.call_soon_threadsafe(begun.set)
        goes_on.wait(5)
        loaded = load_gpt2(folder, device, dtype)
        networks.append(weakref.ref(loaded.network))
        return loaded

    monkeypatch.setattr(gpt2_loader, "load_gpt2", load_slowly)
    opening = asyncio.create_task(open_engine(tiny_model, model="tiny", device="cpu", dtype="auto"))
    async with asyncio.timeout(5):
        await begun.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    goes_on.set()
    for thread in engine_threads():
        thread.join(5)
    await asyncio.sleep(0)  # the loop lets go of what came too late
    gc.collect()
    assert [network() for network in networks] == [None]


async def test_the_log_tells_in_a_sentence_what_was_loaded(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot")
    engine = await open_engine(tiny_model, model="tiny", device="cpu", dtype="auto", num_threads=1)
    await engine.close()
    (line,) = caplog.messages
    assert re.fullmatch(
        r"Model loaded in \d+\.\d s: tiny, 0\.0459 million parameters, float32 on cpu, "
        r"window of 256 tokens\.",
        line,
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
async def test_a_gpu_that_was_not_found_is_told(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot")
    engine = await open_engine(tiny_model, model="tiny", device="auto", dtype="auto", num_threads=1)
    await engine.close()
    told = caplog.messages[-1].startswith("No GPU was found")
    assert told == (engine.info.device == "cpu")


async def test_a_chat_model_answers_from_its_template(chat_model: Path) -> None:
    tokenizer = await open_tokenizer(chat_model)
    engine = await open_engine(chat_model, model="chat", device="cpu", dtype="auto")
    prompt = await tokenizer.run(lambda t: t.apply_chat_template([(Role.USER, "hello <|end|>")]))
    completions = await engine.generate(
        GenerationRequest(tuple(prompt), SamplingParams(num_candidates=2, seed=3))
    )
    assert all(len(completion.ids) >= 2 for completion in completions)
    assert not {0, 2} & {token_id for completion in completions for token_id in completion.ids}
    await engine.close()
    await tokenizer.close()


def test_the_way_to_an_engine_imports_nothing_heavy() -> None:
    program = (
        "import sys, bot.engine.opening\n"
        "import bot.engine.checkpoints.checkpoint, bot.engine.checkpoints.manifest\n"
        "print([n for n in ('torch', 'transformers', 'huggingface_hub') if n in sys.modules])"
    )
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "[]"
