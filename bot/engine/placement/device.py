"""Which device and which number format a model runs in, and how much memory there is.

Importing this module imports torch (1.3 s): `bot.engine.opening` does it in a thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from bot.errors import ModelError, WrongSettingsError

AUTO, INT8 = "auto", "int8"
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
# Less is read for a word in the time that everything else takes: nothing is gained there.
LARGE_BYTES = 64 * 2**20
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs and in which number format."""

    device: torch.device
    dtype: torch.dtype
    is_int8: bool = False  # the matrices are kept in 8 bits; `dtype` is what is computed with

    @property
    def format_name(self) -> str:
        """The number format as a person sets it: `float32`, `bfloat16` or `int8`."""
        return INT8 if self.is_int8 else str(self.dtype).removeprefix("torch.")


def choose_placement(device: str, dtype: str, *, own_bytes: int = 0) -> Placement:
    """Settle DEVICE and DTYPE; `auto` takes the first of cuda, mps, cpu.

    `own_bytes`: the size of the weights that our own network for GPT-2s is to run.

    Raises ModelError where the device asked for is not there, WrongSettingsError for a dtype
    that this engine does not have.
    """
    chosen = _choose_device(device)
    if dtype == AUTO:
        return Placement(chosen, _default_dtype(chosen, own_bytes))
    if dtype == INT8:
        return _int8(chosen, own_bytes)
    if dtype not in _DTYPES:
        raise WrongSettingsError(
            "DTYPE is {value}: use auto, float32, bfloat16 or int8.", value=dtype
        )
    return Placement(chosen, _DTYPES[dtype])


def available_bytes(device: torch.device) -> int | None:
    """Free memory of `device` in bytes, or None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    limits = [limit for limit in (_system_bytes(), _cgroup_bytes()) if limit is not None]
    return min(limits, default=None)


def name_of(device: torch.device) -> str:
    """The device as its owner knows it."""
    if device.type != "cuda":
        return device.type
    return f"{device.type} ({torch.cuda.get_device_name(device)})"


def _choose_device(device: str) -> torch.device:
    if device == AUTO:
        has_cuda = torch.cuda.is_available()
        device = "cuda" if has_cuda else "mps" if torch.backends.mps.is_available() else "cpu"
    if device not in ("cpu", "cuda", "mps"):
        raise WrongSettingsError("DEVICE is {value}: use auto, cpu, cuda or mps.", value=device)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "DEVICE is cuda, but torch sees no CUDA device here: install a driver and a torch with "
            "CUDA, or set DEVICE=auto."
        )
    if device == "mps" and not torch.backends.mps.is_available():
        raise ModelError("DEVICE is mps, but this machine has no Metal device: set DEVICE=auto.")
    if device == "cuda":
        return torch.device(device, torch.cuda.current_device())
    return torch.device(device)


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 by itself; elsewhere it is slower than float32."""
    if not has_onednn():
        return False
    tell = getattr(torch.cpu, "get_capabilities", dict)  # older torches cannot tell
    known: Mapping[str, object] = tell()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _int8(device: torch.device, own_bytes: int) -> Placement:
    if not own_bytes:
        raise WrongSettingsError(
            "DTYPE is int8, which works with GPT-2s such as DialoGPT only, and MODEL is another "
            "kind of model: set DTYPE=auto."
        )
    if device.type != "cpu":
        raise WrongSettingsError(
            "DTYPE is int8, which is for processors only, and the model would run on {device}: "
            "set DTYPE=auto, or DEVICE=cpu.",
            device=device.type,
        )
    if not can_quantise():
        raise WrongSettingsError(
            "DTYPE is int8, but this processor does not multiply 8-bit numbers (VNNI): set "
            "DTYPE=auto."
        )
    dtype = torch.bfloat16 if has_fast_bfloat16() else torch.float32
    return Placement(device, dtype, is_int8=True)


def _default_dtype(device: torch.device, own_bytes: int) -> torch.dtype:
    # float16 overflows in GPT-2's attention; transformers gains nothing from a processor's bfloat16
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    if device.type == "cpu" and own_bytes >= LARGE_BYTES and has_fast_bfloat16():
        return torch.bfloat16
    return torch.float32


def _system_bytes() -> int | None:
    if not _MEMINFO.is_file():
        return None
    lines = (line.split() for line in _MEMINFO.read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), None)


def _cgroup_bytes() -> int | None:
    """What a container's limit leaves; the page cache it holds counts as free."""
    limit, used, parts = (_CGROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    if not limit.is_file() or not used.is_file() or not parts.is_file():
        return None
    if (text := limit.read_text().strip()) == "max":
        return None
    lines = (line.split() for line in parts.read_text().splitlines())
    cached = next((int(words[1]) for words in lines if words[0] == "inactive_file"), 0)
    return max(int(text) - int(used.read_text()) + cached, 0)


_PACKED_DTYPES = (torch.float32, torch.bfloat16)


def can_quantise() -> bool:
    """Whether this processor multiplies 8-bit numbers without losing any (VNNI)."""
    # others add pairs in 16 bits, which overflow: fast, and silently wrong
    knows_vnni = getattr(torch.cpu, "_is_vnni_supported", lambda: False)  # it has no public name
    return has_onednn() and bool(knows_vnni())


def has_onednn() -> bool:
    """Whether torch was built with oneDNN, whose layouts and formats are used here."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]  # torch has no types here


def can_pack(dtype: torch.dtype) -> bool:
    """Whether a processor's matrices of this dtype get oneDNN's own layout, which is a copy."""
    return dtype in _PACKED_DTYPES and has_onednn()
