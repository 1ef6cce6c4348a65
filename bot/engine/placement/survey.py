"""Where a model would run, and whether it fits there; nothing is loaded.

Importing this module imports no torch (1.3 s): a survey does.
"""

from dataclasses import dataclass

from bot.engine.checkpoints.checkpoint import Checkpoint
from bot.engine.checkpoints.gpt2_config import is_gpt2, own_bytes
from bot.errors import ModelError, UnavailableError


@dataclass(frozen=True, slots=True)
class Survey:
    """A device and a number format as a person knows them.

    `num_parameters` and `needed_bytes` are 0 without a checkpoint; `free_bytes` is None where
    the system does not tell; `shortage` is what a person is told where the model does not fit.
    """

    device: str
    dtype: str
    num_parameters: int = 0
    needed_bytes: int = 0
    free_bytes: int | None = None
    shortage: ModelError | None = None


def survey(checkpoint: Checkpoint | None, device: str, dtype: str) -> Survey:
    """Settle DEVICE and DTYPE as a start would, and measure `checkpoint` against the memory.

    Raises ModelError where the device is not there, WrongSettingsError for a dtype not had here,
    UnavailableError where torch does not load.
    """
    try:
        # heavy: see the module's docstring
        from bot.engine.placement.device import (  # noqa: PLC0415
            LARGE_BYTES,
            choose_placement,
            name_of,
        )
        from bot.engine.placement.memory import measure  # noqa: PLC0415
    except (ImportError, OSError) as error:  # OSError: a library of CUDA's that is not there
        raise UnavailableError(
            "The library torch cannot be loaded ({reason}): install Banter again (remove the "
            "folder .venv, then `make run`).",
            reason=str(error) or type(error).__name__,
        ) from error
    # without a model, all that it may come to: DTYPE=auto can depend on the model's size
    sizes = (1, LARGE_BYTES) if checkpoint is None else (own_bytes(checkpoint),)
    placements = [choose_placement(device, dtype, own_bytes=size) for size in sizes]
    dtypes = dict.fromkeys(placement.format_name for placement in placements)
    told = (name_of(placements[0].device), "/".join(dtypes))
    if checkpoint is None:
        return Survey(*told)
    demand = measure(checkpoint, placements[0], is_own=is_gpt2(checkpoint.config))
    return Survey(
        *told,
        num_parameters=demand.num_parameters,
        needed_bytes=demand.needed_bytes,
        free_bytes=demand.free_bytes,
        shortage=demand.shortage,
    )
