"""What makes a candidate unfit as a reply; bot.dialogue.ranking orders those that are fit.

The faults are those that DialoGPT is known for. The thresholds were held against what people
write: of 65,000 sentences 1 in 10,000 counts as a loop, of 35,000 replies 1 in 400 as a copy.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import chain, repeat

from bot.dialogue.echoes import MIN_COPY_WORDS, asked_again, echoes
from bot.dialogue.language.asking import asks_to_repeat
from bot.dialogue.rouge import rouge_l, words
from bot.dialogue.text import is_blank, is_garbled

SELF_COPY_LIKENESS = 0.8
# Up to two words are said again by people too; the same short answer for the third time on end is
# a copy.
MAX_SAME_ANSWERS = 2

MAX_PERIOD = 32  # words; a longer loop does not fit a reply
# "no no no" and "bye bye bye bye" are said; a sentence of four words is not said twice on end.
MIN_ROUNDS = {1: 5, 2: 3, 3: 3}
MIN_SENTENCE_ROUNDS = 2
# Of the four-word sequences of a reply: "I do not have a job, but I do not have a job" repeats 3
# of 10. One may come again by chance.
MIN_REPEATED_FOURS = 2
MAX_REPEATED_SHARE = 0.15
# Laughter and long vowels run long ("ㅋㅋㅋㅋㅋㅋㅋㅋ", "nooooooo"), but not as long as these.
_RUN = re.compile(r"(\S)\1{23,}|(\S{2,8}?)\2{11,}")
_MAX_RUN_TEXT = 4000  # code points that are searched for runs

IsBlocked = Callable[[str], bool]  # whether a text has words that are not said


class Fault(StrEnum):
    """What makes a candidate unfit."""

    EMPTY = "empty"
    GARBLED = "garbled"
    LOOP = "loop"
    ECHO = "echo"
    SELF_COPY = "self_copy"
    BLOCKED_WORD = "blocked_word"


def find_fault(
    text: str,
    said: str,
    own_turns: Sequence[str],
    is_blocked: IsBlocked | None = None,
    questions: Sequence[str] = (),
) -> Fault | None:
    """Why `text` is unfit to answer `said` after the bot's `own_turns` (oldest first), or None.

    `questions`: what each of `own_turns` was said to; the same question may get the same answer.
    """
    if unreadable := _unreadable(text):
        return unreadable
    if is_blocked is not None and is_blocked(text):
        return Fault.BLOCKED_WORD
    reply = words(text)
    if _RUN.search(text[:_MAX_RUN_TEXT].casefold()) or _loops(reply):
        return Fault.LOOP
    if echoes(text, said):
        return Fault.ECHO
    if not asks_to_repeat(said) and _copies(reply, _not_to_repeat(said, own_turns, questions)):
        return Fault.SELF_COPY
    return None


def _unreadable(text: str) -> Fault | None:
    if is_blank(text):
        return Fault.EMPTY
    return Fault.GARBLED if is_garbled(text) else None


def _not_to_repeat(
    said: str, own_turns: Sequence[str], questions: Sequence[str]
) -> list[list[str]]:
    """The words of `own_turns` without the answers to what is asked again with `said`."""
    asked = chain(questions, repeat(""))
    return [
        words(turn)
        for turn, question in zip(own_turns, asked, strict=False)
        if not asked_again(said, question)
    ]


def _copies(reply: Sequence[str], own_turns: Sequence[Sequence[str]]) -> bool:
    if len(reply) >= MIN_COPY_WORDS:
        return any(rouge_l(reply, turn) >= SELF_COPY_LIKENESS for turn in own_turns)
    newest = own_turns[-MAX_SAME_ANSWERS:]
    return len(newest) == MAX_SAME_ANSWERS and all(turn == reply for turn in newest)


def _loops(reply: Sequence[str]) -> bool:
    fours = [tuple(reply[i : i + 4]) for i in range(len(reply) - 3)]
    num_repeated = len(fours) - len(set(fours))
    if num_repeated >= MIN_REPEATED_FOURS and num_repeated / len(fours) >= MAX_REPEATED_SHARE:
        return True
    return any(
        _most_rounds(reply, period) >= MIN_ROUNDS.get(period, MIN_SENTENCE_ROUNDS)
        for period in range(1, min(MAX_PERIOD, len(reply) // 2) + 1)
    )


def _most_rounds(reply: Sequence[str], period: int) -> int:
    """How often on end some sequence of `period` words comes in `reply`: 2 where it comes back."""
    longest = current = 0
    for i in range(period, len(reply)):
        current = current + 1 if reply[i] == reply[i - period] else 0
        longest = max(longest, current)
    return (longest + period) // period
