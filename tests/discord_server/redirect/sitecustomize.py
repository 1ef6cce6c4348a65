"""Turns discord.py in this process towards the server at DISCORD_TEST_URL.

Python imports this file at start-up when its folder is on PYTHONPATH. It imports nothing of
discord.py itself: it waits for the modules that hold an address, and changes each as soon as
the program has imported it. A connection to anywhere but the loopback is refused, and noted in
the file DISCORD_TEST_STRAYS.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _Patching(Loader):
    """A module's own loader, and one assignment after it."""

    def __init__(self, loader: Loader, holder: str, attribute: str, address: str) -> None:
        self._loader = loader
        self._holder = holder
        self._attribute = attribute
        self._address = address

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            # From here on the module looks as if nobody had stood between.
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        holder = getattr(module, self._holder)
        kind = type(getattr(holder, self._attribute))
        setattr(holder, self._attribute, kind(self._address))


class _Redirecting(MetaPathFinder):
    """Finds the modules that hold an address; leaves all others to the rest of the path."""

    def __init__(self, base: str) -> None:
        self._addresses = {
            "discord.http": ("Route", "BASE", f"{base}/api/v10"),
            "discord.gateway": (
                "DiscordWebSocket",
                "DEFAULT_GATEWAY",
                f"{base.replace('http', 'ws', 1)}/socket",
            ),
            "discord.asset": ("Asset", "BASE", f"{base}/cdn"),
        }

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in self._addresses:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Patching(spec.loader, *self._addresses[fullname])
        return spec


class _StayAtHome:
    """An audit hook that refuses to leave the loopback."""

    def __init__(self, strays: str | None) -> None:
        self._strays = strays

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect":
            address = arguments[1]
            host = address[0] if isinstance(address, tuple) else None
        elif event == "socket.getaddrinfo":
            host = arguments[0]
        else:
            return
        if not isinstance(host, str) or host in _LOOPBACK:
            return
        if self._strays is not None:
            with Path(self._strays).open("a", encoding="utf-8") as notes:
                notes.write(f"{event} {host}\n")
        raise OSError(errno.ENETUNREACH, f"a test reaches only the loopback, not {host}")


if "DISCORD_TEST_URL" in os.environ:
    sys.meta_path.insert(0, _Redirecting(os.environ["DISCORD_TEST_URL"]))
    sys.addaudithook(_StayAtHome(os.environ.get("DISCORD_TEST_STRAYS")))
