"""Connectors to the reference stand-in that do all as it should be, for others to be careless beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from masthead.sdk import (
    ApiKey,
    CaptureOrder,
    ChargeOrder,
    Config,
    Connector,
    Crm,
    CrmChange,
    CrmKind,
    CrmRecord,
    Drm,
    Field,
    Health,
    Http,
    Key,
    Licence,
    LicenceExtension,
    LicenceOrder,
    LicenceRevocation,
    Page,
    Payment,
    PaymentGateway,
    RecordOutcome,
    Refund,
    RefundOrder,
    Secret,
    TaxDocument,
    TaxEngine,
    TaxOrder,
    TaxQuote,
    TaxRefund,
    TaxVoid,
    VoidOrder,
    native,
)

DAY = timedelta(hours=24)


class ShopConfig(Config):
    base_url: str = Field(description="The address")
    api_key: Secret = Field(description="Where the key is")


class Careful(Connector[ShopConfig]):
    """What they have in common."""

    http: ClassVar[Http] = Http(auth=ApiKey("api_key", header="X-Key"), key_header="Idempotency-Key")

    async def health(self) -> Health:
        return await self.http.health("/health")


class Till(Careful, PaymentGateway):
    name = "till"

    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        return await self.taken(order, key)

    async def taken(self, order: ChargeOrder, key: Key) -> Payment:
        return await self.http.post("/payment/charge", json=order, key=key, into=Payment)

    @native(DAY)
    async def capture(self, order: CaptureOrder, key: Key) -> Payment:
        return await self.http.post("/payment/capture", json=order, key=key, into=Payment)

    @native(DAY)
    async def void(self, order: VoidOrder, key: Key) -> Payment:
        return await self.http.post("/payment/void", json=order, key=key, into=Payment)

    @native(DAY)
    async def refund(self, order: RefundOrder, key: Key) -> Refund:
        return await self.http.post("/payment/refund", json=order, key=key, into=Refund)

    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        found: Payment | None = await self.http.post(
            "/payment/find", json={"reference": reference}, into=Payment | None
        )
        return found


class Taxes(Careful, TaxEngine):
    name = "taxes"

    async def quote(self, order: TaxOrder) -> TaxQuote:
        return await self.http.post("/tax/quote", json=order, into=TaxQuote)

    @native(DAY)
    async def commit(self, order: TaxOrder, key: Key) -> TaxDocument:
        return await self.http.post("/tax/commit", json=order, key=key, into=TaxDocument)

    @native(DAY)
    async def refund(self, order: TaxRefund, key: Key) -> TaxDocument:
        return await self.http.post("/tax/refund", json=order, key=key, into=TaxDocument)

    @native(DAY)
    async def void(self, order: TaxVoid, key: Key) -> TaxDocument:
        return await self.http.post("/tax/void", json=order, key=key, into=TaxDocument)

    async def find(self, code: str) -> TaxDocument | None:
        found: TaxDocument | None = await self.http.post(
            "/tax/find", json={"code": code}, into=TaxDocument | None
        )
        return found


class Book(Careful, Crm):
    name = "book"

    @native(DAY)
    async def upsert(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        return await self.put(records, key)

    async def put(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        return await self.http.post("/crm/upsert", json=records, key=key, into=list[RecordOutcome])

    async def changes(self, kind: CrmKind, cursor: str | None) -> Page[CrmChange]:
        return await self.page(kind, cursor)

    async def page(self, kind: CrmKind, cursor: str | None) -> Page[CrmChange]:
        asked: Any = {"kind": kind, "cursor": cursor}
        return await self.http.get("/crm/changes", params=asked, into=Page[CrmChange])

    @native(DAY)
    async def publish_catalog(self, products: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        return await self.http.post("/crm/publish_catalog", json=products, key=key, into=list[RecordOutcome])


class Licences(Careful, Drm):
    name = "licences"

    @native(DAY)
    async def grant(self, order: LicenceOrder, key: Key) -> Licence:
        return await self.given(order, key)

    async def given(self, order: LicenceOrder, key: Key) -> Licence:
        return await self.http.post("/drm/grant", json=order, key=key, into=Licence)

    @native(DAY)
    async def extend(self, extension: LicenceExtension, key: Key) -> Licence:
        return await self.http.post("/drm/extend", json=extension, key=key, into=Licence)

    @native(DAY)
    async def revoke(self, revocation: LicenceRevocation, key: Key) -> Licence:
        return await self.http.post("/drm/revoke", json=revocation, key=key, into=Licence)

    async def status(self, reference: str) -> Licence | None:
        found: Licence | None = await self.http.post(
            "/drm/status", json={"reference": reference}, into=Licence | None
        )
        return found
