"""The real bot as a child process, turned towards a test's server."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.discord_server.server import DiscordServer

REPOSITORY = Path(__file__).resolve().parents[2]
REDIRECT = Path(__file__).resolve().parent / "redirect"
# What the child keeps of our environment; everything else would be an untold setting.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended, and how long that took; a signal's exit code is negative."""

    exit_code: int
    seconds: float


class BotProcess:
    """One child; stdout and stderr go to files in its folder.

    `async with await BotProcess.start(server, folder=tmp_path) as bot:` leaves none behind.
    """

    def __init__(self, server: DiscordServer, child: asyncio.subprocess.Process, folder: Path):
        self._server = server
        self._child = child
        self.folder = folder

    @classmethod
    async def start(
        cls,
        server: DiscordServer,
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = ("-m", "bot"),
    ) -> "BotProcess":
        """Run `python -m bot` in `folder` with the server's token; `env` adds and replaces."""
        with (folder / "stdout").open("ab") as stdout, (folder / "stderr").open("ab") as stderr:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                cwd=folder,
                env={**child_environment(server, folder), **(env or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return cls(server, child, folder)

    async def __aenter__(self) -> "BotProcess":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Whatever the test did, nothing of it goes on running."""
        if self.running:
            await self.kill()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.returncode is None

    @property
    def stdout(self) -> str:
        """What all children in this folder have printed."""
        return (self.folder / "stdout").read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What all children in this folder have logged."""
        return (self.folder / "stderr").read_text(encoding="utf-8", errors="replace")

    @property
    def strays(self) -> list[str]:
        """Attempts to reach something that is not on the loopback."""
        noted = self.folder / "strays"
        return noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []

    async def ready(self, *, number: int = 1, timeout: float = 60.0) -> None:
        """Until the server has seen the `number`-th READY; fails at once when the child ends."""
        ready = asyncio.create_task(self._server.wait_ready(number, timeout=timeout))
        ended = asyncio.create_task(self._child.wait())
        done, pending = await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if ready not in done:
            raise AssertionError(
                f"the bot ended with {ended.result()} before it was ready:\n{self.stderr[-4000:]}"
            )
        await ready

    async def terminate(self, *, timeout: float = 30.0) -> Ended:
        """Send SIGTERM and wait."""
        return await self.send(signal.SIGTERM, timeout=timeout)

    async def kill(self) -> Ended:
        """Send SIGKILL and wait: what a crash or the kernel's memory killer does."""
        return await self.send(signal.SIGKILL)

    async def send(self, number: signal.Signals, *, timeout: float = 30.0) -> Ended:
        """Send a signal and wait for the end."""
        if self.running:
            self._child.send_signal(number)
        return await self.ended(timeout=timeout)

    async def ended(self, *, timeout: float = 30.0) -> Ended:
        """Wait for the end; one that does not come is an error, and the child is killed."""
        began = time.monotonic()
        try:
            code = await asyncio.wait_for(self._child.wait(), timeout)
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
            raise AssertionError(
                f"the bot did not end within {timeout} s:\n{self.stderr[-4000:]}"
            ) from None
        return Ended(code, time.monotonic() - began)


def child_environment(server: DiscordServer, folder: Path) -> dict[str, str]:
    """The environment that makes a child meet this server and nothing else."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(REDIRECT), str(REPOSITORY)]),
        "PYTHONUNBUFFERED": "1",
        "DISCORD_TEST_URL": server.url,
        "DISCORD_TEST_STRAYS": str(folder / "strays"),
        "DISCORD_TOKEN": server.token,
        "HF_HUB_OFFLINE": "1",
    }
