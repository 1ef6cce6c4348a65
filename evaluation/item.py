"""One reply to be judged, and what it is judged against."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """A reply with what came before it.

    `history`: the turns before the reply, oldest first; the newest is what the member said.
    `references`: what people replied there.
    `group`: replies of one dialogue have the same number: they are drawn together when a figure
    is resampled, since they depend on each other.
    `logprob` is the reply's under the model that made it, over its `num_tokens` tokens (0: it is
    not known), and `seconds` the time it took.
    `is_fallback`: nothing was fit, and the bot said its sentence for that instead.
    """

    completion: str
    history: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    group: int = 0
    is_fallback: bool = False
    logprob: float = 0.0
    num_tokens: int = 0
    seconds: float | None = None

    @property
    def said(self) -> str | None:
        """What the reply answers, if it is known."""
        return self.history[-1] if self.history else None

    @property
    def own_turns(self) -> tuple[str, ...]:
        """What the speaker of the reply said before, oldest first."""
        return self.history[:-1][::-2][::-1]
