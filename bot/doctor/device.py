"""On which device the model runs, and whether it fits the memory there."""

from pathlib import Path

from bot.doctor.findings import Finding, fault, faults, ok, warning
from bot.engine.checkpoints.checkpoint import Checkpoint
from bot.engine.placement.survey import Survey, survey
from bot.errors import StartError
from bot.settings.settings import Settings
from bot.startup.single_instance import is_running
from bot.texts import mark

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
SLOW_PARAMETERS = 200e6  # from here on a processor takes seconds for a reply


def examine_device(checkpoint: Checkpoint | None, settings: Settings) -> list[Finding]:
    """Settle DEVICE and DTYPE as the start would; a whole `checkpoint` is measured against it."""
    try:
        surveyed = survey(checkpoint, settings.device, settings.dtype)
    except StartError as error:
        return faults(error)
    findings = []
    if settings.device == "auto" and surveyed.device == "cpu":
        findings += _why_no_gpu(surveyed.num_parameters)
    if checkpoint is None:
        would = mark("A model would run on {device} in {dtype}.")
        return [*findings, ok(would, device=surveyed.device, dtype=surveyed.dtype)]
    return [*findings, _examine_memory(surveyed, settings)]


def _examine_memory(surveyed: Survey, settings: Settings) -> Finding:
    told: dict[str, object] = {
        "device": surveyed.device,
        "dtype": surveyed.dtype,
        "needed": round(surveyed.needed_bytes / 1e6),
    }
    if surveyed.free_bytes is None or _runs_already(settings):
        return ok(
            mark("The model runs on {device} in {dtype}, and takes {needed} MB of memory."), **told
        )
    if surveyed.shortage is not None:
        return fault(surveyed.shortage)
    return ok(
        mark(
            "The model runs on {device} in {dtype}, and takes {needed} MB of the {free} MB of "
            "memory that are free there."
        ),
        free=round(surveyed.free_bytes / 1e6),
        **told,
    )


def _runs_already(settings: Settings) -> bool:
    """Whether a part of the memory is taken by the very bot that is looked at."""
    token = settings.discord_token
    return token is not None and is_running(token.get_secret_value())


def _why_no_gpu(num_parameters: int) -> list[Finding]:
    if NVIDIA_DRIVER.exists():
        return [
            warning(
                mark(
                    "There is an NVIDIA GPU here, but torch cannot use it: install the torch that "
                    "fits its driver, see https://pytorch.org/get-started/locally/."
                )
            )
        ]
    if num_parameters < SLOW_PARAMETERS:
        return []
    return [
        warning(
            mark(
                "No GPU was found, and on the processor a model of this size takes seconds for a "
                "reply: if that is too slow, set MODEL=microsoft/DialoGPT-small."
            )
        )
    ]
