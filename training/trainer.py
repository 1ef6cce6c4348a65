"""The training of a small model: one object that takes step after step."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from evaluation.errors import InputError
from training.budget import Budget, Schedule
from training.corpus import Batch, Corpus, Position
from training.forms import Form, choose_form
from training.losses import Measured, held_out_loss, validation_loss
from training.network import FORWARD, REVERSE, Network, loss_of, new_network, save, shape_of
from training.optimizers import make_optimizers
from training.smalltalk.grammar import Grammar
from training.smalltalk.words import Split
from training.sources import Collected, Source
from training.vocabulary import VOCABULARY_SIZE, as_text_only, train_tokenizer

_MAX_NORM = 1.0
_AVERAGED_STEPS = 100  # the weights that are saved are a mean over about so many steps


@dataclass(frozen=True, slots=True)
class Plan:
    """What determines a training; `layers`, `heads` and `width` are the network's.

    `files`: of dialogues; without them the grammar makes them up. `num_ids`: of a tokenizer that
    is trained for this network. `origin`: the folder whose weights it starts from.
    """

    seed: int = 0
    batch_tokens: int = 2048
    layers: int = 4
    heads: int = 6
    width: int = 192
    tokenizer_dialogues: int = 20_000
    peak_rate: float = 3e-3
    num_ids: int = VOCABULARY_SIZE
    files: tuple[str, ...] = ()
    is_reverse: bool = False
    origin: str = ""

    @property
    def form(self) -> Form:
        """How dialogues become rows."""
        return choose_form(is_reverse=self.is_reverse, has_two_people=bool(self.files))


@dataclass(slots=True)
class Progress:
    """How far a training is.

    `curve`: (tokens, mean loss of a token since the last point); `validation`: (tokens, loss of
    the averaged network on dialogues that are not learned).
    """

    num_steps: int = 0
    num_tokens: int = 0
    num_seconds: float = 0.0
    position: Position = field(default_factory=Position)
    curve: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    loss: float  # mean of a token of the bot's turns
    num_tokens: int


class Trainer:
    """Trains a network on a source's dialogues."""

    def __init__(
        self,
        plan: Plan,
        source: Source,
        tokenizer: Tokenizer | None = None,
        network: Network | None = None,
    ) -> None:
        """`tokenizer` and `network`: to start from, instead of new ones."""
        self.plan = plan
        self.progress = Progress()
        self.tokenizer = tokenizer or train_tokenizer(
            source.texts(plan.seed, plan.tokenizer_dialogues), plan.num_ids
        )
        self.network = network or new_network(
            plan.seed,
            layers=plan.layers,
            heads=plan.heads,
            width=plan.width,
            num_ids=self.tokenizer.get_vocab_size(),
        )
        self.fingerprint = source.fingerprint
        self._source = source
        self._schedule = Schedule(peak=plan.peak_rate)
        self._weights: list[Tensor] = list(self.network.parameters())
        self._averages = [weight.detach().clone() for weight in self._weights]
        self._optimizers = make_optimizers(self.network)

    def steps(self, budget: Budget) -> Iterator[Step]:
        """Train until `budget` is used up; the caller may stop at any step."""
        corpus = Corpus(
            self._source,
            self.tokenizer,
            f"training {self.plan.seed}",
            self.plan.batch_tokens,
            self.plan.form,
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

    def evaluate(self, grammar: Grammar, split: Split) -> float:
        """The averaged network's mean loss of a token that counts, on unseen dialogues."""
        network, form = self.averaged_network(), self.plan.form
        return held_out_loss(
            network, grammar, self.tokenizer, split, seed=self.plan.seed, form=form
        )

    def validate(self, validation: Collected) -> Measured:
        """The averaged network's loss on the dialogues of files."""
        return validation_loss(self.averaged_network(), self.tokenizer, validation, self.plan.form)

    def averaged_network(self) -> Network:
        """A copy of the network with the mean of its last weights: what is saved."""
        network = new_network(0, **shape_of(self.network))
        for weight, average in zip(network.parameters(), self._averages, strict=True):
            weight.data.copy_(average)
        return network.eval()

    def export(self, folder: Path) -> None:
        """Write the averaged network as a model folder."""
        direction = REVERSE if self.plan.is_reverse else FORWARD
        save(self.averaged_network(), self.tokenizer, folder, direction=direction)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, in types that torch saves without pickling code."""
        return {
            "plan": asdict(self.plan),
            "progress": asdict(self.progress),
            "fingerprint": self.fingerprint,
            "tokenizer": self.tokenizer.to_str(),
            "network": self.network.state_dict(),
            "averages": self._averages,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], source: Source) -> "Trainer":
        """The trainer whose `state` this was. Raises InputError for files that have changed."""
        plan = read_plan(state)
        if plan.files and source.fingerprint != state["fingerprint"]:
            raise InputError(
                f"{', '.join(plan.files)}: these are not the dialogues that the checkpoint learned "
                "from: bring them back, or start without --resume."
            )
        tokenizer = as_text_only(Tokenizer.from_str(state["tokenizer"]))
        trainer = cls(plan, source, tokenizer)
        # a grammar may have changed: the one that most was learned from is named
        trainer.fingerprint = state["fingerprint"]
        trainer.network.load_state_dict(state["network"])
        for average, saved in zip(trainer._averages, state["averages"], strict=True):
            average.copy_(saved)
        for optimizer, saved in zip(trainer._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        progress = dict(state["progress"])
        progress["position"] = Position(**progress["position"])
        for name in ("curve", "validation"):
            progress[name] = [tuple(point) for point in progress.get(name, ())]
        trainer.progress = Progress(**progress)
        return trainer


def save_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write the trainer's state; a crash in the middle leaves the older file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(trainer.state(), partial)
    partial.replace(path)


def read_plan(state: dict[str, Any]) -> Plan:
    """The plan of the trainer whose `state` this was."""
    saved = dict(state["plan"])
    return Plan(**{**saved, "files": tuple(saved.get("files", ()))})


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state that was saved at `path`: no code of it runs. Raises InputError."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise InputError(
            f"{path} is no checkpoint that can be read: put a copy in its place, or start without "
            "--resume."
        ) from error
    return state
