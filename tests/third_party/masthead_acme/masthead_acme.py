from __future__ import annotations

from datetime import timedelta

from masthead.sdk import ApiKey, Config, Connector, Field, Health, Http, Key, Secret, TaxDocument, TaxEngine
from masthead.sdk import TaxOrder, TaxQuote, TaxRefund, TaxVoid, native  # isort: skip


class AcmeConfig(Config):
    base_url: str = Field(description="Where Acme's API is")
    api_key: Secret = Field(description="Where the API key is")


class Acme(Connector[AcmeConfig], TaxEngine):
    name = "acme"
    http = Http(auth=ApiKey("api_key", header="X-Key"), key_header="Idempotency-Key")

    async def health(self) -> Health:
        return await self.http.health("/health")

    async def quote(self, order: TaxOrder) -> TaxQuote:
        return await self.http.post("/tax/quote", json=order, into=TaxQuote)

    @native(timedelta(hours=24))
    async def commit(self, order: TaxOrder, key: Key) -> TaxDocument:
        return await self.http.post("/tax/commit", json=order, key=key, into=TaxDocument)

    @native(timedelta(hours=24))
    async def refund(self, order: TaxRefund, key: Key) -> TaxDocument:
        return await self.http.post("/tax/refund", json=order, key=key, into=TaxDocument)

    @native(timedelta(hours=24))
    async def void(self, order: TaxVoid, key: Key) -> TaxDocument:
        return await self.http.post("/tax/void", json=order, key=key, into=TaxDocument)

    async def find(self, code: str) -> TaxDocument | None:
        found: TaxDocument | None = await self.http.post("/tax/find", json={"code": code}, into=TaxDocument | None)
        return found
