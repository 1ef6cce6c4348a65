"""Questions with known answers: whether the model remembers what it was told."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bot.dialogue.guards import Fault, find_fault
from bot.dialogue.sampling import SamplingParams
from training.smalltalk.grammar import Dialogue, Grammar
from training.smalltalk.words import Split
from training.voice import Voice


@dataclass(frozen=True, slots=True)
class Probe:
    """A dialogue that ends with a question, and the word that answers it."""

    turns: Dialogue
    word: str


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many."""

    num_hits: int
    num_all: int

    def __str__(self) -> str:
        return f"{100 * self.num_hits / max(1, self.num_all):.1f} %"


@dataclass(frozen=True, slots=True)
class Repetition:
    """How often replies repeat, before the bot's guards, and how varied they are.

    `distinct_2`: different pairs of neighbouring words among all of them.
    """

    faults: dict[Fault, Rate]
    distinct_2: Rate
    mean_words: float


def recall_probes(
    grammar: Grammar, split: Split, *, num_between: int, num_probes: int, seed: int
) -> list[Probe]:
    """Probes for every kind of fact in turn; for held-out words only the kinds that have any."""
    rng = random.Random(f"probes {seed} {split.value} {num_between}")
    scenes = grammar.fact_scenes(split)
    return [
        Probe(
            *grammar.recall_dialogue(rng, split, scenes[i % len(scenes)], num_between=num_between)
        )
        for i in range(num_probes)
    ]


def is_recalled(reply: str, word: str) -> bool:
    """Whether `reply` names `word`, whole and in whatever case."""
    start = r"(?<![\w])" if word.isascii() else r"(?<!\w)"
    end = r"(?![\w])" if word.isascii() else ""  # a Korean particle may follow
    return re.search(f"{start}{re.escape(word)}{end}", reply, re.IGNORECASE) is not None


async def measure_recall(voice: Voice, probes: Sequence[Probe], params: SamplingParams) -> Rate:
    """How many probes are answered with their word at the first try."""
    hits = 0
    for seed, probe in enumerate(probes):
        reply = await voice.answer(probe.turns, replace(params, seed=seed))
        hits += is_recalled(reply, probe.word)
    return Rate(hits, len(probes))


async def measure_repetition(
    voice: Voice, dialogues: Sequence[Dialogue], params: SamplingParams
) -> Repetition:
    """Answer the members' turns of `dialogues` and look at the replies."""
    replies: list[str] = []
    found: list[Fault | None] = []
    for seed, dialogue in enumerate(dialogues):
        turns: list[str] = []
        for said in dialogue[::2]:
            reply = await voice.answer([*turns, said], replace(params, seed=seed))
            found.append(find_fault(reply, said, turns[1::2][-3:]))
            turns += [said, reply]
            replies.append(reply)
    pairs = [pair for reply in replies for pair in _pairs(reply)]
    return Repetition(
        faults={fault: Rate(found.count(fault), len(found)) for fault in Fault},
        distinct_2=Rate(len(set(pairs)), len(pairs)),
        mean_words=sum(len(reply.split()) for reply in replies) / max(1, len(replies)),
    )


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(pairwise(words))
