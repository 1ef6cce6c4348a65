"""What is asked of every system: prompts and the lengths of their replies."""

import random
from dataclasses import dataclass

from bot.dialogue.sampling import SamplingParams


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt (num_prompt_tokens,) and how its reply is drawn."""

    prompt_ids: tuple[int, ...]
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class Served:
    """One reply; both times count from the moment at which all were asked for."""

    num_tokens: int
    first_token_seconds: float
    seconds: float

    @property
    def pace(self) -> float:
        """Tokens in a second after the first one; 0 where there are none."""
        seconds = self.seconds - self.first_token_seconds
        return (self.num_tokens - 1) / seconds if self.num_tokens > 1 and seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    @classmethod
    def read(cls, text: str) -> "Range":
        """From `low-high`, or one number."""
        low, _, high = text.partition("-")
        return cls(int(low), int(high or low))

    def draw(self, dice: random.Random) -> int:
        """One of them."""
        return dice.randint(self.low, self.high)

    def at_most(self, limit: int) -> "Range":
        """Without what is above `limit`."""
        return Range(min(self.low, limit), min(self.high, limit))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long prompts and replies are, in tokens; a lone person's are in the middle."""

    prompts: Range = Range(50, 600)
    replies: Range = Range(10, 60)
    lone_prompt: int = 200
    lone_reply: int = 40


def draw_asks(num_users: int, sizes: Sizes, window: int, num_ids: int, seed: int) -> list[Ask]:
    """A workload of random tokens; the end-of-text token, the last id, ends each prompt."""
    dice = random.Random(f"{num_users} {seed}")
    prompts, replies = sizes.prompts, sizes.replies
    if num_users == 1:
        prompts = prompts.at_most(sizes.lone_prompt)
        prompts = Range(prompts.high, prompts.high)
        replies = replies.at_most(sizes.lone_reply)
        replies = Range(replies.high, replies.high)
    replies = replies.at_most(window // 2)
    prompts = prompts.at_most(window - replies.high)
    return [
        Ask(
            (*dice.choices(range(num_ids - 1), k=prompts.draw(dice) - 1), num_ids - 1),
            SamplingParams(max_new_tokens=replies.draw(dice), seed=dice.randrange(2**31)),
        )
        for _ in range(num_users)
    ]
