"""Tokenizers that a test can reckon with in its head: one id for one UTF-8 byte."""

from collections.abc import Sequence

from bot.dialogue.prompt import Line
from bot.dialogue.turn import Role

END_OF_TEXT_ID = 256
USER_ID, BOT_ID = 257, 258


class ByteTokenizer:
    """DialoGPT's format over bytes."""

    name = "bytes"
    end_of_text_id = END_OF_TEXT_ID
    start_ids: tuple[int, ...] = ()
    has_chat_template = False

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i for i in ids if i < END_OF_TEXT_ID).decode(errors="replace")

    def token_text(self, token_id: int) -> str:
        if token_id >= END_OF_TEXT_ID:
            return f"[{token_id}]"
        return bytes([token_id]).decode(errors="surrogateescape")

    def apply_chat_template(self, lines: Sequence[Line]) -> list[int]:
        raise NotImplementedError


class TemplateByteTokenizer(ByteTokenizer):
    """A strict chat template: a mark before each turn, the member first, then by turns."""

    name = "bytes with a template"
    has_chat_template = True

    def apply_chat_template(self, lines: Sequence[Line]) -> list[int]:
        ids: list[int] = []
        for i, (role, text) in enumerate(lines):
            if role is not (Role.BOT if i % 2 else Role.USER):
                raise ValueError(f"the roles do not take turns: {lines}")
            ids += [BOT_ID if i % 2 else USER_ID, *self.encode(text), END_OF_TEXT_ID]
        return [*ids, BOT_ID]


class WordTokenizer(ByteTokenizer):
    """One id a word and one a blank; a word cut in its middle costs one id a letter.

    So a text may have fewer ids than its own end, as with byte-pair encoding.
    """

    name = "words"

    def __init__(self, *known: str) -> None:
        self.known = known

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for word in text.split(" "):
            ids += [self.known.index(word)] if word in self.known else [ord(c) for c in word]
            ids.append(32)
        return ids[:-1]
