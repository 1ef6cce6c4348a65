"""Recall: whether the model still knows what it was told, so many exchanges later.

The dialogues come from the grammar that the embedded model learned from ("my name is …", then
"what is my name?"); any model can be asked. Words that it never held show copying, seen ones
memory as well.
"""

from collections.abc import Sequence
from pathlib import Path

from training.probes import Rate, measure_recall, recall_probes
from training.smalltalk.grammar import load_grammar
from training.smalltalk.words import Split
from training.voice import GREEDY, open_voice

DISTANCES = (0, 1, 2)


async def recall_rates(
    folder: Path, *, num_probes: int, seed: int, num_threads: int = 1
) -> Sequence[tuple[str, Rate]]:
    """The share of right answers by kind of words and distance, greedy. Raises ModelError."""
    grammar = load_grammar()
    rates = []
    async with open_voice(folder, num_threads=num_threads) as voice:
        for split in Split:
            for num_between in DISTANCES:
                probes = recall_probes(
                    grammar, split, num_between=num_between, num_probes=num_probes, seed=seed
                )
                rate = await measure_recall(voice, probes, GREEDY)
                rates.append((f"{split.value} words, {num_between} exchanges between", rate))
    return rates


RECALL = "recall"
