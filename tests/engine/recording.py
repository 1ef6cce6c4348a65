"""What a CUDA graph does, on a processor: the operations of one run, done again as they were.

Numbers that pass through Python are those of the first run for ever; tensors that the run did not
make stand where they stood.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from bot.engine.batching.cuda.slot_decoder import Prepare
from bot.engine.batching.cuda.static_decode import StaticDecode

# each waits for a device, or brings a number from Python to it
NOT_IN_A_GRAPH = ("_local_scalar_dense", "nonzero", "lift_fresh", "_to_copy.device", "is_nonzero")


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Writes down every operation and what it came to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.operations: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, made))
        return made


class Recorded:
    """Replays what a StaticDecode did once."""

    def __init__(self, decode: StaticDecode) -> None:
        with Recording() as recording:
            decode.compute()
        self.operations = recording.operations

    @torch.inference_mode()
    def __call__(self) -> None:
        found: dict[int, Tensor] = {}

        def now(value: Any) -> Any:
            return found.get(id(value), value) if isinstance(value, Tensor) else value

        for func, args, kwargs, made in self.operations:
            again = func(*tree_map(now, args), **tree_map(now, kwargs))
            before, after = (
                one if isinstance(one, tuple | list) else [one] for one in (made, again)
            )
            found.update(zip(map(id, before), after, strict=True))


def record(decodes: Sequence[StaticDecode]) -> None:
    """What takes the place of bot.engine.batching.cuda.graphs.Capture."""
    for decode in decodes:
        decode.replay = Recorded(decode)


def recorded(_: torch.device) -> Prepare:
    """Such a Capture, for a device."""
    return record
