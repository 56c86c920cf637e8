"""Encryption at rest of what opens other systems, with keys that can be changed without losing what is stored.

AES-256-GCM. A sealed text carries the id of its key and is bound to what it is about: copied to another row it does
not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.sdk.errors import DefinitionError

KEY_BYTES = 32
_NONCE_BYTES = 12
_HOW_TO = "make a key with `masthead connectors keygen` and set MASTHEAD_SECRET_KEY to it for every process"


class SecretKeyError(DefinitionError):
    """MASTHEAD_SECRET_KEY is missing, wrong, or not the one with which something was stored. Names no key."""


class Sealed(NamedTuple):
    """An encrypted text, and which key opens it."""

    key_id: str
    ciphertext: bytes


def new_key() -> str:
    """A new key, as MASTHEAD_SECRET_KEY takes it."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


class Encryption:
    """The keys of one process: the first encrypts, all decrypt. Without a key nothing can be sealed or opened."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}

    @classmethod
    def of(cls, setting: str | None) -> Encryption:
        """From MASTHEAD_SECRET_KEY: one key in base64, or several with commas between them, the newest first.

        Raises SecretKeyError saying which of them is wrong, and how; never what was given.
        """
        parts = [part.strip() for part in (setting or "").split(",")]
        return cls([_decoded(part, place) for place, part in enumerate(parts, 1) if part])

    @property
    def key_id(self) -> str | None:
        """The id of the key that encrypts, None without one."""
        return next(iter(self._ciphers), None)

    def require(self) -> None:
        """Raises SecretKeyError when nothing could be sealed: to be asked before a token is fetched."""
        if not self._ciphers:
            raise SecretKeyError(f"a token cannot be stored without MASTHEAD_SECRET_KEY: {_HOW_TO}")

    def seal(self, text: str, about: str) -> Sealed:
        """`text` encrypted, bound to `about`. Raises SecretKeyError without a key."""
        self.require()
        key_id, cipher = next(iter(self._ciphers.items()))
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(key_id, nonce + cipher.encrypt(nonce, text.encode(), about.encode()))

    def open(self, sealed: Sealed, about: str) -> str:
        """The text that was sealed about `about`. Raises SecretKeyError when no key opens it."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise SecretKeyError(
                f"the token of {about} is stored with the key {sealed.key_id}, which MASTHEAD_SECRET_KEY does not "
                "hold: add that key behind the first one, or authorise the connection anew"
            )
        nonce, data = sealed.ciphertext[:_NONCE_BYTES], sealed.ciphertext[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, data, about.encode()).decode()
        except InvalidTag:
            raise SecretKeyError(
                f"the token of {about} has been changed since it was stored: authorise the connection anew"
            ) from None


def _decoded(part: str, place: int) -> bytes:
    try:
        key = base64.b64decode(part.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SecretKeyError(
            f"key {place} of MASTHEAD_SECRET_KEY is not {KEY_BYTES} bytes in base64: {_HOW_TO}"
        )
    return key


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"masthead key id" + key).hexdigest()[:12]
