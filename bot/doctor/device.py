"""On which device the model runs, and whether it fits the memory there."""

from collections.abc import Iterator
from pathlib import Path

from bot.doctor.findings import Finding, faults, ok, warn
from bot.engine.checkpoints.checkpoint import Checkpoint
from bot.engine.placement.survey import Survey, survey
from bot.errors import StartError
from bot.settings.settings import Settings
from bot.startup.single_instance import is_running

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
SLOW_PARAMETERS = 200e6  # from here on a processor takes seconds for a reply


def examine_device(checkpoint: Checkpoint | None, settings: Settings) -> Iterator[Finding]:
    """Settle DEVICE and DTYPE as the start would; a whole `checkpoint` is measured against it."""
    try:
        surveyed = survey(checkpoint, settings.device, settings.dtype)
    except StartError as error:
        yield from faults(error)
        return
    if settings.device == "auto" and surveyed.device == "cpu":
        yield from _why_no_gpu(surveyed.num_parameters)
    told = {"device": surveyed.device, "dtype": surveyed.dtype}
    if checkpoint is None:
        yield ok("A model would run on {device} in {dtype}.", **told)
    else:
        yield from _examine_memory(surveyed, settings, told)


def _examine_memory(
    surveyed: Survey, settings: Settings, told: dict[str, str]
) -> Iterator[Finding]:
    """Whether the model fits the memory that is free, where that can be measured."""
    needed = round(surveyed.needed_bytes / 1e6)
    if surveyed.free_bytes is None or _runs_already(settings):
        yield ok(
            "The model runs on {device} in {dtype}, and takes {needed} MB of memory.",
            needed=needed,
            **told,
        )
    elif surveyed.shortage is not None:
        yield from faults(surveyed.shortage)
    else:
        yield ok(
            "The model runs on {device} in {dtype}, and takes {needed} MB of the {free} MB of "
            "memory that are free there.",
            needed=needed,
            free=round(surveyed.free_bytes / 1e6),
            **told,
        )


def _runs_already(settings: Settings) -> bool:
    """Whether a part of the memory is taken by the very bot that is looked at."""
    token = settings.discord_token
    return token is not None and is_running(token.get_secret_value())


def _why_no_gpu(num_parameters: int) -> Iterator[Finding]:
    """Why the processor was chosen, where that is slow or a GPU is idle."""
    if NVIDIA_DRIVER.exists():
        yield warn(
            "There is an NVIDIA GPU here, but torch cannot use it: install the torch that fits its "
            "driver, see https://pytorch.org/get-started/locally/."
        )
    elif num_parameters >= SLOW_PARAMETERS:
        yield warn(
            "No GPU was found, and on the processor a model of this size takes seconds for a "
            "reply: if that is too slow, set MODEL=microsoft/DialoGPT-small."
        )
