"""What a model hub offers, and its files, each checked against the hash that the hub names.

The hub is https://huggingface.co or what HF_ENDPOINT names; a token comes from HF_TOKEN or the
login of huggingface_hub. Both variables stand in the environment or in `.env`, as all others do.
Importing this module imports huggingface_hub (0.2 s).
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # loaded lazily

from bot.engine.checkpoints.checkpoint import is_commit
from bot.errors import ModelError, UnavailableError

_ATTEMPTS = 4
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the root of a repository: `size` in bytes, and the hash that the hub names.

    Of large files it is a SHA-256, of small ones git's own SHA-1 (of a header and the content).
    """

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository at one commit."""

    model: str
    commit: str
    files: dict[str, RemoteFile]


class Hub:
    """One model hub; `endpoint` and `token` None leave the choice to huggingface_hub.

    `patience` is how many seconds it may take to say what it holds.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._token = token
        self._patience = patience
        # it warns of each break, with the whole address; the error that a person is told is ours
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)

    def list_files(self, model: str, revision: str) -> Listing:
        """What `model` holds at `revision` (branch, tag or commit).

        Raises ModelError for what the hub does not have, UnavailableError when it is away.
        """
        with self._sentences(model, revision):
            found = HfApi(self.endpoint, token=self._token).model_info(
                model, revision=revision, files_metadata=True, timeout=self._patience
            )
        commit = found.sha or ""
        if not is_commit(commit):
            raise UnavailableError(
                "The hub {endpoint} names no commit for {model}: is HF_ENDPOINT right?",
                endpoint=self.endpoint,
                model=model,
            )
        files = [_remote_file(entry) for entry in found.siblings or []]
        return Listing(model, commit, {file.name: file for file in files if file is not None})

    def download(self, listing: Listing, file: RemoteFile, folder: Path) -> None:
        """Write `file` into `folder`; a progress bar goes to stderr where that is a terminal.

        A broken connection is taken up again where it broke. Raises ModelError for a file with
        another hash than the hub names, UnavailableError when the hub is away.
        """
        url = hf_hub_url(listing.model, file.name, revision=listing.commit, endpoint=self.endpoint)
        # a part of a compressed answer could not be asked for
        headers = build_hf_headers(token=self._token) | {"Accept-Encoding": "identity"}
        target = folder / file.name
        with (
            self._sentences(listing.model, listing.commit),
            _BoundedFile(FileIO(target, "w"), file) as written,
        ):
            _get(url, written, file, headers)
        if _digest(target, file) != file.digest:
            raise ModelError(
                "The file {file} of {model} has another hash than the hub names: it was damaged or "
                "changed on its way and is not used.",
                file=file.name,
                model=listing.model,
            )

    @contextmanager
    def _sentences(self, model: str, revision: str) -> Iterator[None]:
        try:
            yield
        except GatedRepoError as error:
            raise ModelError(
                "{model} asks for an agreement: accept its terms at {endpoint}/{model} and set "
                "HF_TOKEN.",
                model=model,
                endpoint=self.endpoint,
            ) from error
        except RepositoryNotFoundError as error:
            raise ModelError(
                "The hub {endpoint} has no model {model} that you may read: check the name, or set "
                "HF_TOKEN if it is private.",
                model=model,
                endpoint=self.endpoint,
            ) from error
        except RevisionNotFoundError as error:
            raise ModelError(
                "The model {model} has no revision {revision} on the hub {endpoint}.",
                model=model,
                revision=revision,
                endpoint=self.endpoint,
            ) from error
        except OfflineModeIsEnabled as error:
            raise UnavailableError("HF_HUB_OFFLINE is set: unset it to fetch a model.") from error
        except HfHubHTTPError as error:
            raise UnavailableError(
                "The hub {endpoint} answered with an error ({status}): please try again later.",
                endpoint=self.endpoint,
                status=error.response.status_code,
            ) from error
        # a hub that is none answers with something that is no JSON or lacks what it should hold
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
            raise UnavailableError(
                "The hub {endpoint} cannot be reached ({reason}): check the network, a proxy and "
                "HF_ENDPOINT.",
                endpoint=self.endpoint,
                reason=str(error) or type(error).__name__,
            ) from error


def _get(url: str, written: "_BoundedFile", file: RemoteFile, headers: dict[str, str]) -> None:
    """Write what `url` names; a broken connection is taken up again where it broke."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            http_get(
                url,
                written,
                resume_size=written.tell(),
                headers=headers,
                displayed_filename=file.name,
            )
            break
        except httpx2.ReadError:  # the one break after which http_get does not go on
            if written.tell() >= file.size:
                break
            if not attempts_left:
                raise
        except OSError as error:
            # http_get says so of a size that a header has told; the hash knows better
            if type(error) is not OSError or error.errno is not None:
                raise
            break


class _BoundedFile(BufferedWriter):
    """Refuses what is longer than the hub has named, before it fills the disk."""

    def __init__(self, raw: FileIO, file: RemoteFile) -> None:
        super().__init__(raw)
        self._file = file

    def write(self, content: Any) -> int:
        """Write `content`; raises ModelError where the file would become too long."""
        if self.tell() + len(content) > self._file.size:
            raise ModelError(
                "The file {file} of the model is longer than the hub has said: it is not used.",
                file=self._file.name,
            )
        return super().write(content)


def _remote_file(entry: RepoSibling) -> RemoteFile | None:
    """What the hub tells of a file; None for one in a folder or without size or hash."""
    digest = entry.lfs.sha256 if entry.lfs else entry.blob_id
    size = entry.lfs.size if entry.lfs else entry.size
    if "/" in entry.rfilename or size is None or not digest:
        return None
    return RemoteFile(entry.rfilename, size, digest)


def _digest(path: Path, file: RemoteFile) -> str:
    """The hash of the file at `path`, of the kind that the hub names for it."""
    digest = hashlib.sha256()
    if len(file.digest) != 2 * digest.digest_size:
        digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: digest).hexdigest()
