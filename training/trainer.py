"""The training of the embedded model: one object that takes step after step."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.budget import Budget, Schedule
from training.corpus import Batch, Corpus, Position
from training.losses import held_out_loss
from training.network import Network, loss_of, new_network, save
from training.optimizers import make_optimizers
from training.smalltalk.grammar import Grammar, fingerprint
from training.smalltalk.words import Split
from training.vocabulary import train_tokenizer

_MAX_NORM = 1.0
_AVERAGED_STEPS = 100  # the weights that are saved are a mean over about so many steps


@dataclass(frozen=True, slots=True)
class Plan:
    """What determines a training; `layers`, `heads` and `width` are the network's."""

    seed: int = 0
    batch_tokens: int = 2048
    layers: int = 4
    heads: int = 6
    width: int = 192
    tokenizer_dialogues: int = 20_000
    peak_rate: float = 3e-3


@dataclass(slots=True)
class Progress:
    """How far a training is. `curve`: (tokens, mean loss of a token since the last point)."""

    num_steps: int = 0
    num_tokens: int = 0
    num_seconds: float = 0.0
    position: Position = field(default_factory=Position)
    curve: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    loss: float  # mean of a token of the bot's turns
    num_tokens: int


class Trainer:
    """Trains a network on the grammar's dialogues. Raises ValueError for a foreign checkpoint."""

    def __init__(self, plan: Plan, grammar: Grammar, tokenizer: Tokenizer | None = None) -> None:
        self.plan = plan
        self.progress = Progress()
        self.tokenizer = tokenizer or train_tokenizer(
            grammar, plan.seed, num_dialogues=plan.tokenizer_dialogues
        )
        self.network = new_network(
            plan.seed, layers=plan.layers, heads=plan.heads, width=plan.width
        )
        self.grammar_print = fingerprint(grammar)
        self._grammar = grammar
        self._schedule = Schedule(peak=plan.peak_rate)
        self._weights: list[Tensor] = list(self.network.parameters())
        self._averages = [weight.detach().clone() for weight in self._weights]
        self._optimizers = make_optimizers(self.network)

    def steps(self, budget: Budget) -> Iterator[Step]:
        """Train until `budget` is used up; the caller may stop at any step."""
        corpus = Corpus(
            self._grammar,
            self.tokenizer,
            f"training {self.plan.seed}",
            self.plan.batch_tokens,
        )
        for batch, position in corpus.read(self.progress.position):
            started_at = time.perf_counter()
            share = budget.share(self.progress.num_tokens, self.progress.num_seconds)
            if share >= 1:
                return
            loss = self._step(batch, self._schedule.rate(self.progress.num_steps, share))
            self.progress.num_steps += 1
            self.progress.num_tokens += batch.num_tokens
            self.progress.position = position
            self.progress.num_seconds += time.perf_counter() - started_at
            yield Step(loss, batch.num_tokens)

    def _step(self, batch: Batch, rate: float) -> float:
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):  # 1.4 times as fast where the CPU knows it
            total, num_targets = loss_of(self.network, batch)
        loss = total / num_targets
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        torch.nn.utils.clip_grad_norm_(self._weights, _MAX_NORM)
        for optimizer in self._optimizers:
            optimizer.step()
        share = max(1 / _AVERAGED_STEPS, 1 / (self.progress.num_steps + 1))
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.lerp_(weight.detach(), share)
        return loss.item()

    def evaluate(self, split: Split) -> float:
        """The averaged network's mean loss of a token of the bot's turns, on unseen dialogues."""
        return held_out_loss(
            self.averaged_network(), self._grammar, self.tokenizer, split, seed=self.plan.seed
        )

    def averaged_network(self) -> Network:
        """A copy of the network with the mean of its last weights: what is saved."""
        network = new_network(0, **{k: getattr(self.plan, k) for k in ("layers", "heads", "width")})
        for weight, average in zip(network.parameters(), self._averages, strict=True):
            weight.data.copy_(average)
        return network.eval()

    def export(self, folder: Path) -> None:
        """Write the averaged network as a model folder."""
        save(self.averaged_network(), self.tokenizer, folder)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, in types that torch saves without pickling code."""
        return {
            "plan": asdict(self.plan),
            "progress": asdict(self.progress),
            "grammar": self.grammar_print,
            "tokenizer": self.tokenizer.to_str(),
            "network": self.network.state_dict(),
            "averages": self._averages,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], grammar: Grammar) -> "Trainer":
        """The trainer whose `state` this was."""
        trainer = cls(Plan(**state["plan"]), grammar, Tokenizer.from_str(state["tokenizer"]))
        trainer.grammar_print = state["grammar"]  # the one that most was learned from
        trainer.network.load_state_dict(state["network"])
        for average, saved in zip(trainer._averages, state["averages"], strict=True):
            average.copy_(saved)
        for optimizer, saved in zip(trainer._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        progress = dict(state["progress"])
        progress["position"] = Position(**progress["position"])
        progress["curve"] = [tuple(point) for point in progress["curve"]]
        trainer.progress = Progress(**progress)
        return trainer


def save_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write the trainer's state; a crash in the middle leaves the older file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(trainer.state(), partial)
    partial.replace(path)


def load_checkpoint(path: Path, grammar: Grammar) -> Trainer:
    """The trainer that was saved at `path`."""
    return Trainer.restore(torch.load(path, weights_only=True), grammar)
