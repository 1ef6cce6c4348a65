"""Words of a reply as the DSTC-7 challenge and DialoGPT's evaluation see them.

Lower case; addresses become one word; only letters, digits and a few marks stay; NLTK's
TweetTokenizer; contractions are split ("don't" is "do n't"). Only for the Latin alphabet.
Described in Galley et al. 2019, https://arxiv.org/abs/1901.03461.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from evaluation.errors import MissingExtraError

_ADDRESS = re.compile(r"(\S*?)http\S*")
_LINK = re.compile(r"\[([^\]]*)\] \( *URL *\)")
_FOREIGN = re.compile(r"[^A-Za-z0-9():,.!?\"']")
_ENDINGS = ("'s", "'m", "'re", "n't", "'ll", "'ve", "'d", "'em")


def dstc_tokenizer() -> Callable[[str], list[str]]:
    """A function from text to words. Raises MissingExtraError."""
    try:
        # an extra: what needs no references works without it
        from nltk.tokenize.casual import TweetTokenizer  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("Cleaning text as DSTC-7 does", "nltk") from error
    tweets = TweetTokenizer(preserve_case=False)

    @lru_cache(maxsize=256)  # several metrics ask for the same replies
    def cleaned(text: str) -> tuple[str, ...]:
        words = tweets.tokenize(_with_known_letters(text))
        return tuple(_split_contractions(f" {' '.join(words)} ").split())

    return lambda text: list(cleaned(text))


def _with_known_letters(text: str) -> str:
    # Capitals mark an address here: the text has none left, and the filter lets letters through.
    lowered = " ".join(_ADDRESS.sub(r"\1 URL", text.lower()).split())
    return _FOREIGN.sub(" ", _LINK.sub(r"\1", lowered)).replace("URL", "__url__")


def _split_contractions(text: str) -> str:
    split = text.replace(" won't ", " will n't ").replace(" can't ", " can n't ")
    for ending in _ENDINGS:
        split = split.replace(f"{ending} ", f" {ending} ")
    return split
