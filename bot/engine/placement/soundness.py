"""What every loader checks in a model, and the sentences where it is not sound.

Importing this module imports torch (1.3 s).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from bot.engine.faults import is_memory_fault
from bot.engine.tokenizer import load_tokenizer
from bot.errors import ModelError


@contextmanager
def sentences_for_faults(folder: Path) -> Iterator[None]:
    """Turn what a library raises while it loads or tries a model into a ModelError."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise ModelError(
            "The model in {folder} cannot be loaded ({reason}): fetch or copy it again, or choose "
            "another MODEL.",
            folder=folder,
            reason=_first_line(error),
        ) from error
    except (RuntimeError, MemoryError) as error:
        if is_memory_fault(error):
            raise ModelError(
                "There is too little memory for the model in {folder}: choose a smaller MODEL or "
                "DTYPE=bfloat16.",
                folder=folder,
            ) from error
        raise ModelError(
            "The model in {folder} does not work here ({reason}): choose another MODEL or DEVICE.",
            folder=folder,
            reason=_first_line(error),
        ) from error


def does_not_fit(folder: Path, names: Iterable[object]) -> ModelError:
    """Weights that are missing or of another shape; transformers would draw random ones."""
    return ModelError(
        "The weights in {folder} do not fit their config.json ({names}): fetch or copy the "
        "model again.",
        folder=folder,
        names=", ".join(sorted(map(str, names))[:3]),
    )


def check_finite(tensors: Iterable[tuple[str, Tensor]], folder: Path) -> None:
    """Raise ModelError for weights that hold NaN or infinity."""
    for name, tensor in tensors:
        low, high = torch.aminmax(tensor.detach())
        if not torch.isfinite(high - low):
            raise ModelError(
                "The weights in {folder} hold a number that is not finite ({name}): the model is "
                "broken, please choose another MODEL or fetch it again.",
                folder=folder,
                name=name,
            )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What an engine needs of a tokenizer.

    `end_ids` end a reply: the tokenizer's token, and those that the model's configs name.
    `spelling`: the bytes that each id adds to a text; None where no token is bytes.
    """

    end_ids: tuple[int, ...]
    spelling: list[bytes] | None


def read_vocabulary(
    folder: Path, configs: Iterable[Mapping[str, object]], num_ids: int
) -> Vocabulary:
    """That of the checkpoint in `folder`, for a network with rows for `num_ids` ids.

    Raises ModelError for a tokenizer that makes ids for which the network has no row.
    """
    tokenizer = load_tokenizer(folder)
    if tokenizer.num_ids > num_ids:
        raise ModelError(
            "The tokenizer in {folder} knows {num_tokens} tokens, the model only {num_rows}: they "
            "do not belong together, fetch or copy the model again.",
            folder=folder,
            num_tokens=tokenizer.num_ids,
            num_rows=num_ids,
        )
    ids: list[object] = [tokenizer.end_of_text_id]
    for config in configs:
        named = config.get("eos_token_id")
        ids += named if isinstance(named, list) else [named]
    end_ids = tuple(dict.fromkeys(i for i in ids if isinstance(i, int) and 0 <= i < num_ids))
    return Vocabulary(end_ids, tokenizer.spelling(num_ids, end_ids))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
