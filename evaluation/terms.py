"""The ranking's terms, and further ones that the bot leaves out because they gained nothing.

They are what the words of a candidate say of it; the guards refuse the worst before.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from bot.dialogue import ranking
from bot.dialogue.rouge import rouge_l, words


@dataclass(frozen=True, slots=True)
class Weights(ranking.Weights):
    """What each term counts beside the likelihood's 1; the further ones weigh shares, 0 to 1."""

    echo: float = 0.0
    repetition: float = 0.0
    in_reply: float = 0.0


WEIGHTS = Weights(*astuple(ranking.WEIGHTS))
LIKELIHOOD_ALONE = Weights(*astuple(ranking.LIKELIHOOD_ALONE))


@dataclass(frozen=True, slots=True)
class Features(ranking.Features):
    """What is known of a candidate.

    `echo`: ROUGE-L with what was said; `repetition`: the most with an own earlier turn;
    `in_reply`: share of its four-word sequences that it had already (rep-4).
    """

    echo: float = 0.0
    repetition: float = 0.0
    in_reply: float = 0.0


def with_words(
    features: ranking.Features, text: str, said: str, own_turns: Sequence[str]
) -> Features:
    """`features` of a candidate with what its `text` says; `own_turns`: what was said before."""
    reply = words(text)
    return Features(
        likelihood=features.likelihood,
        alone=features.alone,
        back=features.back,
        num_tokens=features.num_tokens,
        echo=rouge_l(reply, words(said)),
        repetition=max((rouge_l(reply, words(turn)) for turn in own_turns), default=0.0),
        in_reply=_repeated_share(reply),
    )


def _repeated_share(reply: Sequence[str]) -> float:
    """Welleck et al. 2020, https://arxiv.org/abs/1908.04319, section 6.1: seq-rep-4."""
    fours = [tuple(reply[i : i + 4]) for i in range(len(reply) - 3)]
    return 1 - len(set(fours)) / len(fours) if fours else 0.0
