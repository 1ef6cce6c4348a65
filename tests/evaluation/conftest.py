"""A model small enough for a test."""

from pathlib import Path

import pytest

from tests.tiny_models import make_tiny_gpt2


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gpt2(tmp_path_factory.mktemp("model"))
