"""How an engine goes on after a step that failed as a whole: with fewer at once.

Importing this module imports torch.
"""

import logging
from collections.abc import Callable, Sequence

from bot.engine.batching.running_request import Run
from bot.engine.faults import is_broken_device, is_memory_fault
from bot.errors import EngineMemoryError

logger = logging.getLogger(__name__)


class Recovery:
    """`num_runs` take part in a step, at most `most`: halved at a fault, and growing again."""

    def __init__(self, most: int, release_memory: Callable[[Exception], None]) -> None:
        self.num_runs = most
        self._most = most
        self._release_memory = release_memory

    def grow(self) -> None:
        """A run has ended well: one more may take part."""
        self.num_runs = min(self.num_runs + 1, self._most)

    def after(self, error: Exception, runs: Sequence[Run]) -> list[tuple[Run, Exception]]:
        """Who of `runs`, as they were before the step, cannot be run, and what to tell them.

        Fewer take part in the next step, until it succeeds or it is known who cannot. Raises
        `error` where the device is broken.
        """
        if is_broken_device(error):
            raise error
        taking_part = runs[: self.num_runs]
        if is_memory_fault(error):
            self._release_memory(error)
            error = EngineMemoryError()
        else:
            logger.warning("a step of %d requests failed", len(taking_part), exc_info=error)
        if len(taking_part) > 1:
            self.num_runs = len(taking_part) // 2
            return []
        self.num_runs = self._most
        return [(run, error) for run in taking_part]
