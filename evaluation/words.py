"""How a text is cut into words where it is compared with references."""

from collections.abc import Callable
from enum import StrEnum

from evaluation.dstc import dstc_tokenizer
from evaluation.errors import MissingExtraError

Tokenize = Callable[[str], list[str]]


class Cut(StrEnum):
    """DSTC is comparable with DialoGPT's figures, INTL is for other scripts, Korean among them."""

    DSTC = "dstc"
    INTL = "intl"


def word_tokenizer(cut: Cut) -> Tokenize:
    """A function from text to words. Raises MissingExtraError."""
    return dstc_tokenizer() if cut is Cut.DSTC else _intl_tokenizer()


def _intl_tokenizer() -> Tokenize:
    """mteval-v14's international words, in lower case."""
    try:
        # an extra: what needs no references works without it
        from sacrebleu.tokenizers.tokenizer_intl import (  # noqa: PLC0415
            TokenizerV14International,
        )
    except ImportError as error:
        raise MissingExtraError("Comparing with references", "sacrebleu") from error
    international = TokenizerV14International()  # type: ignore[no-untyped-call]  # only partly typed
    return lambda text: str(international(text.lower())).split()
