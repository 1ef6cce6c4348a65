"""Makes the embedded model: `python -m training.pretrain --budget 25M --out FOLDER`.

In the output folder: `model/` (what the bot loads), `checkpoint.pt` (to go on with `--resume`),
`loss.png`. With `--resume` and a smaller budget than the last one, training comes to its end at
once, with its steps decaying. `--export FOLDER` writes the newest checkpoint as a model folder.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch
from tqdm import tqdm

from training.budget import Budget, parse_budget
from training.curve import draw_curve
from training.smalltalk.grammar import load_grammar
from training.smalltalk.words import Split
from training.trainer import Plan, Trainer, load_checkpoint, save_checkpoint

CHECKPOINT = "checkpoint.pt"
MODEL = "model"
RECORD = "training.json"
CURVE = "loss.png"
_POINT_STEPS = 10  # between two points of the loss curve


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    checkpoint = options.out / CHECKPOINT
    if (options.resume or options.export) and not checkpoint.is_file():
        _say(f"There is no checkpoint in {options.out}: start without --resume.")
        return 78
    grammar = load_grammar()
    if options.resume or options.export:
        trainer = load_checkpoint(checkpoint, grammar)
    else:
        trainer = Trainer(Plan(seed=options.seed), grammar)
    if options.export:
        return _export(trainer, options.export)
    interrupted = train(trainer, options.budget, options.out, options.checkpoint_seconds)
    if not draw_curve(trainer.progress.curve, options.out / CURVE):
        _say("No loss curve: matplotlib is not installed (pip install -e '.[train]').")
    _export(trainer, options.out / MODEL)
    return 130 if interrupted else 0


def train(trainer: Trainer, budget: Budget, folder: Path, checkpoint_seconds: float) -> bool:
    """Train to the end of `budget`, saving checkpoints; True where Ctrl-C ended it before."""
    saved_at, losses, interrupted = time.monotonic(), _Losses(trainer), False
    with _bar(trainer, budget) as bar:
        try:
            for step in trainer.steps(budget):
                losses.add(step.loss)
                _advance(bar, trainer, budget, step.num_tokens)
                bar.set_postfix_str(losses.shown(), refresh=False)
                if time.monotonic() - saved_at > checkpoint_seconds:
                    save_checkpoint(trainer, folder / CHECKPOINT)
                    saved_at = time.monotonic()
        except KeyboardInterrupt:
            interrupted = True
    save_checkpoint(trainer, folder / CHECKPOINT)
    return interrupted


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


def _export(trainer: Trainer, folder: Path) -> int:
    """Write the model folder and say what it is; the record beside it goes into its card."""
    trainer.export(folder)
    progress = trainer.progress
    record = {
        "parameters": f"{sum(weight.numel() for weight in trainer.network.parameters()):,}",
        "tokens of training": f"{progress.num_tokens:,}",
        "seconds of training": f"{progress.num_seconds:,.0f}",
        "seed": str(trainer.plan.seed),
        "grammar": trainer.grammar_print,
        "torch": torch.__version__,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    _say(f"model      {folder}")
    _say(f"sha256     {digest}")
    _say(f"tokens     {progress.num_tokens:,} in {progress.num_seconds:,.0f} s of training")
    for split in Split:
        _say(f"loss       {trainer.evaluate(split):.4f} ({split.value} words, new dialogues)")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.pretrain", description=__doc__)
    parser.add_argument("--budget", type=parse_budget, default=parse_budget("25M"))
    parser.add_argument("--out", type=Path, default=Path("data/smalltalk"))
    parser.add_argument("--seed", type=int, default=0)
    # A thread that has to wait for a busy core holds up all others: leave one core free.
    parser.add_argument("--threads", type=int, default=max(1, torch.get_num_threads() - 1))
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write the checkpoint only")
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
