"""What is an echo of the member's words, and what is an answer that needs them.

"The capital of France is Paris" has most of its words from the question that it answers; "You
have an exam tomorrow" has all of them from what was only said, and is no reply.
"""

from collections.abc import Sequence

from bot.dialogue.language.asking import (
    asks,
    asks_to_repeat,
    asks_whether,
    offers_choice,
    says_yes_or_no,
    states,
)
from bot.dialogue.language.content import content_words, question_words
from bot.dialogue.rouge import rouge_l, words

ECHO_LIKENESS = 0.6
# People greet, agree and thank in the other's words ("hi", "thank you"): up to two words are no
# copy.
MIN_COPY_WORDS = 3
# "I'm good, how are you?" gives the question back, as people do: the words before or after are
# an answer. Only to a short sentence, since more than these would be lost in a long one.
MAX_RETURNED_WORDS = 6
MIN_OWN_WORDS = 2
# Of the words that mean something in what was said: a reply that has so many of them and none of
# its own is a rewording, whatever became of pronouns, fillers and endings.
REWORDED_SHARE = 0.6
MIN_REWORDED_WORDS = 2


def echoes(text: str, said: str) -> bool:
    """Whether the reply `text` says back what was `said`."""
    if asks_to_repeat(said):
        return False
    reply, heard = words(text), words(said)
    if asks(said):
        return _is_like(reply, heard) and not _answers(text, said)
    if question_words(reply) - question_words(heard):
        return False  # "Why do you have an exam tomorrow?"
    return _is_like(reply, heard) or _rewords(reply, heard)


def asked_again(said: str, before: str) -> bool:
    """Whether `said` is the question that was asked `before`, so that it may be answered alike."""
    if not asks(said):
        return False
    heard, earlier = words(said), words(before)
    asked = set(content_words(heard))
    return heard == earlier or (
        bool(asked)
        and asked == set(content_words(earlier))
        and question_words(heard) == question_words(earlier)
    )


def _answers(text: str, said: str) -> bool:
    """Whether `text` has what the question `said` asked for."""
    own, asked = set(content_words(words(text))), set(content_words(words(said)))
    if own - asked or says_yes_or_no(text):
        return True
    return (asks_whether(said) and states(text)) or (offers_choice(said) and own < asked)


def _is_like(reply: Sequence[str], heard: Sequence[str]) -> bool:
    if len(reply) < MIN_COPY_WORDS or rouge_l(reply, heard) < ECHO_LIKENESS:
        return False
    return len(heard) > MAX_RETURNED_WORDS or _num_own_words(reply, heard) < MIN_OWN_WORDS


def _num_own_words(reply: Sequence[str], heard: Sequence[str]) -> int:
    """How many words that mean something stand before or after those of `heard`: the more."""
    known = set(heard)
    shared = [i for i, word in enumerate(reply) if word in known]
    first, last = (shared[0], shared[-1]) if shared else (len(reply), len(reply))
    return max(len(content_words(reply[:first])), len(content_words(reply[last + 1 :])))


def _rewords(reply: Sequence[str], heard: Sequence[str]) -> bool:
    own, known = set(content_words(reply)), set(content_words(heard))
    if len(heard) < MIN_COPY_WORDS or len(own) < MIN_REWORDED_WORDS:
        return False
    return own <= known and len(own) >= REWORDED_SHARE * len(known)
