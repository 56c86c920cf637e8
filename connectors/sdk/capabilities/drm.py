"""Licences for protected content."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Value


class LicenceStatus(StrEnum):
    """Where a licence stands."""

    READY = "ready"
    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"


class LicenceOrder(Value):
    """A licence for one reader and one title. reference: our own id. until: never beyond what access is given
    for. devices: on how many at a time; None: no limit."""

    reference: str = Field(min_length=1, max_length=100)
    content: str
    reader: str
    starts_at: datetime
    until: datetime
    hint: str = ""
    devices: int | None = Field(default=None, ge=1)
    passphrase_hash: str | None = Field(default=None, repr=False)


class Licence(Value):
    """A licence as the other system has it. token: what the reader's device is given, where there is one."""

    id: str
    reference: str
    status: LicenceStatus
    until: datetime
    token: str | None = Field(default=None, repr=False)


class LicenceExtension(Value):
    """Move the end of a licence."""

    licence: str
    until: datetime


class LicenceRevocation(Value):
    """End a licence."""

    licence: str


class Drm(Capability):
    """Digital rights management."""

    capability = "drm"

    @abstractmethod
    async def grant(self, order: LicenceOrder, key: Key) -> Licence:
        """Give a licence."""

    @abstractmethod
    async def extend(self, extension: LicenceExtension, key: Key) -> Licence:
        """Move its end."""

    @abstractmethod
    async def revoke(self, revocation: LicenceRevocation, key: Key) -> Licence:
        """End it; one that has ended is answered as it is."""

    @abstractmethod
    async def status(self, reference: str) -> Licence | None:
        """The licence with our reference; None when there is none."""
