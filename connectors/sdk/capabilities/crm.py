"""Customers, catalog, opportunities, quotes and transactions in a sales system."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Page, RecordOutcome, Value


class CrmKind(StrEnum):
    """What a record is about."""

    CONTACT = "contact"
    COMPANY = "company"
    PRODUCT = "product"
    OPPORTUNITY = "opportunity"
    QUOTE = "quote"
    TRANSACTION = "transaction"


class CrmRecord(Value):
    """The current state of one record. key: our external key. fields: by the other system's field names, as a
    mapping made them; None clears a field. version: ours, so that an older state can be told."""

    kind: CrmKind
    key: str = Field(min_length=1, max_length=200)
    fields: dict[str, str | None] = Field(repr=False)
    version: int = 0


class CrmChange(Value):
    """What the other system says has changed on its side. key: our external key where it knows it."""

    kind: CrmKind
    vendor_id: str
    key: str | None = None
    fields: dict[str, str | None] = Field(default_factory=dict, repr=False)
    changed_at: datetime | None = None


class Crm(Capability):
    """A sales system. Batches answer per record: one bad record never fails its batch."""

    capability = "crm"

    @abstractmethod
    async def upsert(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        """Bring records to their current state, by external key; in the order given, any number."""

    @abstractmethod
    async def changes(self, kind: CrmKind, cursor: str | None) -> Page[CrmChange]:
        """What changed since `cursor` (None: from the beginning), oldest first."""

    @abstractmethod
    async def publish_catalog(self, products: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        """Bring the offered products to their current state."""
