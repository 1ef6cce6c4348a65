"""What a model hub offers, and its files, each checked against the hash that the hub names.

The hub is https://huggingface.co or what HF_ENDPOINT names; a token comes from HF_TOKEN or the
login of huggingface_hub. Both variables stand in the environment or in `.env`, as all others do.
Importing this module imports huggingface_hub (0.2 s).
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # loaded lazily

from bot.engine.checkpoint import is_commit
from bot.env_file import ENV_FILE, read_variables
from bot.errors import ModelError, UnavailableError

_ATTEMPTS = 4
_TIMEOUT_SECONDS = 20.0
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the root of a repository: `size` in bytes, and one of its two hashes.

    Large files have a SHA-256; small ones only git's own SHA-1 (of a header and the content).
    """

    name: str
    size: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository at one commit."""

    model: str
    commit: str
    files: dict[str, RemoteFile]


class Hub:
    """One model hub; `retry_seconds` is the first pause after a broken connection, then doubled.

    `endpoint` and `token` None leave the choice to huggingface_hub. `patience` is how many seconds
    an answer may take.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        retry_seconds: float = 1.0,
        patience: float = _TIMEOUT_SECONDS,
    ) -> None:
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._token = token
        self._retry_seconds = retry_seconds
        self._patience = patience

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

    def download(
        self, listing: Listing, file: RemoteFile, target: Path, progress: Callable[[int], object]
    ) -> None:
        """Write `file` to `target`; `progress(num_bytes)` is called for every piece.

        A broken connection is taken up again where it broke. Raises ModelError for a file that
        stays incomplete or has another hash, UnavailableError when the hub is away.
        """
        with self._sentences(listing.model, listing.commit), target.open("w+b") as written:
            for attempt in range(_ATTEMPTS):
                if attempt:
                    time.sleep(self._retry_seconds * 2 ** (attempt - 1))
                self._continue(listing, file, written, progress, last=attempt == _ATTEMPTS - 1)
                if written.tell() == file.size:
                    break
            _check(listing, file, written)

    def _continue(
        self,
        listing: Listing,
        file: RemoteFile,
        written: BinaryIO,
        progress: Callable[[int], object],
        *,
        last: bool,
    ) -> None:
        """Append what is missing; a broken connection is an error only in the last attempt."""
        headers = build_hf_headers(token=self._token)
        headers["Accept-Encoding"] = "identity"  # sizes are the file's
        if written.tell():
            headers["Range"] = f"bytes={written.tell()}-"
        url = hf_hub_url(listing.model, file.name, revision=listing.commit, endpoint=self.endpoint)
        try:
            with get_session().stream(
                "GET", url, headers=headers, timeout=self._patience
            ) as response:
                if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # the hub's file ends before the size that it told
                hf_raise_for_status(response)
                if response.status_code != HTTPStatus.PARTIAL_CONTENT and written.tell():
                    progress(-written.tell())
                    written.seek(0)
                    written.truncate()
                for block in response.iter_bytes(_BLOCK):
                    written.write(block)
                    progress(len(block))
                    if written.tell() > file.size:
                        return
        except httpx2.TransportError:
            if last and not written.tell():
                raise

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


def chosen_hub(env_file: Path = ENV_FILE, *, patience: float = _TIMEOUT_SECONDS) -> Hub:
    """The hub that HF_ENDPOINT and HF_TOKEN name; the environment wins over `env_file`.

    Raises WrongSettingsError for a file that cannot be read.
    """
    written = read_variables(env_file)

    def chosen(name: str) -> str | None:
        return os.environ.get(name, "").strip() or written.get(name, "").strip() or None

    return Hub(chosen("HF_ENDPOINT"), token=chosen("HF_TOKEN"), patience=patience)


def _remote_file(entry: RepoSibling) -> RemoteFile | None:
    """What the hub tells of a file; None for one in a folder or without size or hash."""
    sha256 = entry.lfs.sha256 if entry.lfs else None
    size = entry.lfs.size if entry.lfs else entry.size
    if "/" in entry.rfilename or size is None or not (sha256 or entry.blob_id):
        return None
    return RemoteFile(entry.rfilename, size, sha256, entry.blob_id)


def _check(listing: Listing, file: RemoteFile, written: BinaryIO) -> None:
    if written.tell() != file.size:
        raise ModelError(
            "The file {file} of {model} did not arrive whole ({got} of {size} bytes): please fetch "
            "it again.",
            file=file.name,
            model=listing.model,
            got=written.tell(),
            size=file.size,
        )
    # git's hash is the only one that the hub names for small files
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(usedforsecurity=False)
    if not file.sha256:
        digest.update(b"blob %d\0" % file.size)
    written.seek(0)
    while block := written.read(_BLOCK):
        digest.update(block)
    if digest.hexdigest() != (file.sha256 or file.git_sha1):
        raise ModelError(
            "The file {file} of {model} has another hash than the hub names: it was damaged or "
            "changed on its way and is not used.",
            file=file.name,
            model=listing.model,
        )
