from itertools import islice
from pathlib import Path

import pytest
import torch

from tests.training.conftest import TINY, train_tiny
from training.budget import Budget
from training.corpus import Corpus
from training.forms import BotTurns
from training.network import loss_of, new_network
from training.smalltalk.grammar import Grammar
from training.smalltalk.words import Split
from training.sources import Invented
from training.trainer import Trainer, read_checkpoint, save_checkpoint


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return list(trainer.averaged_network().state_dict().values())


def test_the_same_seed_and_budget_make_the_same_weights(grammar: Grammar) -> None:
    one, other = (weights(train_tiny(grammar, num_tokens=4_000)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_loss_falls(grammar: Grammar) -> None:
    losses = [
        step.loss for step in Trainer(TINY, Invented(grammar)).steps(Budget(num_tokens=30_000))
    ]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_a_resumed_training_ends_with_the_same_weights(grammar: Grammar, tmp_path: Path) -> None:
    budget = Budget(num_tokens=5_000)
    whole = Trainer(TINY, Invented(grammar))
    list(whole.steps(budget))
    first = Trainer(TINY, Invented(grammar))
    list(islice(first.steps(budget), 4))
    save_checkpoint(first, tmp_path / "checkpoint.pt")
    resumed = Trainer.restore(read_checkpoint(tmp_path / "checkpoint.pt"), Invented(grammar))
    assert resumed.progress == first.progress
    list(resumed.steps(budget))
    assert resumed.progress.num_tokens == whole.progress.num_tokens
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_a_smaller_budget_ends_a_resumed_training(trained: Trainer) -> None:
    assert not list(trained.steps(Budget(num_tokens=trained.progress.num_tokens)))


def test_a_budget_in_seconds_ends(grammar: Grammar) -> None:
    trainer = Trainer(TINY, Invented(grammar))
    steps = list(trainer.steps(Budget(num_seconds=0.05)))
    assert steps
    assert trainer.progress.num_seconds >= 0.05


def test_the_loss_is_that_of_transformers(trained: Trainer, grammar: Grammar) -> None:
    """The fast loss against the slow, obvious one, padding included."""
    network = trained.averaged_network()
    batch = Corpus(Invented(grammar), trained.tokenizer, "x", 512, BotTurns()).chunk(0)[0]
    with torch.no_grad():
        total, num_targets = loss_of(network, batch)
        mask = torch.ones_like(batch.ids)
        expected = network(batch.ids, attention_mask=mask, labels=batch.labels).loss
    assert total / num_targets == pytest.approx(expected.item(), rel=1e-4)


def test_training_brings_the_held_out_loss_down(trained: Trainer, grammar: Grammar) -> None:
    assert trained.evaluate(grammar, Split.HELD_OUT) < Trainer(TINY, Invented(grammar)).evaluate(
        grammar, Split.HELD_OUT
    )


def test_a_new_network_depends_on_the_seed_alone() -> None:
    one, same, other = (new_network(seed, layers=1, width=32, heads=2) for seed in (1, 1, 2))
    assert torch.equal(one.lm_head.weight, same.lm_head.weight)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
