"""Figures that others published, to stand beside ours."""

from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.metric import Better, Facts

_NUM_PUBLISHED = 6000  # replies
_COLUMNS = (
    *("nist_2", "nist_4", "bleu_2", "bleu_4"),
    *("entropy_4", "distinct_1", "distinct_2", "length"),
)
# 6,000 Reddit dialogues with several references each; one reference does not compare. Shares from
# 0 to 1, entropy in nats. Zhang et al. 2020, https://arxiv.org/abs/1911.00536, table 3, and the
# table "6K multi-ref dataset result" of DialoGPT's README. Their METEOR knows synonyms, ours not.
_ROWS: Mapping[str, tuple[float, ...]] = {
    "people": (3.41, 4.25, 0.179, 0.0748, 11.0, 0.145, 0.63, 13.1),
    "DialoGPT 117M": (2.39, 2.41, 0.1054, 0.0155, 10.78, 0.086, 0.399, 12.8),
    "DialoGPT 345M": (3.0, 3.06, 0.1696, 0.0456, 9.13, 0.068, 0.263, 12.2),
    "DialoGPT 762M": (2.84, 2.9, 0.1866, 0.0525, 9.72, 0.0776, 0.2993, 11.2),
    "DialoGPT 345M, beam search": (3.4, 3.5, 0.2176, 0.0792, 10.48, 0.1238, 0.4874, 11.3),
    "DialoGPT 345M, MMI": (3.28, 3.33, 0.1568, 0.0394, 11.25, 0.0939, 0.4555, 17.2),
}
PEOPLE = "people"
DIALOGPT_6K: Mapping[str, Mapping[str, float]] = {
    name: dict(zip(_COLUMNS, row, strict=True)) for name, row in _ROWS.items()
}


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What people's replies have (a range over several collections), and what is aimed at."""

    people: tuple[float, float]
    target: float | None = None


# Measured on thousands of people's replies of persona, self-dialogue and live chats.
YARDSTICKS: Mapping[str, Yardstick] = {
    "history_rep4": Yardstick((0.004, 0.006)),
    "self_repetition": Yardstick((0.0007, 0.0024), 0.01),
    "echo": Yardstick((0.002, 0.012), 0.02),
    "rep4": Yardstick((0.0001, 0.0002), 0.005),
    "empty": Yardstick((0.0, 0.0), 0.0),
}


# How the columns read; the metrics themselves say the same.
COLUMN_FACTS = (
    Facts("nist_2", "NIST-2", Better.HIGHER),
    Facts("nist_4", "NIST-4", Better.HIGHER),
    Facts("bleu_2", "BLEU-2", Better.HIGHER, "%"),
    Facts("bleu_4", "BLEU-4", Better.HIGHER, "%"),
    Facts("entropy_4", "Entropy-4", Better.HIGHER, "nats"),
    Facts("distinct_1", "Distinct-1", Better.HIGHER, "%", 1),
    Facts("distinct_2", "Distinct-2", Better.HIGHER, "%", 1),
    Facts("length", "Length", Better.NEITHER, "words", 1),
)


def people_of(name: str, *, num_replies: int, num_references: int) -> tuple[float, float] | None:
    """What people's replies have of a metric, from and to; None where nothing compares.

    Distinct and entropy compare among like numbers of replies, BLEU and NIST among several
    references.
    """
    if name in YARDSTICKS:
        return YARDSTICKS[name].people
    figure = DIALOGPT_6K[PEOPLE].get(name)
    is_alike = abs(num_replies - _NUM_PUBLISHED) <= _NUM_PUBLISHED / 5
    if name.startswith(("distinct", "entropy")) and not is_alike:
        return None
    if name.startswith(("bleu", "nist")) and not (is_alike and num_references > 1):
        return None
    return None if figure is None else (figure, figure)


def target_of(name: str) -> float | None:
    """What is aimed at; None where nothing is."""
    return YARDSTICKS[name].target if name in YARDSTICKS else None
