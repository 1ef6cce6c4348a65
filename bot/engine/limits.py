"""How much an engine may do at once."""

from dataclasses import dataclass

CUDA_ROWS = 64  # at once on a GPU, where a step of many costs little more than a step of one


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """`num_rows`: candidates made at once; `cache_bytes`: for the keys and values of all."""

    num_rows: int = 16
    cache_bytes: int = 512 * 2**20

    @property
    def runs_of_a_member(self) -> int:
        """How many requests of one member run at once: whoever comes next finds a place."""
        return max(1, self.num_rows // 4)
