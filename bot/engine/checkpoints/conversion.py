"""Starts and watches `conversion_child`, the process that converts pickled weights."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bot.errors import ModelError

logger = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parent.parent.parent.parent
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")  # where programs and libraries are
_STDERR_CHARACTERS = 2000  # of a crashed child, for the log


def convert(folder: Path) -> None:
    """Convert the checkpoint in `folder` in a process of its own, with a progress bar.

    The process gets a bare environment: no tokens, no proxies, no home.
    Raises ModelError: refused, damaged, does not fit its config, too little memory, full disk.
    """
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(  # noqa: S603  # our own module, no shell
            [
                sys.executable,
                "-m",
                "bot.engine.checkpoints.conversion_child",
                str(folder.resolve()),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=home,
            env=_bare_environment(home),
            text=True,
        ) as child:
            try:
                failure = _read_reports(child)
            except BaseException:
                child.kill()
                raise
        if failure is not None:
            raise failure
        if child.returncode:
            errors.seek(0)
            logger.error("the conversion crashed: %s", errors.read()[-_STDERR_CHARACTERS:])
            raise ModelError(
                "The conversion of the model ended unexpectedly (code {code}): there may be too "
                "little memory.",
                code=child.returncode,
            )


def _read_reports(child: "subprocess.Popen[str]") -> ModelError | None:
    """Show what `child` has done until it ends; returns why it failed, if it says so."""
    failure = None
    with tqdm(desc="convert", total=0, unit="tensors") as bar:
        for line in child.stdout or ():
            report = _parse(line)
            if "sentence" in report:
                failure = ModelError(report["sentence"], **report["values"])
            elif "done" in report:
                bar.total = report["total"]
                bar.update(report["done"] - bar.n)
    return failure


def _parse(line: str) -> dict[str, Any]:
    """A report of the child's; empty where a library has something to say."""
    with suppress(ValueError):
        if isinstance(report := json.loads(line), dict):
            return report
    return {}


def _bare_environment(home: str) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {
        "HOME": home,
        "HF_HUB_OFFLINE": "1",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",  # copying is no faster with more, and the bot may need the cores
        "PYTHONPATH": str(_ROOT),
    }
