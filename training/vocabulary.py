"""The embedded model's tokenizer: byte-level BPE, trained on the grammar's own text.

Bytes, so that no character is unknown; a blank before every turn, so that a word has the same
tokens at the start of a turn as inside it, which makes copying it easier.
"""

import random
from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.smalltalk.grammar import Grammar

END_OF_TEXT = "<|endoftext|>"
END_ID = 0
VOCABULARY_SIZE = 2048
WINDOW = 256
_NUM_DIALOGUES = 20_000


def train_tokenizer(
    grammar: Grammar, seed: int, *, num_dialogues: int = _NUM_DIALOGUES
) -> Tokenizer:
    """A tokenizer of VOCABULARY_SIZE tokens; END_OF_TEXT is END_ID."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_turns(grammar, seed, num_dialogues), trainer)
    return tokenizer


def _turns(grammar: Grammar, seed: int, num_dialogues: int) -> Iterator[str]:
    rng = random.Random(f"vocabulary {seed}")
    for _ in range(num_dialogues):
        yield from grammar.dialogue(rng)


def wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """`tokenizer` as transformers saves and loads it."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=WINDOW,
    )
