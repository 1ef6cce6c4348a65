"""The loss of a model folder on dialogues that it has not seen."""

from pathlib import Path

import torch
from tokenizers import Tokenizer

from bot.engine.loader import load_model
from training.corpus import Corpus
from training.network import Network, loss_of
from training.smalltalk.grammar import Grammar
from training.smalltalk.words import Split

_UNSEEN_CHUNK = 10_000_000  # far beyond what training reaches
_BATCH_TOKENS = 2048


def held_out_loss(
    network: Network,
    grammar: Grammar,
    tokenizer: Tokenizer,
    split: Split,
    *,
    seed: int,
    num_batches: int = 24,
) -> float:
    """The mean loss of a token of the bot's turns, on dialogues that training never reaches."""
    corpus = Corpus(grammar, tokenizer, f"evaluation {split.value} {seed}", _BATCH_TOKENS, split)
    total, num_targets = 0.0, 0
    for batch in corpus.chunk(_UNSEEN_CHUNK)[:num_batches]:
        with torch.no_grad():
            loss, count = loss_of(network, batch)
        total, num_targets = total + loss.item(), num_targets + count
    return total / num_targets


def folder_loss(folder: Path, grammar: Grammar, split: Split, seed: int) -> float:
    """As `held_out_loss`, of a model folder. Raises ModelError."""
    network = load_model(folder, "cpu", "float32").network
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return held_out_loss(network, grammar, tokenizer, split, seed=seed)
