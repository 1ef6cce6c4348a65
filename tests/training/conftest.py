"""The grammar, and a network small enough for a test, trained for a moment."""

from collections.abc import Iterator

import pytest
import torch

from training.budget import Budget
from training.smalltalk.grammar import Grammar, load_grammar
from training.sources import Invented
from training.trainer import Plan, Trainer

TINY = Plan(seed=3, batch_tokens=512, layers=1, heads=2, width=32, tokenizer_dialogues=300)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks: a second thread that waits for a busy core costs thirty times the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def grammar() -> Grammar:
    return load_grammar()


@pytest.fixture(scope="session")
def trained(grammar: Grammar) -> Trainer:
    """A tiny network after a few steps; not to be trained further."""
    return train_tiny(grammar, num_tokens=6_000)


def train_tiny(grammar: Grammar, *, num_tokens: int) -> Trainer:
    trainer = Trainer(TINY, Invented(grammar))
    for _ in trainer.steps(Budget(num_tokens=num_tokens)):
        pass
    return trainer
