"""A checkpoint's tokenizer, as prompts need it, and the thread that it lives in.

Importing this module imports a part of transformers (0.5 s): `bot.engine.opening` does it
in a thread.
"""

import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from bot.dialogue.prompt import Line
from bot.dialogue.turn import Role
from bot.engine.checkpoints.checkpoint import TOKENIZER_FILES, read_json
from bot.engine.spelling import byte_of, bytes_of_letters, speller
from bot.engine.typed_text import TypedText
from bot.errors import EngineClosedError, ModelError

T = TypeVar("T")
_MERGES = "merges.txt"
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "GPT2TokenizerFast", "TokenizersBackend")
_PLACE = "\ue000{}\ue001"  # private-use characters, which no chat template holds
_PLACES = re.compile("\ue000(\\d+)\ue001")
_CHAT_ROLES = {Role.USER: "user", Role.BOT: "assistant"}
# A byte-level vocabulary cuts Hangul and emoji anywhere: such a token alone is unreadable.
_UNREADABLE = "\ufffd"
_SPACE_PIECE = "\u2581"  # how SentencePiece writes a space


class ModelTokenizer:
    """Implements bot.dialogue.prompt.Tokenizer; one object serves one thread only.

    A fast tokenizer used by two threads at once fails with "Already borrowed".
    """

    def __init__(self, backend: PreTrainedTokenizerFast, name: str) -> None:
        """`name`: the kind of vocabulary and the hash of its files."""
        self.name = name
        self.end_of_text_id = int(backend.eos_token_id)  # ends a turn
        self.start_ids = _start_ids(backend)
        self.has_chat_template = backend.chat_template is not None
        self._backend = backend
        added = backend.added_tokens_decoder
        self._special_ids = frozenset(i for i, one in added.items() if one.special)
        self._typed = TypedText(backend.backend_tokenizer, added, self.decode)

    @property
    def num_ids(self) -> int:
        """One more than the largest id that `encode` returns."""
        return int(max(self._backend.get_vocab().values())) + 1

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; a special token that is written out is plain text."""
        return self._typed.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        return str(
            self._backend.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def spelling(self, num_ids: int, end_ids: Collection[int]) -> list[bytes] | None:
        """The bytes that each of `num_ids` ids adds to a text; None where no token is bytes.

        Those of `end_ids`, whatever they are called, add nothing.
        """
        decoder = self._backend.backend_tokenizer.decoder
        spell = speller(json.loads(decoder.__getstate__()) if decoder else None)
        if spell is None:
            return None
        spelling, unspelt = [b""] * num_ids, self._special_ids.union(end_ids)
        for piece, token_id in self._backend.get_vocab().items():
            if token_id < num_ids and token_id not in unspelt:
                spelling[token_id] = spell(piece)
        return spelling

    def token_text(self, token_id: int) -> str:
        """The text of one token; see bot.dialogue.prompt.Tokenizer."""
        piece = str(self._backend.convert_ids_to_tokens(token_id) or "")  # as the vocabulary has it
        text = self.decode([token_id])
        if _UNREADABLE in text:
            spelt = byte_of(piece) or bytes_of_letters(piece)
            return text if spelt is None else spelt.decode("utf-8", "surrogateescape")
        if piece.startswith(_SPACE_PIECE):  # decoding a text's first token takes its space away
            return piece.replace(_SPACE_PIECE, " ")
        return text or piece or f"[{token_id}]"

    def apply_chat_template(self, lines: Sequence[Line]) -> list[int]:
        """Token ids of a dialogue in the model's own format, ready for the bot's reply.

        The dialogue is tokenised as one text, as the model saw it in training, unless a line
        wrote out a special token: then the template and the lines are tokenised apart, and only
        the template's special tokens count. Whether turns alternate is the caller's business.
        Raises ModelError for a template that cannot be used.
        """
        texts = [text for _, text in lines]
        whole = self._encode_template(self._render(lines, texts))
        places = [_PLACE.format(number) for number in range(len(lines))]
        apart = list(self._encode_apart(self._render(lines, places), texts))
        if self._commands_in(whole) == self._commands_in(apart):
            return whole
        return apart

    def _render(self, lines: Sequence[Line], texts: Sequence[str]) -> str:
        conversation = [
            {"role": _CHAT_ROLES[role], "content": text}
            for (role, _), text in zip(lines, texts, strict=True)
        ]
        try:
            rendered = self._backend.apply_chat_template(
                conversation, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise ModelError(
                "The model's chat template cannot be used ({reason}): please choose another MODEL.",
                reason=error,
            ) from error
        return str(rendered)

    def _encode_apart(self, rendered: str, texts: Sequence[str]) -> Iterator[int]:
        # odd pieces are the numbers that stood in the places
        for index, piece in enumerate(_PLACES.split(rendered)):
            if index % 2:
                yield from self.encode(texts[int(piece)])
            else:
                yield from self._encode_template(piece)

    def _encode_template(self, text: str) -> list[int]:
        return list(
            self._backend.encode(text, add_special_tokens=False, split_special_tokens=False)
        )

    def _commands_in(self, ids: Sequence[int]) -> list[int]:
        return [token_id for token_id in ids if token_id in self._typed.command_ids]


def _start_ids(backend: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """What the vocabulary puts before the words of a text: `<bos>` with Llama and Gemma.

    A model that always saw it in training understands little without.
    """
    words = list(backend.encode("a", add_special_tokens=False))
    whole = list(backend.encode("a", add_special_tokens=True))
    starts = (i for i in range(len(whole)) if whole[i : i + len(words)] == words)
    return tuple(whole[: next(starts, 0)])


def load_tokenizer(folder: Path) -> ModelTokenizer:
    """The tokenizer of a checkpoint; nothing is fetched and no code of the checkpoint runs.

    Raises ModelError where its files are damaged or it has no end-of-text token.
    """
    try:
        backend = _tokenizer_class(folder).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # tokenizers raises bare Exception for a damaged file
    except Exception as error:
        raise ModelError(
            "The tokenizer in {folder} cannot be read ({reason}): fetch or copy the model again.",
            folder=folder,
            reason=error,
        ) from error
    if not isinstance(backend, PreTrainedTokenizerFast) or backend.eos_token_id is None:
        raise ModelError(
            "The tokenizer in {folder} has no end-of-text token: please choose another MODEL.",
            folder=folder,
        )
    return ModelTokenizer(backend, _vocabulary_name(folder))


def _tokenizer_class(folder: Path) -> Any:
    """The class that reads `folder`; for most models the one that tokenizer.json is enough for."""
    path = folder / "tokenizer_config.json"
    kind = read_json(path).get("tokenizer_class") if path.is_file() else None
    if (folder / "tokenizer.json").is_file() and kind in _PLAIN_CLASSES:
        return PreTrainedTokenizerFast
    # imports every architecture that transformers knows (1 s)
    from transformers import AutoTokenizer  # noqa: PLC0415

    return AutoTokenizer


class ThreadedTokenizer:
    """A tokenizer in a thread of its own; implements bot.engine.protocol.TokenizerThread."""

    def __init__(self, thread: ThreadPoolExecutor, tokenizer: ModelTokenizer) -> None:
        self._thread = thread
        self._tokenizer = tokenizer
        self._closed = False

    async def run(self, work: Callable[[ModelTokenizer], T]) -> T:
        """Run `work` with the tokenizer in its thread and return the result."""
        if self._closed:
            raise EngineClosedError
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, self._tokenizer)

    async def close(self) -> None:
        """End the thread after the work it has; may be called twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, threading.get_ident)
        self._thread.shutdown()  # does not block: the thread has nothing left to do


def _vocabulary_name(folder: Path) -> str:
    digest = hashlib.sha256()
    names = [name for name in TOKENIZER_FILES if (folder / name).is_file()][:1]
    kind = names[0].partition(".")[0] if names else "unknown"
    for name in [*names, _MERGES]:
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    return f"{kind}-{digest.hexdigest()[:12]}"
