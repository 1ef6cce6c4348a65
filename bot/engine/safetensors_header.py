"""The header of a safetensors file, read without torch: truncated weights are told at once.

Format: https://huggingface.co/docs/safetensors, "Format": eight bytes with the header's length,
a JSON header, then the tensors' bytes without gaps.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from bot.errors import ModelError

_LENGTH_BYTES = 8
_MAX_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """Name, dtype (as safetensors writes it) and shape of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_elements(self) -> int:
        """How many numbers the tensor holds."""
        return math.prod(self.shape)


def read_header(path: Path) -> list[TensorHeader]:
    """The tensors that the file at `path` holds; raises ModelError where it is not whole."""
    try:
        return _parse(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(
            "The weights {file} are cut off or damaged: fetch or copy the model again.", file=path
        ) from error


def _parse(path: Path) -> list[TensorHeader]:
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 0 < header_bytes <= _MAX_HEADER:
            raise ValueError(header_bytes)
        entries = json.loads(file.read(header_bytes))
    entries.pop("__metadata__", None)
    end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if path.stat().st_size != _LENGTH_BYTES + header_bytes + end:
        raise ValueError(end)
    return [
        TensorHeader(name, entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()
    ]
