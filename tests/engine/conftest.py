"""Tiny models, made once for all engine tests, and an engine on one."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import file_download

from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.checkpoints.checkpoint import EMBEDDED, resolve_model
from bot.engine.checks import EngineLimits
from bot.engine.reference.loader import LoadedModel, load_model
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from tests.engine.checkpoints.hub import LoopbackHub
from tests.engine.running import (
    Gate,
    Opened,
    OpenedLocal,
    OpenedReference,
    open_local,
    open_reference,
)
from tests.engine.slow_letters import slow_letters
from tests.tiny_models import (
    DIALOGPT_TINY,
    make_chat_model,
    make_dialogpt_shaped,
    make_tiny_gpt2,
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two threads on one busy core wait for each other; a tiny model needs one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gpt2(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_chat_model(tmp_path_factory.mktemp("models") / "chat")


@pytest.fixture
def tokenizer(tiny_model: Path) -> ModelTokenizer:
    return load_tokenizer(tiny_model)


@pytest.fixture
def loaded(tiny_model: Path) -> LoadedModel:
    """A network that the test may break."""
    return load_model(tiny_model, "cpu", "float32")


@pytest.fixture
async def opened(loaded: LoadedModel, tokenizer: ModelTokenizer) -> AsyncIterator[OpenedReference]:
    engine = open_reference(loaded)
    prompt = (*tokenizer.encode("hello there, how are you?"), tokenizer.end_of_text_id)
    yield OpenedReference(engine, loaded, prompt, slow_letters(tokenizer, loaded.num_ids))
    await engine.close()


@pytest.fixture
async def gate(opened: OpenedReference) -> Gate:
    return Gate(opened.before_pass)


@pytest.fixture(scope="session")
def embedded_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resolve_model(EMBEDDED, None, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def oracle(tiny_model: Path) -> LoadedModel:
    """The tiny model as transformers runs it; never to be changed."""
    return load_model(tiny_model, "cpu", "float32")


@pytest.fixture(scope="session")
def loaded_gpt2(tiny_model: Path) -> LoadedGpt2:
    """The same as our own network; never to be changed."""
    return load_gpt2(tiny_model, "cpu", "float32")


@pytest.fixture
async def local(loaded_gpt2: LoadedGpt2) -> AsyncIterator[OpenedLocal]:
    opened = open_local(loaded_gpt2)
    yield opened
    await opened.engine.close()


@pytest.fixture
async def narrow(loaded_gpt2: LoadedGpt2) -> AsyncIterator[OpenedLocal]:
    """Answers two at once."""
    opened = open_local(loaded_gpt2, EngineLimits(num_rows=2))
    yield opened
    await opened.engine.close()


@pytest.fixture(params=["local", "opened"], ids=["batching", "reference"])
def either(request: pytest.FixtureRequest) -> Opened:
    """Each of the two engines."""
    found: Opened = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["narrow", "opened"], ids=["batching", "reference"])
def either_narrow(request: pytest.FixtureRequest) -> Opened:
    """Each of the two engines; a request for two candidates lets all others wait."""
    found: Opened = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def either_gate(either: Opened) -> Gate:
    return Gate(either.before_pass)


@pytest.fixture
async def local_gate(local: OpenedLocal) -> Gate:
    return Gate(local.network.before.append)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that has only pickled weights."""
    return make_dialogpt_shaped(tmp_path_factory.mktemp("source"), shape=DIALOGPT_TINY)


@pytest.fixture(scope="session")
def no_pauses() -> Iterator[None]:
    """The library waits a second before it takes a broken download up again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: None))
        yield


@pytest.fixture
def hub(no_pauses: None) -> Iterator[LoopbackHub]:
    with LoopbackHub() as running:
        yield running


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


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))
