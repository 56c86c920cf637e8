from __future__ import annotations

from datetime import timedelta

import masthead.sdk as sdk
from masthead.sdk import Field, Key, TaxDocument, TaxOrder, TaxQuote, TaxRefund, TaxVoid, native


class AcmeConfig(sdk.Config):
    base_url: str = Field(description="Where Acme's API is")
    api_key: sdk.Secret = Field(description="Where the API key is")


class Acme(sdk.Connector[AcmeConfig], sdk.TaxEngine):
    name = "acme"
    http = sdk.Http(auth=sdk.ApiKey("api_key", header="X-Key"), key_header="Idempotency-Key")

    async def health(self) -> sdk.Health:
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
        found: TaxDocument | None = await self.http.post(
            "/tax/find", json={"code": code}, into=TaxDocument | None
        )
        return found
