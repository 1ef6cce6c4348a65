"""A small model hub on loopback: what huggingface_hub asks for, with faults on demand."""

import hashlib
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

BLOCK = 2**16


@dataclass
class Faults:
    """What goes wrong, by file name.

    `truncated`: only half of the file is there, though its size is told right. `longer`: a megabyte
    comes after its end. `misnumbered`: a header tells another size. `corrupted`: one bit is
    flipped. `dropped`: how many times the connection breaks half way; `reset`: not with its end
    but with a reset. `statuses`: answered with this status. `before_serving`: called with the
    file's name before each file.
    """

    truncated: set[str] = field(default_factory=set)
    longer: set[str] = field(default_factory=set)
    misnumbered: set[str] = field(default_factory=set)
    corrupted: set[str] = field(default_factory=set)
    dropped: dict[str, int] = field(default_factory=dict)
    reset: bool = False
    statuses: dict[str, int] = field(default_factory=dict)
    gated: bool = False
    nonsense: bool = False
    before_serving: Callable[[str], None] | None = None


class LoopbackHub:
    """Serves folders as repositories: `add` one, then use `url` as HF_ENDPOINT.

    Files above 1 MB count as LFS files: they have a SHA-256 and are served through a redirect to
    another host name, as the real hub does.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: list[str] = []
        self.authorised: set[str] = set()  # the kinds of requests that brought a token
        self.repositories: dict[str, tuple[str, Path]] = {}
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, model: str, folder: Path, *, commit: str = "a" * 40) -> None:
        self.repositories[model] = (commit, folder)

    def __enter__(self) -> "LoopbackHub":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        return Handler


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as given


def is_large(path: Path) -> bool:
    return path.stat().st_size > 2**20


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append(f"{self.command} {path}")
        words = path.split("/")
        kind = next((word for word in ("api", "resolve", "cdn") if word in words), "")
        if "Authorization" in self.headers:
            self.hub.authorised.add(kind)
        if words[:2] == ["api", "models"]:
            self._tell_model("/".join(words[2:4]), words[5] if len(words) > 5 else "main")
        elif "resolve" in words:
            at = words.index("resolve")
            self._resolve("/".join(words[:at]), words[at + 1], words[at + 2])
        elif words[0] == "cdn":
            self._serve(self.hub.repositories["/".join(words[1:3])][1] / words[3])
        else:
            self._fail(404, "EntryNotFound")

    def _find(self, model: str, revision: str) -> tuple[str, Path] | None:
        if self.hub.faults.gated:
            self._fail(403, "GatedRepo")
            return None
        if model not in self.hub.repositories:
            self._fail(401, "RepoNotFound")
            return None
        commit, folder = self.hub.repositories[model]
        if revision not in ("main", commit):
            self._fail(404, "RevisionNotFound")
            return None
        return commit, folder

    def _tell_model(self, model: str, revision: str) -> None:
        if self.hub.faults.nonsense:
            self._send(200, b"<html>welcome to this hotel</html>", {})
            return
        found = self._find(model, revision)
        if found is None:
            return
        commit, folder = found
        siblings = [_sibling(path) for path in sorted(folder.iterdir())]
        content = {"_id": "1", "id": model, "sha": commit, "siblings": siblings, "tags": []}
        body = json.dumps(content | {"private": False, "downloads": 0, "likes": 0}).encode()
        self._send(200, body, {"Content-Type": "application/json"})

    def _resolve(self, model: str, revision: str, name: str) -> None:
        found = self._find(model, revision)
        if found is None:
            return
        commit, folder = found
        path = folder / name
        if not path.is_file():
            self._fail(404, "EntryNotFound")
            return
        if self.hub.faults.before_serving is not None:
            self.hub.faults.before_serving(name)
        if name in self.hub.faults.statuses:
            self._fail(self.hub.faults.statuses[name], "")
            return
        if not is_large(path):
            self._serve(path, {"X-Repo-Commit": commit, "ETag": f'"{_git_sha1(path)}"'})
            return
        large = {
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{_sha256(path)}"',
            "X-Linked-Size": str(path.stat().st_size),
            "Location": f"http://localhost:{self.hub.port}/cdn/{model}/{name}",
        }
        self._send(302, b"", large)

    def _serve(self, path: Path, headers: dict[str, str] | None = None) -> None:
        faults, content = self.hub.faults, path.read_bytes()
        if path.name in faults.corrupted:
            content = content[:100] + bytes([content[100] ^ 1]) + content[101:]
        if path.name in faults.truncated:
            content = content[: len(content) // 2]
        if path.name in faults.longer:
            content += bytes(2**20)
        if path.name in faults.misnumbered:
            headers = {**(headers or {}), "Content-Range": f"bytes 0-9/{len(content) + 10}"}
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            self._fail(416, "")
            return
        kept = len(content)
        if faults.dropped.get(path.name, 0) > 0:
            faults.dropped[path.name] -= 1
            kept = start + (len(content) - start) // 2
        self._send(
            206 if start else 200, content[start:], headers or {}, num_sent=max(kept - start, 0)
        )

    def _fail(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code} if code else {})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], num_sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:num_sent])
        if num_sent is not None and num_sent < len(body):
            self.close_connection = True
            if self.hub.faults.reset:
                at_once = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                self.connection.close()


def _sibling(path: Path) -> dict[str, object]:
    size = path.stat().st_size
    sibling: dict[str, object] = {"rfilename": path.name, "size": size, "blobId": _git_sha1(path)}
    if is_large(path):
        sibling["lfs"] = {"size": size, "sha256": _sha256(path), "pointerSize": 134}
    return sibling


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_sha1(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
