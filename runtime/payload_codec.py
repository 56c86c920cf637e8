"""Encryption of what Temporal stores: inputs, results, signals and summaries, under one setting, MASTHEAD_PAYLOAD_KEY.

AES-256-GCM, with the id of its key on each payload: the newest key encrypts, every key of the setting decrypts. What
was stored before there was a key is read as it is, so that encryption can be turned on while workflows are open. Search
attributes are never encrypted, since Temporal searches by them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from runtime.settings import SettingsError

VARIABLE = "MASTHEAD_PAYLOAD_KEY"
ENCRYPTED = b"binary/encrypted"
KEY_ID = "masthead-key-id"
KEY_BYTES = 32
_NONCE_BYTES = 12
_HOW_TO = f"make one with `masthead connectors keygen`, and give every process the same {VARIABLE}"


class PayloadKeyError(SettingsError):
    """MASTHEAD_PAYLOAD_KEY is wrong, or does not hold the key with which something was encrypted. Names no key."""


class PayloadEncryption(PayloadCodec):
    """The keys of one process, the first of which encrypts. Without any, payloads go out as they are."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}

    @classmethod
    def of(cls, setting: str | None) -> PayloadEncryption:
        """From the setting: one key in base64, or several with commas between them, the newest first. Raises
        PayloadKeyError saying which of them is wrong; never what was given."""
        parts = [part.strip() for part in (setting or "").split(",")]
        return cls([_decoded(part, place) for place, part in enumerate(parts, 1) if part])

    @property
    def key_id(self) -> str | None:
        """The id of the key that encrypts, None without one."""
        return next(iter(self._ciphers), None)

    def encrypt(self, payload: Payload) -> Payload:
        """The payload with its metadata, encrypted; as it is without a key, or where it is encrypted already."""
        if not self._ciphers or _encrypted(payload):
            return payload
        key_id, cipher = next(iter(self._ciphers.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = cipher.encrypt(nonce, payload.SerializeToString(), key_id.encode())
        return Payload(metadata={"encoding": ENCRYPTED, KEY_ID: key_id.encode()}, data=nonce + sealed)

    def decrypt(self, payload: Payload) -> Payload:
        """The payload that was encrypted; any other as it is. Raises PayloadKeyError."""
        if not _encrypted(payload):
            return payload
        key_id = payload.metadata.get(KEY_ID, b"").decode(errors="replace")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            held = "does not hold: add it behind the first one" if self._ciphers else "is not set to"
            raise PayloadKeyError(
                f"a payload in Temporal is encrypted with the key {key_id or '?'}, which {VARIABLE} {held}"
            )
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, key_id.encode()))
        except (InvalidTag, ValueError):
            raise PayloadKeyError(
                f"a payload in Temporal that the key {key_id} encrypted has been changed since, or cut off"
            ) from None

    async def encode(self, payloads: Iterable[Payload]) -> list[Payload]:
        """For the SDK."""
        return [self.encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Iterable[Payload]) -> list[Payload]:
        """For the SDK. Raises PayloadKeyError."""
        return [self.decrypt(payload) for payload in payloads]


def _encrypted(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCRYPTED


def _decoded(part: str, place: int) -> bytes:
    try:
        key = base64.b64decode(part.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise PayloadKeyError(f"{VARIABLE}: key {place} is not {KEY_BYTES} bytes in base64; {_HOW_TO}")
    return key


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"masthead payload key id" + key).hexdigest()[:12]
