"""Trains a small model from nothing: `python -m training.pretrain --budget 25M --out FOLDER`.

It learns from the dialogues of a grammar (this makes the embedded model), or with `--dialogues`
from files of `{"turns": ["…", …]}`, one dialogue a line, with a tokenizer made from them. People
speak on both sides there: whoever answers is learned as the bot, so every turn but the first one
counts in the loss; of the grammar's dialogues only the bot's own turns.

`--reverse` makes a model that reads newest turn first and says how likely what was said is, given
a reply: the bot ranks candidates by it. It needs the vocabulary of the model that it ranks for:
`--tokenizer-of FOLDER`, or `--from FOLDER`, which starts from the weights there, too.

In the output folder: `model/` (what the bot loads), `checkpoint.pt` (to go on with `--resume`),
`loss.png`. With `--resume` and a smaller budget than the last one, training comes to its end at
once, with its steps decaying. `--export FOLDER` writes the newest checkpoint as a model folder.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bot.errors import EXIT_WRONG_SETTINGS, StartError
from evaluation.errors import EXIT_WRONG_INPUT, InputError
from evaluation.options import at_least
from training.budget import Budget, parse_budget
from training.curve import draw_curve
from training.loop import CHECKPOINT, train
from training.network import load_network, load_tokenizer, shape_of
from training.smalltalk.grammar import Grammar, load_grammar
from training.smalltalk.words import Split
from training.sources import Collected, Invented, Source, read_collected
from training.trainer import Plan, Trainer, read_checkpoint, read_plan
from training.vocabulary import FILES_VOCABULARY_SIZE, VOCABULARY_SIZE

MODEL = "model"
RECORD = "training.json"
CURVE = "loss.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    if (options.resume or options.export) and not (options.out / CHECKPOINT).is_file():
        _say(f"There is no checkpoint in {options.out}: start without --resume.")
        return EXIT_WRONG_SETTINGS
    try:
        return _run(options)
    except InputError as error:
        _say(str(error))
        return EXIT_WRONG_INPUT
    except StartError as error:
        _say(str(error))
        return error.exit_code


def _run(options: argparse.Namespace) -> int:
    grammar = load_grammar()
    validation = read_collected(options.validation) if options.validation else None
    if options.resume or options.export:
        state = read_checkpoint(options.out / CHECKPOINT)
        files = options.dialogues or [Path(name) for name in read_plan(state).files]
        trainer = Trainer.restore(state, _open_source(files, grammar))
        if options.reverse and not trainer.plan.is_reverse:
            raise InputError(f"{options.out} holds no reverse training: choose another --out.")
    else:
        trainer = _new_trainer(options, _open_source(options.dialogues, grammar))
        _make_folder(options.out)
    if options.export:
        _export(trainer, options.export, grammar, validation)
        return 0
    interrupted = train(
        trainer, options.budget, options.out, options.checkpoint_seconds, validation
    )
    progress = trainer.progress
    if not draw_curve(progress.curve, options.out / CURVE, progress.validation):
        _say("No loss curve: matplotlib is not installed (pip install -e '.[plots]').")
    _export(trainer, options.out / MODEL, grammar, validation)
    return 130 if interrupted else 0


def _make_folder(folder: Path) -> None:
    """Told before the training: afterwards it would be lost."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}.") from error


def _open_source(files: Sequence[Path], grammar: Grammar) -> Source:
    if not files:
        return Invented(grammar)
    source = read_collected(files)
    num_turns = sum(len(turns) for turns in source.dialogues)
    left_out = f", {source.num_left_out:,} of a single turn left out" * bool(source.num_left_out)
    _say(f"dialogues  {len(source.dialogues):,} of {num_turns:,} turns{left_out}")
    return source


def _new_trainer(options: argparse.Namespace, source: Source) -> Trainer:
    """A trainer of a new network, or of one with the weights or the tokenizer of another."""
    network = load_network(options.origin) if options.origin else None
    shape = {name: getattr(options, name) for name in ("layers", "heads", "width", "num_ids")}
    plan = Plan(
        seed=options.seed,
        peak_rate=options.rate,
        files=tuple(map(str, options.dialogues)),
        is_reverse=options.reverse,
        origin=options.origin.name if options.origin else "",
        **(shape_of(network) if network else shape),
    )
    lender = options.origin or options.tokenizer_of
    return Trainer(plan, source, load_tokenizer(lender) if lender else None, network)


def _export(trainer: Trainer, folder: Path, grammar: Grammar, validation: Collected | None) -> None:
    """Write the model folder and say what it is; the record beside it goes into its card."""
    _make_folder(folder)
    trainer.export(folder)
    progress = trainer.progress
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    _say(f"model      {folder}")
    _say(f"sha256     {digest}")
    _say(f"tokens     {progress.num_tokens:,} in {progress.num_seconds:,.0f} s of training")
    record = _record(trainer)
    if not trainer.plan.files:
        for split in Split:
            loss = trainer.evaluate(grammar, split)
            _say(f"loss       {loss:.4f} ({split.value} words, new dialogues)")
    if validation is not None:
        measured = trainer.validate(validation)
        found = (
            f"{measured.mean:.4f}, perplexity {measured.per_token:.2f} a token, "
            f"{measured.per_word:.1f} a word ({measured.num_tokens:,} tokens)"
        )
        _say(f"validation {found}")
        record["loss on the validation files"] = found
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _record(trainer: Trainer) -> dict[str, str]:
    plan, progress = trainer.plan, trainer.progress
    learned_from = {"grammar": trainer.fingerprint}
    if plan.files:
        names = ", ".join(Path(name).name for name in plan.files)
        learned_from = {"dialogues": f"{names} ({trainer.fingerprint})"}
    return {
        "parameters": f"{sum(weight.numel() for weight in trainer.network.parameters()):,}",
        "tokens of training": f"{progress.num_tokens:,}",
        "seconds of training": f"{progress.num_seconds:,.0f}",
        "seed": str(plan.seed),
        **learned_from,
        **({"direction": "reverse: newest turn first"} if plan.is_reverse else {}),
        **({"started from": plan.origin} if plan.origin else {}),
        "torch": torch.__version__,
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.pretrain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    usual = Plan()
    add = parser.add_argument
    folder: dict[str, Any] = {"type": Path, "metavar": "FOLDER"}
    files: dict[str, Any] = {"type": Path, "metavar": "FILE", "action": "append", "default": []}
    add("--budget", type=_budget, default=parse_budget("25M"), help="5m, 2h; 300k, 25M tokens")
    add("--out", type=Path, default=Path("data/smalltalk"))
    add("--dialogues", help="learn from a file of dialogues; may be given again", **files)
    add("--validation", help="measure the loss on this file at the end", **files)
    add("--reverse", action="store_true", help="what was said, given the reply")
    known = parser.add_mutually_exclusive_group().add_argument
    known("--tokenizer-of", help="take the tokenizer of this model", **folder)
    known("--from", dest="origin", help="start from this model's weights and tokenizer", **folder)
    known("--vocabulary", dest="num_ids", type=int, help="size of a new tokenizer: 2048 or 4096")
    add("--layers", type=at_least(1), default=usual.layers)
    add("--heads", type=at_least(1), default=usual.heads)
    add("--width", type=at_least(1), default=usual.width)
    add("--rate", type=float, default=usual.peak_rate, help="the learning rate at its highest")
    add("--seed", type=int, default=0)
    # A thread that has to wait for a busy core holds up all others: leave one core free.
    add("--threads", type=at_least(1), default=max(1, torch.get_num_threads() - 1))
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--export", help="write the checkpoint only", **folder)
    add("--checkpoint-seconds", type=float, default=60.0)
    return _checked(parser, parser.parse_args(arguments))


def _checked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """`options`; ends the program with a sentence for numbers that make no network."""
    if options.width % options.heads:
        parser.error(f"--width {options.width} has to be a multiple of --heads {options.heads}")
    if not 0 < options.rate < 1:
        parser.error(f"--rate {options.rate} has to be between 0 and 1")
    if options.num_ids is None:
        options.num_ids = FILES_VOCABULARY_SIZE if options.dialogues else VOCABULARY_SIZE
    return options


def _budget(text: str) -> Budget:
    try:
        return parse_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error  # argparse hides other texts


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
