"""Records in HubSpot through its own generated SDK, which blocks: calls run in a thread, requests on our way out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from hubspot import HubSpot as Sdk  # type: ignore[import-untyped]
from hubspot.crm.objects import (  # type: ignore[import-untyped]
    ApiException,
    BatchInputSimplePublicObjectBatchInputUpsert,
    SimplePublicObjectBatchInputUpsert,
)

from connectors.hubspot import objects
from connectors.hubspot.config import HubSpotConfig
from connectors.sdk.auth import Auth, Bearer, Credentials
from connectors.sdk.bridges.threads import in_thread
from connectors.sdk.bridges.urllib3_pool import Urllib3Pool
from connectors.sdk.capabilities.crm import Crm, CrmChange, CrmKind, CrmRecord
from connectors.sdk.connector import SANDBOX_SECRET, Connector
from connectors.sdk.error_table import on
from connectors.sdk.errors import ConnectorError, RateLimited, Rejected, Unknown
from connectors.sdk.http import Http
from connectors.sdk.idempotency import native
from connectors.sdk.key import Key
from connectors.sdk.oauth import OAuth2Refresh
from connectors.sdk.ports import Rate
from connectors.sdk.values import Health, Page, RecordOutcome

_REFUSED = 400

_TOKENS = OAuth2Refresh(
    token_url=lambda connector: f"{connector.config.base_url}/oauth/v1/token",
    client_id="client_id",
    client_secret="client_secret",  # noqa: S106 (a field's name)
)


@dataclass(frozen=True, slots=True)
class TokenOrClient(Auth):
    """A private app's token where there is one, else OAuth."""

    def bind(self, connector: Connector[Any]) -> Credentials:
        """The credentials of an instance."""
        if connector.config.access_token is not None:
            return Bearer("access_token").bind(connector)
        return _TOKENS.bind(connector)


class HubSpot(Connector[HubSpotConfig], Crm):
    """One HubSpot account. A record is found by a unique property of ours, so a second upsert is the same record."""

    name = "hubspot"
    title = "HubSpot"
    webhooks = "hubspot"
    webhook_example = (
        b'[{"eventId":1,"subscriptionId":12,"portalId":62515,"occurredAt":1793620800000,'
        b'"subscriptionType":"contact.propertyChange","objectId":1246965,"propertyName":"email","attemptNumber":0}]'
    )
    http = Http(
        auth=TokenOrClient(),
        rate=Rate(100, per=10),
        errors=[
            # Both come as 429: one passes within seconds, the other at midnight.
            on(
                429,
                RateLimited,
                when="policyName == 'DAILY'",
                code="policyName",
                message="message",
                after=timedelta(hours=1),
            ),
            on(429, RateLimited, code="policyName", message="message", after=timedelta(seconds=10)),
            on({400, 404, 409}, Rejected, code="category", message="message"),
            on(200, Unknown, when="status == 'error'", code="category", message="message"),
        ],
    )

    @classmethod
    def sandbox_config(cls, url: str) -> dict[str, Any]:
        """The configuration for a stand-in at `url`."""
        return {"base_url": url, "access_token": SANDBOX_SECRET}

    @native()
    async def upsert(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        """Bring records to their state, a hundred at a time; of several states of a record the last counts."""
        latest = {(record.kind, record.key): record for record in records}
        found: dict[tuple[CrmKind, str], RecordOutcome] = {}
        for kind in dict.fromkeys(kind for kind, _ in latest):
            of_kind = [record for record in latest.values() if record.kind is kind]
            for start in range(0, len(of_kind), objects.MOST):
                for outcome in await self._batch(kind, of_kind[start : start + objects.MOST]):
                    found[kind, outcome.key] = outcome
        return [found[record.kind, record.key] for record in records]

    @native()
    async def publish_catalog(self, products: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        """Bring products to their state."""
        return await self.upsert(products, key)

    async def changes(self, kind: CrmKind, cursor: str | None) -> Page[CrmChange]:
        """A page of all objects of a kind, listed consistently; what changes meanwhile comes by webhook."""
        asked = {
            "limit": objects.MOST,
            "properties": [self.config.id_property, *objects.READ.get(kind, ())],
            **({"after": cursor} if cursor else {}),
        }
        page = await self._ask(lambda api: api.basic_api.get_page(objects.OBJECT_TYPES[kind], **asked))
        following = ((page.get("paging") or {}).get("next") or {}).get("after")
        items = tuple(objects.change(kind, item, self.config.id_property) for item in page["results"])
        return Page(items=items, next=following)

    async def health(self) -> Health:
        """Read one contact: the token is taken and may read."""
        try:
            await self._ask(lambda api: api.basic_api.get_page("contacts", limit=1))
        except ConnectorError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail="HubSpot takes the token")

    async def aclose(self) -> None:
        """Close connections."""
        await self.http.aclose()

    async def _batch(self, kind: CrmKind, batch: Sequence[CrmRecord]) -> list[RecordOutcome]:
        """The outcomes of a batch, which HubSpot refuses whole for one bad record: then the rest is sent again."""
        answer = await self._upserted(kind, batch)
        if not isinstance(answer, objects.Refusal):
            return objects.outcomes(batch, answer, self.config.id_property)
        refused = answer.of(batch)
        outcomes = [objects.rejected(record, answer.code, told) for record, told in refused]
        named = {record.key for record, _ in refused}
        rest = [record for record in batch if record.key not in named]
        # Where it names nobody, the halves tell.
        parts = [rest] if named else [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
        for part in parts:
            if part:
                outcomes += await self._batch(kind, part)
        return outcomes

    async def _upserted(self, kind: CrmKind, batch: Sequence[CrmRecord]) -> dict[str, Any] | objects.Refusal:
        inputs = [
            SimplePublicObjectBatchInputUpsert(**objects.upsert_input(record, self.config.id_property))
            for record in batch
        ]
        body = BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs)

        def call() -> dict[str, Any] | objects.Refusal:
            try:
                answer: dict[str, Any] = self._objects.batch_api.upsert(
                    objects.OBJECT_TYPES[kind], body
                ).to_dict()
            except ApiException as refused:
                return objects.read_refusal(refused.body)
            return answer

        return await in_thread(self, call)

    @cached_property
    def _sdk(self) -> Any:
        # The token itself is added to each request on its way out, where it is kept out of logs and errors.
        return Sdk(access_token="added-when-sent", host=self.http.sender.base)  # noqa: S106

    @cached_property
    def _objects(self) -> _Objects:
        # What a batch is refused for is read record by record; of other refusals the message is enough.
        return _Objects(self._bridged("basic_api"), self._bridged("batch_api", passing={_REFUSED}))

    def _bridged(self, name: str, passing: Collection[int] = ()) -> Any:
        api = getattr(self._sdk.crm.objects, name)
        api.api_client.rest_client.pool_manager = Urllib3Pool(self.http, passing=passing)
        return api

    async def _ask(self, call: Callable[[_Objects], Any]) -> dict[str, Any]:
        """The body of an answer."""
        answer: dict[str, Any] = await in_thread(self, lambda: call(self._objects).to_dict())
        return answer


@dataclass(frozen=True, slots=True)
class _Objects:
    """The SDK's calls for objects of any type. They are kept: making one costs some milliseconds."""

    basic_api: Any
    batch_api: Any
