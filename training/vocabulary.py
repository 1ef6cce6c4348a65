"""A tokenizer of a model's own: byte-level BPE, trained on the text that the model learns from.

Bytes, so that no character is unknown; a blank before every turn, so that a word has the same
tokens at the start of a turn as inside it, which makes copying it easier.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
END_ID = 0
VOCABULARY_SIZE = 2048  # for the grammar, which has few words
FILES_VOCABULARY_SIZE = 4096  # see LOG.md
WINDOW = 256


def train_tokenizer(texts: Iterable[str], num_ids: int = VOCABULARY_SIZE) -> Tokenizer:
    """A tokenizer of `num_ids` tokens, fewer where `texts` are short; END_OF_TEXT is END_ID."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=num_ids,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return as_text_only(tokenizer)


def as_text_only(tokenizer: Tokenizer) -> Tokenizer:
    """`tokenizer`, which from now on reads a typed END_OF_TEXT as text: no turn ends in it."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """`tokenizer` as transformers saves and loads it."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=WINDOW,
    )
