"""What the engine for GPT-2s does beyond loading before it answers on a CUDA device.

Importing this module imports torch.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from bot.engine.batching.cuda.graphs import Capture
from bot.engine.batching.cuda.self_check import UnsoundError, check_decoder, check_network
from bot.engine.batching.cuda.slot_decoder import Prepare, SlotDecoder, make_decoder, plan_slots
from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.checks import CUDA_ROWS, EngineLimits
from bot.engine.faults import is_broken_device
from bot.engine.placement.soundness import sentences_for_faults

logger = logging.getLogger(__name__)
_FREE_SHARE = 0.8  # of the device's memory; the rest is for what a step makes on the way


def load_on_cuda(
    folder: Path, device: str, dtype: str, limits: EngineLimits
) -> tuple[LoadedGpt2, EngineLimits]:
    """See load_gpt2 and ready_for_cuda; torch's errors come as ModelError."""
    loaded = load_gpt2(folder, device, dtype)
    with sentences_for_faults(folder):
        return ready_for_cuda(loaded, limits, Capture)


def ready_for_cuda(
    loaded: LoadedGpt2, limits: EngineLimits, capture: Callable[[torch.device], Prepare]
) -> tuple[LoadedGpt2, EngineLimits]:
    """`loaded` with a decoder of captured steps, and what is left of `limits`.

    Without a decoder where the graphs cannot be made or are wrong; the log says which. Raises
    UnsoundError where the network itself is wrong here, and what torch raises where the device is
    broken for good.
    """
    check_network(loaded.network)
    limits = replace(limits, num_rows=max(limits.num_rows, CUDA_ROWS))
    try:
        decoder = _checked(loaded, limits, capture(loaded.placement.device))
    except (UnsoundError, RuntimeError) as error:
        if is_broken_device(error):
            _touch(loaded.placement.device)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    else:
        slots = [f"{g.slots.num_slots} of {g.slots.capacity - 1} tokens" for g in decoder.groups]
        logger.info("Replies are made with CUDA graphs, in slots: %s.", ", ".join(slots))
        left = limits.cache_bytes - decoder.num_bytes
        return replace(loaded, decoder=decoder), replace(limits, cache_bytes=left)
    logger.warning("Replies are made without CUDA graphs, more slowly (%s).", reason)
    if loaded.placement.device.type == "cuda":
        torch.cuda.empty_cache()
    return loaded, limits


def _checked(loaded: LoadedGpt2, limits: EngineLimits, prepare: Prepare) -> SlotDecoder:
    network = loaded.network
    num_bytes = min(limits.cache_bytes, _free_bytes(loaded.placement.device))
    within = replace(limits, cache_bytes=num_bytes)
    plans = plan_slots(network.cache_shape, network.shape.window, within)
    if not plans:
        raise UnsoundError("KV_CACHE_MB is too small for one slot")
    decoder = make_decoder(network, plans, prepare)
    check_decoder(network, decoder)
    return decoder


def _free_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return 2**62
    return int(torch.cuda.mem_get_info(device)[0] * _FREE_SHARE)


def _touch(device: torch.device) -> None:
    """Raise where `device` is broken: a failed capture leaves it sound, an assert does not."""
    torch.cuda.synchronize(device)
    torch.zeros(1, device=device).add_(1).item()
