"""Seals every stored text with AES-GCM, so that a copied database file gives no words away."""

import base64
import hashlib
import hmac
import logging
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OFF = "off"
_NONCE_BYTES = 12
_SALT_BYTES = 16
_PROOF = b"banter history key"

logger = logging.getLogger(__name__)


class Cipher:
    """Seals texts for the database and opens them again.

    A sealed text is a random nonce of 12 bytes, the ciphertext and its tag (NIST SP 800-38D).
    Empty text is stored as empty bytes, so that SQL can skip what is gone.
    Without a key the bytes are plain UTF-8.
    """

    def __init__(self, key: bytes | None) -> None:
        self._aead = None if key is None else AESGCM(key)

    def seal(self, text: str) -> bytes:
        """The bytes to store for `text`."""
        clear = text.encode(errors="replace")  # a lone surrogate has no UTF-8
        if not clear or self._aead is None:
            return clear
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, clear, None)

    def open(self, sealed: bytes) -> str:
        """The text of stored bytes; one damaged row reads as gone, and the log says so."""
        try:
            if not sealed or self._aead is None:
                return sealed.decode()
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError):
            logger.exception("A stored text is damaged and counts as deleted")
            return ""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the database keeps of its key: enough to know the right one, not to find it.

    `check` is an HMAC under the derived key; both are empty when encryption is off.
    """

    salt: bytes = b""
    check: bytes = b""

    @property
    def is_off(self) -> bool:
        """Whether the database holds its texts in clear."""
        return not self.check

    def __str__(self) -> str:
        if self.is_off:
            return OFF
        return ":".join(base64.b64encode(part).decode() for part in (self.salt, self.check))

    @staticmethod
    def parse(stored: str) -> "KeyRecord":
        """The record that `str` wrote."""
        if stored == OFF:
            return KeyRecord()
        salt, check = (base64.b64decode(part) for part in stored.split(":"))
        return KeyRecord(salt, check)


def new_lock(secret: str) -> tuple[Cipher, KeyRecord]:
    """A cipher for a new database, and the record to keep; `secret` OFF keeps texts in clear."""
    if secret == OFF:
        return Cipher(None), KeyRecord()
    salt = os.urandom(_SALT_BYTES)
    key = _derive(secret, salt)
    return Cipher(key), KeyRecord(salt, _check_of(key))


def matching_cipher(secret: str, record: KeyRecord) -> Cipher | None:
    """The cipher of the database that `record` comes from; None when `secret` is a wrong one."""
    if record.is_off or secret == OFF:
        return Cipher(None) if record.is_off and secret == OFF else None
    key = _derive(secret, record.salt)
    return Cipher(key) if hmac.compare_digest(_check_of(key), record.check) else None


def _derive(secret: str, salt: bytes) -> bytes:
    """The 32 bytes of the key, by scrypt (RFC 7914); it takes 16 MiB and some 50 ms."""
    # slow, since an owner may well choose a word as the key
    return hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)


def _check_of(key: bytes) -> bytes:
    """What the database keeps to know the key again."""
    return hmac.digest(key, _PROOF, "sha256")
