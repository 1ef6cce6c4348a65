"""Whether the model is here and whole, or can be fetched."""

import asyncio
from collections.abc import Collection, Iterator

from bot.doctor.device import examine_device
from bot.doctor.findings import Finding, faults, ok, warn
from bot.engine.checkpoints.checkpoint import (
    Checkpoint,
    inspect_checkpoint,
    resolve_model,
    tensor_sizes,
)
from bot.engine.checkpoints.disk import check_room
from bot.engine.checkpoints.fetch import plan_fetch
from bot.errors import ModelError, StartError
from bot.paths import may_write, nearest_folder
from bot.settings.settings import EMBEDDED_MODEL, MODELS_FOLDER, Settings
from bot.startup.chosen_hub import chosen_hub
from bot.startup.model_folder import must_be_fetched
from bot.startup.reverse_model import find_reverse_model

HUB_SECONDS = 6.0


async def examine_model(settings: Settings, unsure: Collection[str]) -> list[Finding]:
    """Look at the model's files, and at the device that it would run on; loads no weights."""
    return await asyncio.to_thread(list, _examine(settings, frozenset(unsure)))


def _examine(settings: Settings, unsure: frozenset[str]) -> Iterator[Finding]:
    """The model, the reverse one and the device, as far as their settings are known."""
    checkpoint = None
    if not unsure & {"MODEL", "MODEL_REVISION"}:
        try:
            if must_be_fetched(settings):
                yield from _ask_hub(settings)
            else:
                folder = resolve_model(settings.model, settings.model_revision, MODELS_FOLDER)
                found = inspect_checkpoint(folder)
                yield _whole(found, settings.model)
                checkpoint = found
        except ModelError as error:
            yield from faults(error)
        except OSError as error:
            yield from faults(_unreadable(error, settings))
    if not unsure & {"MODEL", "MODEL_REVISION", "REVERSE_MODEL"}:
        yield from _examine_reverse(settings)
    if not unsure & {"DEVICE", "DTYPE"}:
        yield from examine_device(checkpoint, settings)


def _examine_reverse(settings: Settings) -> Iterator[Finding]:
    """REVERSE_MODEL's files; its vocabulary is compared when the bot starts."""
    try:
        folder = find_reverse_model(settings)
        if folder is not None and settings.reverse_model is not None:
            inspect_checkpoint(folder)
            yield ok("The reverse model {model} is here.", model=settings.reverse_model)
    except StartError as error:
        yield from faults(error)


def _unreadable(error: OSError, settings: Settings) -> ModelError:
    """What is said of files that this user may not read."""
    return ModelError(
        "The files of the model {model} cannot be read ({reason}: {path}): let the user who runs "
        "the bot read them.",
        model=settings.model,
        reason=error.strerror,
        path=error.filename,
    )


def _whole(checkpoint: Checkpoint, model: str) -> Finding:
    """Its weights are as long as they say; their hash is checked when they are fetched."""
    num_parameters = sum(sum(tensor_sizes(path).values()) for path in checkpoint.weight_files)
    if model == EMBEDDED_MODEL:
        return ok("The model is the embedded demonstration voice, and it is whole.")
    return ok(
        "The model {model} is here and whole: {number} million parameters.",
        model=model,
        number=f"{num_parameters / 1e6:.3g}",
    )


def _ask_hub(settings: Settings) -> Iterator[Finding]:
    """Whether the hub has the model, and the disk room for it.

    Raises ModelError where the hub has no such model, or one that Banter cannot use.
    """
    folder = nearest_folder(MODELS_FOLDER / settings.model)
    if not may_write(folder):
        raise ModelError(
            "The model {model} has to be fetched, but the folder {folder} cannot be written: make "
            "it writable.",
            model=settings.model,
            folder=folder,
        )
    revision = f" --revision {settings.model_revision}" if settings.model_revision else ""
    told = {"model": settings.model, "command": f"python -m bot fetch {settings.model}{revision}"}
    try:
        plan = plan_fetch(settings.model, settings.model_revision, chosen_hub(patience=HUB_SECONDS))
    except ModelError:
        raise
    except StartError as error:
        yield warn("The model {model} is not on this machine yet: `{command}` fetches it.", **told)
        yield from faults(error)
        return
    check_room(folder, plan.disk_bytes)
    yield warn(
        "The model {model} is not on this machine yet: the start fetches it ({size} MB), or "
        "`{command}` does it now.",
        size=round(plan.num_bytes / 1e6),
        **told,
    )
