"""How long to train, and how large the steps are at each part of it."""

import math
import re
from dataclasses import dataclass

_BUDGET = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>s|min|m|h|k|K|M)")
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600}
_TOKENS = {"k": 1_000, "K": 1_000, "M": 1_000_000}


_WARMUP_SHARE = 0.1  # of the budget at most: a short training has to learn, too


@dataclass(frozen=True, slots=True)
class Budget:
    """When training is over: after so many tokens, or so many seconds; one of them is None."""

    num_tokens: int | None = None
    num_seconds: float | None = None

    def share(self, num_tokens: int, num_seconds: float) -> float:
        """How much of the budget is used: 0 at the start, 1 or more at the end."""
        if self.num_tokens is not None:
            return num_tokens / self.num_tokens
        if self.num_seconds is not None:
            return num_seconds / self.num_seconds
        raise ValueError("a budget without an end")


def parse_budget(text: str) -> Budget:
    """The budget in `text`: `60s`, `5min`, `5m`, `2h`; `300k`, `25M` tokens. Raises ValueError."""
    match = _BUDGET.fullmatch(text)
    number = float(match["number"]) if match else 0.0
    if match is None or number <= 0:
        raise ValueError(
            f"{text} is no budget: write seconds (60s, 5min, 2h) or tokens (300k, 25M)"
        )
    if match["unit"] in _SECONDS:
        return Budget(num_seconds=number * _SECONDS[match["unit"]])
    return Budget(num_tokens=math.ceil(number * _TOKENS[match["unit"]]))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, a stable part, then a cosine decay.

    A run that is resumed with a smaller budget is in the decay at once, so training can be
    brought to its end at any time. After Hägele et al. 2024, https://arxiv.org/abs/2405.18392.
    """

    peak: float = 3e-3
    warmup_steps: int = 100
    decay_share: float = 0.5
    final_share: float = 0.02

    def rate(self, step: int, share: float) -> float:
        """The learning rate of `step` (from 0), when `share` of the budget is used."""
        warm = min(1.0, max((step + 1) / self.warmup_steps, share / _WARMUP_SHARE))
        decayed = min(1.0, max(0.0, (share - 1 + self.decay_share) / self.decay_share))
        cosine = 0.5 * (1 + math.cos(math.pi * decayed))
        return self.peak * warm * (self.final_share + (1 - self.final_share) * cosine)
