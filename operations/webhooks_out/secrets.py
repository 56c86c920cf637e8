"""The secrets that messages are signed with: made here, shown once, and stored encrypted."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from typing import Protocol

from storage.webhooks_out import Destination

PREFIX = "whsec_"
BYTES = 32  # the specification asks for 24 to 64
BOTH_ACTIVE = timedelta(hours=24)


class SecretBox(Protocol):
    """Encryption with the key of this installation."""

    def seal(self, text: str) -> bytes:
        """`text`, encrypted."""
        ...

    def open(self, sealed: bytes) -> str:
        """What was sealed. Raises when the key is not the one."""
        ...


def new_secret() -> str:
    """A new signing secret, in the writing of the Standard Webhooks specification."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def active_secrets(box: SecretBox, at: Destination, now: datetime) -> tuple[str, ...]:
    """The secrets that sign at `now`: the endpoint's, and for 24 h after a rotation the one before."""
    found = [box.open(at.secret)]
    if at.previous_secret is not None and at.previous_secret_until is not None and now < at.previous_secret_until:
        found.append(box.open(at.previous_secret))
    return tuple(found)
