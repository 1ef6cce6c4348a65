"""Stops a forward pass between two of its layers.

A long prompt for many candidates is one pass that takes a CPU minutes, and no step of `generate`
comes before it ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def interruptible(network: nn.Module, check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before every layer of `network`; it stops the pass by raising."""

    def run_check(*_: object) -> None:
        check()

    registered = [layer.register_forward_pre_hook(run_check) for layer in layers(network)]
    try:
        yield
    finally:
        for hook in registered:
            hook.remove()


def layers(network: nn.Module) -> list[nn.Module]:
    """The layers that `network` runs one after another: its outermost list of modules."""
    lists = (module for module in network.modules() if isinstance(module, nn.ModuleList))
    return list(next(lists, ()))
