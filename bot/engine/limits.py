"""How much an engine may do at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """`num_rows`: candidates made at once; `cache_bytes`: for the keys and values of all."""

    num_rows: int = 16
    cache_bytes: int = 512 * 2**20
