"""What is assumed of a kind of model where the owner has set nothing.

docs/models.md says of each kind how it is known; bot.startup.model_profile finds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite

from bot.dialogue.context import ContextBudget
from bot.dialogue.sampling import BOUNDS, Number, SamplingParams


@dataclass(frozen=True, slots=True)
class Profile:
    """How a kind of model draws its words, and how much of a conversation it can follow."""

    name: str
    sampling: SamplingParams
    budget: ContextBudget


DIALOGPT = Profile("dialogpt", SamplingParams(), ContextBudget(256, 16))
# Without a chat template and not known as tuned to chat: nothing better was measured.
BASE = replace(DIALOGPT, name="base")
# Its vocabulary of 2,048 cuts words small: a name is three tokens, and comes twice in a reply. An
# own size of 4 would forbid the name it greeted with (asked for it, 42 % were answered right; 85 %
# with 6, 88 % with 8, with 10 and without the ban) and cut Korean letters in two. 10 costs nothing.
# It was trained on longer dialogues than DialoGPT. Asked for a name that it was told four exchanges
# before, it is right 76 times of 80 with 14 turns and never with 8; from 20 on it talks nonsense.
# Those were short turns, and it never learned the places behind them. On 40 lines of people, 240
# replies for each length of prompt: after up to 100 tokens a word of a reply's is an invented one
# in 7 % of English replies and 17 % of Korean ones, up to 130 in 11 and 22 %, up to 150 in 11 and
# 31 %, up to 170 in 18 and 46 %. A token of an English reply has, after the last three turns alone,
# a mean log-probability of -0.33 up to 100, -0.51 up to 130, -1.2 up to 150, -3.7 up to 170: there
# one in seven replies has no more than two words.
EMBEDDED = Profile(
    "embedded",
    SamplingParams(no_repeat_ngram_size=6, no_repeat_own_ngram_size=10),
    ContextBudget(130, 14),
)
# Tuned to answer: what is likeliest is mostly right, and right again when it is asked again, so
# nothing is banned. Lists and longer turns have room. A model's own values win: see `chat_profile`.
CHAT = Profile(
    "chat",
    SamplingParams(
        temperature=0.3,
        repetition_penalty=1.05,
        no_repeat_ngram_size=0,
        no_repeat_own_ngram_size=0,
        min_new_tokens=1,
        max_new_tokens=256,
    ),
    ContextBudget(1024, 32),
)

# What a generation_config that samples leaves out has these values in transformers.
_IMPLIED: Mapping[str, Number] = {
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
}
_OWN = (*_IMPLIED, "min_p")


def chat_profile(generation: Mapping[str, object]) -> Profile:
    """CHAT with what the model's generation_config says, each value within its bounds."""
    values: dict[str, Number] = dict(_IMPLIED) if generation.get("do_sample") is True else {}
    for name in _OWN:
        value = generation.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            values[name] = _bounded(name, value)
    return replace(CHAT, sampling=replace(CHAT.sampling, **values))  # type: ignore[arg-type]  # by name


def _bounded(name: str, value: Number) -> Number:
    bound = BOUNDS[name]
    return bound.kind(min(max(value, bound.low), bound.high))
