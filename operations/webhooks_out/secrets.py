"""The secrets that messages are signed with: made here, shown once, and stored encrypted, bound to their endpoint."""

from __future__ import annotations

import base64
import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from contracts.names import webhook_delivery_id
from storage.encryption import Encryption, Sealed, SecretKeyError
from storage.webhooks_out import Destination

PREFIX = "whsec_"
BYTES = 32  # the specification asks for 24 to 64
BOTH_ACTIVE = timedelta(hours=24)


def new_secret() -> str:
    """A new signing secret, in the writing of the Standard Webhooks specification."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def sealed(encryption: Encryption, secret: str, endpoint_id: str) -> bytes:
    """`secret` as the endpoint's row keeps it: the key's id, a colon, the ciphertext. Raises SecretKeyError."""
    key_id, ciphertext = encryption.seal(secret, webhook_delivery_id(endpoint_id))
    return key_id.encode() + b":" + ciphertext


def active_secrets(
    encryption: Encryption, endpoint_id: str, at: Destination, now: datetime
) -> tuple[str, ...]:
    """The secrets that sign at `now`: the endpoint's, and for 24 h after a rotation the one before; that one is left
    out where its key is lost. Raises SecretKeyError when this process cannot open the endpoint's."""
    found = [_opened(encryption, at.secret, endpoint_id)]
    if (
        at.previous_secret is not None
        and at.previous_secret_until is not None
        and now < at.previous_secret_until
    ):
        with suppress(SecretKeyError):
            found.append(_opened(encryption, at.previous_secret, endpoint_id))
    return tuple(found)


def _opened(encryption: Encryption, stored: bytes, endpoint_id: str) -> str:
    key_id, _, ciphertext = stored.partition(b":")
    try:
        return encryption.open(Sealed(key_id.decode(), ciphertext), webhook_delivery_id(endpoint_id))
    except SecretKeyError:
        raise SecretKeyError(
            f"the signing secret of webhook endpoint {endpoint_id} cannot be opened with MASTHEAD_SECRET_KEY: add the "
            f"key {key_id.decode()} behind the first one, or make a new secret with `masthead webhooks rotate-secret`"
        ) from None
