"""A training with its bar, its curve and its checkpoints."""

import sys
import time
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from training.budget import Budget
from training.sources import Collected
from training.trainer import Trainer, save_checkpoint

CHECKPOINT = "checkpoint.pt"
_SAMPLED_DIALOGUES = 64  # one or two seconds
_POINT_STEPS = 10  # between two points of the loss curve


def train(
    trainer: Trainer,
    budget: Budget,
    folder: Path,
    checkpoint_seconds: float,
    validation: Collected | None = None,
) -> bool:
    """Train to the end of `budget`, saving checkpoints; True where Ctrl-C ended it before.

    At each checkpoint the loss on a part of `validation` becomes a point of its curve.
    """
    sample = validation.sample(_SAMPLED_DIALOGUES) if validation else None
    saved_at, losses, interrupted = time.monotonic(), _Losses(trainer), False
    with _bar(trainer, budget) as bar:
        try:
            for step in trainer.steps(budget):
                losses.add(step.loss)
                _advance(bar, trainer, budget, step.num_tokens)
                bar.set_postfix_str(losses.shown(), refresh=False)
                if time.monotonic() - saved_at > checkpoint_seconds:
                    if sample is not None:
                        _add_point(trainer, sample)
                    save_checkpoint(trainer, folder / CHECKPOINT)
                    saved_at = time.monotonic()
        except KeyboardInterrupt:
            interrupted = True
    save_checkpoint(trainer, folder / CHECKPOINT)
    return interrupted


def _add_point(trainer: Trainer, sample: Collected) -> None:
    loss = trainer.validate(sample).mean
    trainer.progress.validation.append((trainer.progress.num_tokens, loss))


class _Losses:
    """The mean loss since the last point of the curve, and for the bar a running mean."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._started_at = time.monotonic()
        self._started_tokens = trainer.progress.num_tokens
        self._running = 0.0
        self._since: list[float] = []

    def add(self, loss: float) -> None:
        self._since.append(loss)
        self._running = 0.98 * self._running + 0.02 * loss if self._running else loss
        if len(self._since) == _POINT_STEPS:
            mean = sum(self._since) / len(self._since)
            self._trainer.progress.curve.append((self._trainer.progress.num_tokens, mean))
            self._since = []

    def shown(self) -> str:
        num_tokens = self._trainer.progress.num_tokens - self._started_tokens
        speed = num_tokens / max(1e-9, time.monotonic() - self._started_at)
        return f"loss {self._running:.3f}, {speed:.0f} tokens/s"


def _bar(trainer: Trainer, budget: Budget) -> "tqdm[NoReturn]":
    """A bar in tokens or seconds, as the budget is: its time left is right for both."""
    progress = trainer.progress
    in_tokens = budget.num_tokens is not None
    return tqdm(
        total=budget.num_tokens or round(budget.num_seconds or 0),
        initial=progress.num_tokens if in_tokens else round(progress.num_seconds),
        unit="token" if in_tokens else "s",
        unit_scale=in_tokens,
        mininterval=1.0 if sys.stderr.isatty() else 30.0,
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
    )


def _advance(bar: "tqdm[NoReturn]", trainer: Trainer, budget: Budget, num_tokens: int) -> None:
    if budget.num_tokens is not None:
        bar.update(num_tokens)
        return
    seconds = min(trainer.progress.num_seconds, budget.num_seconds or 0.0)
    bar.update(round(seconds) - int(bar.n))
