"""Counts the erasures: what was read before one is not kept after it."""

from bot.engine.protocol import Engine


class Erasures:
    """The number of erasures since the start, which the engine that keeps prefixes is told.

    Used from one event loop. Read `num` before the words that a request is made of.
    `are_due`: the store still holds words that should be gone, so nothing is made of what it holds.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.num = 0
        self.are_due = False

    def note(self) -> None:
        """Words were erased or replaced: nothing is kept of them outside of the history either."""
        self.num += 1
        self._engine.forget(self.num)
