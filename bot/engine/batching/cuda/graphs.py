"""Steps of a StaticDecode recorded as CUDA graphs: one launch instead of some twenty a layer.

As PyTorch's "CUDA semantics" says, section "CUDA Graphs". Importing this module imports torch.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from bot.engine.batching.cuda.static_decode import StaticDecode

_WARM_UPS = 3  # kernels are chosen and their workspaces made before, not in the capture
# cuDNN's attention makes plans at run time; flash attention takes no mask
_BACKENDS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class Capture:
    """Captures steps, all of them on a stream of its own and in one pool of memory.

    The pool can be shared because graphs run one after another and leave nothing in it that is
    read later. The stream must be the captures' own: torch clears cuBLAS's workspaces of a graph's
    stream when the graph is freed, also those that other graphs point to (pytorch issue 193402).
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types here
        self._pool = torch.cuda.graph_pool_handle()

    @torch.inference_mode()
    def __call__(self, decodes: Sequence[StaticDecode]) -> None:
        """Give each of `decodes` a graph; raises RuntimeError where one cannot be captured."""
        largest_first = sorted(decodes, key=lambda decode: -decode.size)
        with torch.cuda.device(self._device), sdpa_kernel(_BACKENDS), _without_collection():
            # all before the first capture: a workspace may have to grow, and graphs point into it
            for decode in largest_first:
                self._warm_up(decode)
            for decode in largest_first:
                decode.replay = self._captured(decode).replay

    def _warm_up(self, decode: StaticDecode) -> None:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                decode.compute()
        torch.cuda.current_stream().wait_stream(self._stream)

    def _captured(self, decode: StaticDecode) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        # thread_local: another thread may ask how much memory is free
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            decode.compute()
        return graph


@contextmanager
def _without_collection() -> Iterator[None]:
    """A graph or tensor that is collected in a capture would break it (pytorch issue 161037)."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
