"""Turns to token ids and back: the only place that knows DialoGPT's format.

DialoGPT was trained on turns that are joined by the end-of-text token: Zhang et al. 2020,
https://arxiv.org/abs/1911.00536, section 3.1.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Protocol

from bot.dialogue.turn import Role

Line = tuple[Role, str]


class Tokenizer(Protocol):
    """What a prompt needs of a tokenizer; one object serves one thread only."""

    @property
    def name(self) -> str:
        """Which vocabulary this is: token counts are comparable only within one."""

    @property
    def end_of_text_id(self) -> int:
        """The token that ends a turn."""

    @property
    def start_ids(self) -> tuple[int, ...]:
        """What the vocabulary itself puts before a text; nothing in most."""

    @property
    def has_chat_template(self) -> bool:
        """Whether the model brings its own prompt format."""

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; what looks like a special token is plain text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""

    def token_text(self, token_id: int) -> str:
        """The text of one token; a byte that is no letter by itself as a surrogate.

        As `surrogateescape` makes it. A special token by its name, an unknown id as its number.
        """

    def apply_chat_template(self, lines: Sequence[Line]) -> list[int]:
        """Token ids of a dialogue in the model's own format, ready for the bot's reply."""


def encode_prompt(lines: Sequence[Line], tokenizer: Tokenizer) -> list[int]:
    """Token ids of `lines` (oldest first), ready for the bot's reply.

    Turns are joined by the end-of-text *id*: a typed `<|endoftext|>` stays plain text. What a text
    begins with is written by the chat template where there is one.
    """
    if tokenizer.has_chat_template:
        return tokenizer.apply_chat_template(_alternating(lines))
    turns = (token_id for _, text in lines for token_id in encode_turn(text, tokenizer))
    return [*tokenizer.start_ids, *turns]


def _alternating(lines: Sequence[Line]) -> list[Line]:
    """`lines` with neighbours of one role joined: many templates refuse them apart.

    They are neighbours where the turn between them was deleted.
    """
    return [
        (role, "\n".join(text for _, text in group))
        for role, group in groupby(lines, key=itemgetter(0))
    ]


def encode_turn(text: str, tokenizer: Tokenizer) -> list[int]:
    """Token ids of one turn in DialoGPT's format: its text, then end-of-text."""
    return [*tokenizer.encode(text), tokenizer.end_of_text_id]


def after_nothing(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The prompt of a text that nothing was said before, as the model saw them in training."""
    return tokenizer.start_ids or (tokenizer.end_of_text_id,)


def decode_reply(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """The text of generated `ids`; a character that the length limit cut in half is left out."""
    return tokenizer.decode(ids).rstrip("\ufffd")
