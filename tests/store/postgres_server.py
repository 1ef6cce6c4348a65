"""A PostgreSQL server of the tests' own, on a Unix socket in a folder that goes away."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

USER = "banter"
START_SECONDS = 20.0
# The server runs until our end of the pipe closes: also when the tests are killed.
UNTIL_CLOSED = '"$@" & read _; kill -INT $!; wait'


def find_binary(name: str) -> str | None:
    """A program of PostgreSQL: on the PATH, or where Debian keeps it."""
    found = shutil.which(name)
    if found:
        return found
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(installed[-1]) if installed else None


@contextmanager
def running_server(initdb: str, postgres: str) -> Iterator[str]:
    """Start a server and yield its address without a database's name."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has 107 bytes at most
    owner = _unprivileged_owner(folder)
    cluster = folder / "cluster"
    subprocess.run(
        [initdb, "-D", cluster, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N"],
        user=owner,
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["/bin/sh", "-c", UNTIL_CLOSED, "sh", postgres, "-D", cluster, "-k", folder,
             "-c", "listen_addresses=", "-F"],
            user=owner, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait_for(folder)
        yield f"postgresql+asyncpg://{USER}@/postgres?host={folder}"
    finally:
        server.communicate()
        shutil.rmtree(folder)


def _unprivileged_owner(folder: Path) -> int | None:
    """PostgreSQL refuses to run as root; there the folder goes to another user."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    owner = names.get("postgres", names["nobody"])
    os.chown(folder, owner, -1)
    return owner


def _wait_for(folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not asyncio.run(_answers(folder)):
        if time.monotonic() > deadline:
            raise RuntimeError((folder / "log").read_text())


async def _answers(folder: Path) -> bool:
    try:
        connection = await asyncpg.connect(host=str(folder), user=USER, database="postgres")
    except (OSError, asyncpg.PostgresError):
        await asyncio.sleep(0.05)  # the server has no way to call us
        return False
    await connection.close()
    return True
