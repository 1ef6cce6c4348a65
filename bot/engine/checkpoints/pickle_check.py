"""Reads what a pickled checkpoint would do, without doing it.

A pickle is a program. Weights need a handful of its instructions and of names; anything else is
refused before torch opens the file. `torch.load(weights_only=True)` checks a second time.
"""

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bot.errors import ModelError

_ZIP_START = b"PK\x03\x04"  # the same test as torch's, so that both see the same format
_LEGACY_PICKLES = 5  # magic number, protocol, system, weights, storage keys: torch before 1.6
_MAX_PICKLE = 64 * 2**20  # bytes; DialoGPT-large's has under 0.2 MB

_NAMES = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        *(
            f"torch {kind}Storage"
            for kind in ("Float", "Half", "BFloat16", "Double", "Byte", "Bool", "Int", "Long")
        ),
    }
)
_INSTRUCTION_NAMES = (
    "PROTO STOP MARK EMPTY_DICT EMPTY_LIST EMPTY_TUPLE DICT LIST TUPLE TUPLE1 TUPLE2 TUPLE3 NONE "
    "NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "BINSTRING SHORT_BINSTRING BINPUT LONG_BINPUT BINGET LONG_BINGET MEMOIZE SETITEM SETITEMS "
    "APPEND APPENDS REDUCE BUILD BINPERSID"
)
_INSTRUCTIONS = frozenset(_INSTRUCTION_NAMES.split())


def is_zip(path: Path) -> bool:
    """Whether torch reads `path` as the zip format of torch 1.6 and later."""
    with path.open("rb") as file:
        return file.read(len(_ZIP_START)) == _ZIP_START


def check_pickles(path: Path) -> None:
    """Refuse a checkpoint whose pickles ask for more than tensors; raises ModelError."""
    try:
        for pickled in _pickles(path):
            _check(path, pickled)
    # pickletools raises these for bytes that are no pickle
    except (ValueError, EOFError, IndexError, zipfile.BadZipFile, OSError) as error:
        raise ModelError(
            "The file {file} is cut off or damaged: fetch the model again.", file=path.name
        ) from error


def _pickles(path: Path) -> Iterator[BinaryIO]:
    if is_zip(path):
        with zipfile.ZipFile(path) as archive:
            yield io.BytesIO(_zipped_pickle(path, archive))
        return
    with path.open("rb") as file:
        head = io.BytesIO(file.read(_MAX_PICKLE))
    for _ in range(_LEGACY_PICKLES):
        yield head  # each check leaves it where the next pickle begins


def _zipped_pickle(path: Path, archive: zipfile.ZipFile) -> bytes:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    pickled = [entry for entry in entries if entry.filename.endswith("data.pkl")]
    # torch stores its entries as they are; a compressed one could be a bomb
    plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    is_single = len(set(names)) == len(names) and len(pickled) == 1
    if not plain or not is_single or pickled[0].file_size > _MAX_PICKLE:
        raise ModelError(
            "The file {file} is refused: it has a compressed or double entry, or a pickle above "
            "64 MB, which weights never need. It may hold a virus: please choose another MODEL.",
            file=path.name,
        )
    return archive.read(pickled[0])


def _check(path: Path, pickled: BinaryIO) -> None:
    for instruction, argument, _ in pickletools.genops(pickled):
        name, allowed = instruction.name, _INSTRUCTIONS
        if name == "GLOBAL":
            name, allowed = str(argument), _NAMES
        if name not in allowed:
            raise ModelError(
                "The file {file} is refused: it asks for {name}, which weights never need. It "
                "may hold a virus: please choose another MODEL.",
                file=path.name,
                name=name.replace(" ", "."),
            )
