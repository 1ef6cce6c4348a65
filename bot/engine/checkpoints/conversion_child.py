"""The process that opens a pickled checkpoint and writes it as safetensors, cut off from the rest.

`python -m bot.engine.checkpoints.conversion_child FOLDER PARENT_ID`

A pickle can carry a program, so it is opened where little can be done: no network, no secrets in
the environment (the parent hands over almost none), limits on memory, time, files and their size.
It reports to its parent on stdout, one JSON object a line: {"done": 1, "total": 300} or, at the
end of a failure, {"sentence": "...", "values": {...}}.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from bot.engine.checkpoints.checkpoint import PICKLED_WEIGHTS
from bot.engine.checkpoints.disk import full_disk_error, is_full_disk
from bot.engine.checkpoints.pickle_check import check_pickles
from bot.errors import EXIT_UNAVAILABLE, ModelError

_GIB = 2**30
_BASE_MEMORY = 32 * _GIB  # address space: torch's libraries alone map several
_MAX_CPU_SECONDS = 1800
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
# what a program in a pickle would want, by the names of Python's audit events
_FORBIDDEN = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"}
    | {"subprocess.Popen", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"}
)


def main(arguments: list[str]) -> int:
    """Convert the checkpoint in a folder for the process that has an id; returns the exit code."""
    folder = Path(arguments[0])
    end_with(int(arguments[1]))
    try:
        check_pickles(folder / PICKLED_WEIGHTS)
        _limit_resources((folder / PICKLED_WEIGHTS).stat().st_size)
        # heavy, and only after the limits are set
        from bot.engine.checkpoints.weights import convert_weights  # noqa: PLC0415

        sys.addaudithook(_refuse)
        convert_weights(folder, lambda done, total: _report({"done": done, "total": total}))
    except ModelError as error:
        failure = error
    except MemoryError:
        failure = ModelError("There is too little memory to convert the model.")
    except Exception as error:
        if not is_full_disk(error):
            raise
        failure = full_disk_error()
    else:
        return 0
    values = {name: str(value) for name, value in failure.values.items()}
    _report({"sentence": failure.sentence, "values": values})
    return EXIT_UNAVAILABLE


def end_with(parent_id: int) -> None:
    """Have Linux kill this process when the one that started it is gone, however it went."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_id:
        sys.exit(EXIT_UNAVAILABLE)  # it is gone already


def leave_the_network() -> bool:
    """Put this process into an empty network of its own where Linux allows; False if it did not.

    Has to come before the first thread.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(
        libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET)
    )


def _limit_resources(size: int) -> None:
    leave_the_network()
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  # there is none on Windows

    limits = {
        resource.RLIMIT_AS: _BASE_MEMORY + 4 * size,
        resource.RLIMIT_CPU: _MAX_CPU_SECONDS,
        resource.RLIMIT_FSIZE: 2 * size + _GIB,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (allowed, allowed))


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(event)


def _report(report: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(report) + os.linesep)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
