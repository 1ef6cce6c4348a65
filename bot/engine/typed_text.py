"""Token ids of what people type, in which nothing is a command to the model.

A vocabulary has tokens added beside the model's own. Some command: they end a turn, or begin a
tool's call. Others are words, emoji and line ends like any. The library finds them all in a text.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.pre_tokenizers import Sequence as Steps
from tokenizers.pre_tokenizers import Split

# Not always marked as special: <tool_call>, <｜User｜>, [INST]
_COMMAND = re.compile(r"<\S+>|\[\S+\]")


class TypedText:
    """Encodes texts; one object serves one thread only."""

    def __init__(
        self,
        backend: Tokenizer,
        added: Mapping[int, AddedToken],
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        """`added`: all of the added tokens. `decode`: what ids read like."""
        self._backend = backend
        self._decode = decode
        self._commands = {
            token_id: token.content
            for token_id, token in added.items()
            if token.special or _COMMAND.fullmatch(token.content)
        }
        self.command_ids = frozenset(self._commands)
        self._word_ids = {
            token.content: token_id
            for token_id, token in added.items()
            if token_id not in self._commands and decode([token_id]) == token.content
        }
        self._words = [added[token_id] for token_id in self._word_ids.values()]
        self._with_words, self._without_words = self._made(self._words), self._made([])

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; what spells a command is text like any other.

        Letters that the model does not know are left out.
        """
        ids = self._encode(text, self._words)
        if not set(self._word_ids.values()).isdisjoint(ids) and not self._reads(ids, text):
            spelt = self._encode(text, [])  # an added word may swallow the blanks beside it
            ids = spelt if self._reads(spelt, text) else ids
        return [token_id for token_id in ids if token_id not in self._commands]

    def _encode(self, text: str, words: Sequence[AddedToken]) -> list[int]:
        """With `words`; some models know what spells a command as a word, which is cut then."""
        tokenizer = self._with_words if words else self._without_words
        cut = set[str]()
        while True:
            encoding = tokenizer.encode(text, add_special_tokens=False)
            pairs = zip(encoding.tokens, encoding.ids, strict=True)
            # this tokenizer numbers words in its own way
            ids = [self._word_ids.get(token, i) if words else i for token, i in pairs]
            found = {self._commands[i] for i in ids if i in self._commands} - cut
            if not found:
                return ids
            cut |= found
            tokenizer = self._made(words, cut)

    def _made(self, words: Sequence[AddedToken], cut: Collection[str] = ()) -> Tokenizer:
        """A tokenizer on the same model, which takes no memory, that knows only `words` beside it.

        It cuts each of `cut` after the first letter, later than it puts blanks before words.
        """
        made = Tokenizer(self._backend.model)
        if self._backend.normalizer is not None:
            made.normalizer = self._backend.normalizer
        steps = [self._backend.pre_tokenizer] if self._backend.pre_tokenizer is not None else []
        for one in cut:
            between = f"(?<={re.escape(one[0])})(?={re.escape(one[1:])})"
            steps += [Split(Regex(between), "isolated")] if len(one) > 1 else []
        if steps:
            made.pre_tokenizer = Steps(steps)
        made.add_tokens(list(words))
        return made

    def _reads(self, ids: Sequence[int], text: str) -> bool:
        return self._decode(ids).strip() == text.strip()
