"""Tiny models, made once for all engine tests, and an engine on one."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.engine.loader import LoadedModel, load_model
from bot.engine.reference import ReferenceEngine
from bot.engine.tokenizer import ModelTokenizer, load_tokenizer
from tests.tiny_models import make_chat_model, make_tiny_gpt2


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


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine with its inside and a prompt that it understands."""

    engine: ReferenceEngine
    loaded: LoadedModel
    prompt: tuple[int, ...]


@pytest.fixture
async def opened(loaded: LoadedModel, tokenizer: ModelTokenizer) -> AsyncIterator[Opened]:
    engine = ReferenceEngine(loaded, "tiny", ThreadPoolExecutor(1, thread_name_prefix="engine"))
    prompt = (*tokenizer.encode("hello there, how are you?"), tokenizer.end_of_text_id)
    yield Opened(engine, loaded, prompt)
    await engine.close()
