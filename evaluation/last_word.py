"""Last-word accuracy: LAMBADA's task on any text. Paperno et al. 2016, arXiv:1606.06031.

The model reads a passage without its last word and has to name it: a hit where each of the
word's tokens is the likeliest one. The history of a reply belongs to its passage; what follows
the last word (a full stop) is left out.
"""

import re
from collections.abc import Sequence

from bot.dialogue.prompt import Tokenizer
from evaluation.item import Item
from evaluation.likelihood import Reader
from evaluation.metric import Better, Facts, Share
from evaluation.passages import prompt_of

_LAST_WORD = re.compile(r"(?P<before>.*\S)\s+(?P<word>\w[\w'’-]*)\W*\Z", re.DOTALL)


def last_word(reader: Reader) -> Share:
    """Share of the passages whose last word the model names; too short ones are left out."""
    facts = Facts("last_word", "Last word named", Better.HIGHER, "%", 1)
    return Share(facts, lambda item: _named(reader, item))


def _named(reader: Reader, item: Item) -> tuple[float, float]:
    ids = split_ids(item, reader.tokenizer)
    if ids is None or len(ids[1]) >= reader.window:
        return 0, 0
    return all(reader.read(*ids).is_first), 1


def split_ids(item: Item, tokenizer: Tokenizer) -> tuple[Sequence[int], Sequence[int]] | None:
    """Token ids of the passage without its last word, and of that word; None for one word."""
    found = _LAST_WORD.match(item.completion)
    if found is None:
        return None
    before = [*prompt_of(item, tokenizer), *tokenizer.encode(found["before"])]
    return before, tokenizer.encode(f" {found['word']}")
