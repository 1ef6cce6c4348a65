"""Measures a model folder: `python -m training.model_card FOLDER [--write]`.

Prints losses, recall of a fact one turn and one exchange later, repetition rates, Distinct-2 and
twenty lines of open conversation; `--write` puts it all into `README.md` of the folder.
"""

import argparse
import asyncio
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bot.dialogue.guards import Fault
from bot.dialogue.profiles import EMBEDDED
from training.losses import folder_loss
from training.pretrain import RECORD
from training.probes import Rate, Repetition, measure_recall, measure_repetition, recall_probes
from training.smalltalk.grammar import Dialogue, Grammar, load_grammar
from training.smalltalk.words import Split
from training.voice import GREEDY, Voice, open_voice

CARD = "README.md"
# What a stranger might type; not taken from the grammar.
TALKS: tuple[Dialogue, ...] = (
    ("hi", "my name is Fiona", "I work in a bakery", "what's my name?", "do you like bread?"),
    ("hello! how are you?", "a bit tired", "my boss is never happy", "thanks for listening"),
    ("are you a human?", "what is the capital of Peru?", "hmm ok. tell me a joke", "lol", "bye!"),
    ("I have a cat called Pancake", "she sleeps all day", "what is my cat called?"),
    ("안녕! 나는 보람이야", "오늘 너무 피곤해", "내 이름이 뭐야?"),
)  # fmt: skip

SAMPLING = EMBEDDED.sampling  # with which the bot lets it speak


@dataclass(frozen=True, slots=True)
class Recall:
    """How often a fact was remembered."""

    split: Split
    num_between: int
    greedy: Rate
    sampled: Rate


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the card says."""

    losses: dict[Split, float]
    recalls: list[Recall]
    repetition: Repetition
    talks: list[list[str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    grammar = load_grammar()
    losses = {split: folder_loss(options.folder, grammar, split, options.seed) for split in Split}
    findings = asyncio.run(_measure(options, grammar, losses))
    card = render(findings, options.folder, options.probes)
    sys.stdout.write(card)
    if options.write:
        (options.folder / CARD).write_text(card, encoding="utf-8")
    return 0


async def _measure(
    options: argparse.Namespace, grammar: Grammar, losses: dict[Split, float]
) -> Findings:
    async with open_voice(options.folder, num_threads=options.threads) as voice:
        return Findings(
            losses=losses,
            recalls=[
                await _recall(voice, grammar, split, num_between, options)
                for num_between in (0, 1)
                for split in Split
            ],
            repetition=await measure_repetition(
                voice, _dialogues(grammar, options.dialogues, options.seed), SAMPLING
            ),
            talks=[await talk(voice, lines, options.seed) for lines in TALKS],
        )


async def _recall(
    voice: Voice, grammar: Grammar, split: Split, num_between: int, options: argparse.Namespace
) -> Recall:
    probes = recall_probes(
        grammar, split, num_between=num_between, num_probes=options.probes, seed=options.seed
    )
    return Recall(
        split,
        num_between,
        await measure_recall(voice, probes, GREEDY),
        await measure_recall(voice, probes, SAMPLING),
    )


def _dialogues(grammar: Grammar, count: int, seed: int) -> list[Dialogue]:
    rng = random.Random(f"repetition {seed}")
    return [grammar.dialogue(rng, Split.HELD_OUT) for _ in range(count)]


async def talk(voice: Voice, lines: Sequence[str], seed: int) -> list[str]:
    """The dialogue in which `lines` are answered one after the other."""
    turns: list[str] = []
    for line in lines:
        reply = await voice.answer([*turns, line], replace(SAMPLING, seed=seed))
        turns += [line, reply]
    return turns


def render(findings: Findings, folder: Path, num_probes: int) -> str:
    """The card as Markdown."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    record_path = folder / RECORD
    record = json.loads(record_path.read_text()) if record_path.is_file() else {}
    lines = [
        "---\nlicense: mit\n---\n",
        "# Banter's embedded model",
        "",
        "A demonstration voice: a very small GPT-2 that makes small talk in English and a little",
        "Korean, so that the bot talks on a machine that reaches no model hub. It learned from",
        "dialogues that a grammar written for this project made up (`training/smalltalk/`), and",
        "from nothing else. Loss counts the bot's turns only.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in record.items()),
        f"| sha256 of the weights | `{digest}` |",
        *(f"| loss, {split.value} words | {loss:.3f} |" for split, loss in findings.losses.items()),
        *_recall_rows(findings.recalls, num_probes),
        *_repetition_rows(findings.repetition),
        "",
        "## What it can't do",
        "",
        "It knows no facts, no arithmetic, no news, and answers much of what lies outside small",
        "talk with a friendly way of not knowing, or with something that does not fit. It",
        "remembers what the last eight turns hold, and long or rare names not always.",
        "",
        "## Open conversation, as it came",
        "",
        "The bot's default sampling, one try, no guards; the lines are not from the grammar.",
        "",
        *(line for turns in findings.talks for line in _talk_lines(turns)),
    ]
    return "\n".join(lines) + "\n"


def _recall_rows(recalls: Sequence[Recall], num_probes: int) -> list[str]:
    when = {0: "one turn later", 1: "one exchange later"}
    return [
        f"| recall@1, {recall.split.value} words, {when[recall.num_between]} (n = {num_probes}) "
        f"| greedy {recall.greedy}, sampled {recall.sampled} |"
        for recall in recalls
    ]


def _repetition_rows(repetition: Repetition) -> list[str]:
    names = {
        Fault.EMPTY: "empty replies",
        Fault.GARBLED: "broken letters",
        Fault.LOOP: "loops inside a reply",
        Fault.ECHO: "echo of the member",
        Fault.SELF_COPY: "copies of an own turn",
    }
    num_replies = repetition.faults[Fault.EMPTY].num_all
    return [
        *(
            f"| {name} (n = {num_replies}, before the guards) | {repetition.faults[fault]} |"
            for fault, name in names.items()
        ),
        f"| Distinct-2 | {repetition.distinct_2} |",
        f"| words in a reply | {repetition.mean_words:.1f} |",
    ]


def _talk_lines(turns: Sequence[str]) -> list[str]:
    names = ("member", "bot")
    return [*(f"- **{names[i % 2]}** {turn}" for i, turn in enumerate(turns)), ""]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.model_card", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {CARD} into the folder")
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--dialogues", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
