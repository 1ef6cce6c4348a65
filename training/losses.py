"""The loss of a network on dialogues that it has not seen."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from tokenizers import Tokenizer

from bot.engine.reference.loader import load_model
from training.corpus import Batch, Corpus, encode_dialogues, make_batches
from training.forms import IGNORED, BotTurns, Form
from training.network import Network, loss_of
from training.smalltalk.grammar import Grammar
from training.smalltalk.words import Split
from training.sources import Collected, Invented
from training.vocabulary import END_ID

_UNSEEN_CHUNK = 10_000_000  # far beyond what training reaches
_BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Measured:
    """A loss summed over tokens that count (ends of turns among them), which are so many words."""

    total: float
    num_tokens: int
    num_words: int

    @property
    def mean(self) -> float:
        """Of a token."""
        return self.total / self.num_tokens

    @property
    def per_token(self) -> float:
        """Perplexity a token, the end of a turn being one."""
        return math.exp(self.mean)

    @property
    def per_word(self) -> float:
        """Perplexity a word between blanks: comparable between vocabularies."""
        return math.exp(self.total / self.num_words)


def held_out_loss(
    network: Network,
    grammar: Grammar,
    tokenizer: Tokenizer,
    split: Split,
    *,
    seed: int,
    form: Form | None = None,
    num_batches: int = 24,
) -> float:
    """The mean loss of a token that counts, on grammar's dialogues that training never reaches."""
    corpus = Corpus(
        Invented(grammar, split),
        tokenizer,
        f"evaluation {split.value} {seed}",
        _BATCH_TOKENS,
        form or BotTurns(),
    )
    return measure(network, corpus.chunk(_UNSEEN_CHUNK)[:num_batches], tokenizer).mean


def folder_loss(folder: Path, grammar: Grammar, split: Split, seed: int) -> float:
    """As `held_out_loss`, of a model folder. Raises ModelError."""
    network = load_model(folder, "cpu", "float32").network
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return held_out_loss(network, grammar, tokenizer, split, seed=seed)


def validation_loss(
    network: Network, tokenizer: Tokenizer, validation: Collected, form: Form
) -> Measured:
    """The loss on all dialogues of files."""
    encoded = encode_dialogues(validation.dialogues, tokenizer)
    rows = [row for turns in encoded for row in form.measured(turns)]
    return measure(network, make_batches(rows, _BATCH_TOKENS), tokenizer)


def measure(network: Network, batches: Iterable[Batch], tokenizer: Tokenizer) -> Measured:
    """The loss over all labels of `batches`."""
    total, num_tokens, num_words = 0.0, 0, 0
    for batch in batches:
        with torch.no_grad():
            loss, count = loss_of(network, batch)
        total, num_tokens = total + loss.item(), num_tokens + count
        num_words += _count_words(batch, tokenizer)
    return Measured(total, num_tokens, num_words)


def _count_words(batch: Batch, tokenizer: Tokenizer) -> int:
    """Words between blanks in the turns that count: no turn goes on in the next one."""
    runs = (
        list(run)
        for labels in batch.labels.tolist()
        for is_text, run in groupby(labels, key=lambda label: label not in (IGNORED, END_ID))
        if is_text
    )
    return sum(len(text.split()) for text in tokenizer.decode_batch(list(runs)))
