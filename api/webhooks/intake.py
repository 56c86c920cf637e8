"""The way of a webhook from the wire into the inbox: endpoint, signature, one insert."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg.types.json import Jsonb

from api.webhooks.complaints import Complaints
from api.webhooks.secret_cache import Resolve, SecretCache
from connectors.sdk.webhooks.recipe import Answer, Recipe
from connectors.sdk.webhooks.values import Delivery, Reason, Refused, Verdict, WebhookRequest
from connectors.sdk.webhooks.verify import verify
from storage.inbound_endpoints import FIND_OPEN, InboundEndpoint, hash_token
from storage.statements import DatabaseAway, StatementPool, Statements
from storage.webhook_inbox import STORE_MANY, STORE_ONE

__all__ = ["Arrival", "DatabaseAway", "Intake", "NotBelieved", "UnknownEndpoint"]

KEPT_SECONDS = 5.0  # how long a disabled endpoint may still take something
KEPT_ENDPOINTS = 10_000


class UnknownEndpoint(Exception):
    """No enabled endpoint has that token."""


class NotBelieved(Exception):
    """The verdict was against the request; why stands in the log."""


@dataclass(frozen=True)
class Arrival:
    """A request to `/webhooks/{token}`; header names in lower case. `target` is the path with its query, as sent."""

    token: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Intake:
    """Takes webhooks in, for the endpoints of one database."""

    def __init__(self, pool: StatementPool, recipes: Mapping[str, Recipe], resolve: Resolve) -> None:
        self._recipes = recipes
        self._secrets = SecretCache(resolve)
        self._endpoints: dict[str, tuple[float, InboundEndpoint]] = {}
        self._complaints = Complaints()
        self._statements = Statements(pool, self._not_taken)

    async def take(self, arrival: Arrival) -> Answer:
        """Verify and store what arrived; the answer that its sender expects. A repetition is answered the same.

        Raises UnknownEndpoint, NotBelieved, or DatabaseAway when it is not stored.
        """
        endpoint = await self._endpoint(arrival.token)
        recipe = self._recipes.get(endpoint.recipe)
        if recipe is None:
            self._complaints.tell(f"endpoint {endpoint.id}", f"there is no recipe {endpoint.recipe!r}")
            raise NotBelieved
        request = WebhookRequest(
            arrival.method, endpoint.public_url + arrival.target, arrival.headers, arrival.body
        )
        verdict = verify(recipe, request, self._secrets.values(endpoint.secrets), datetime.now(UTC))
        if isinstance(verdict, Verdict) and verdict.live not in (None, endpoint.mode == "live"):
            verdict = Refused(Reason.OTHER_MODE)
        if isinstance(verdict, Refused):
            self._complaints.tell(f"endpoint {endpoint.id}", verdict.reason)
            raise NotBelieved
        kept = {name: arrival.headers[name] for name in recipe.kept_headers if name in arrival.headers}
        await self._store(endpoint.id, kept, verdict.deliveries)
        return recipe.answer

    async def _endpoint(self, token: str) -> InboundEndpoint:
        known = self._endpoints.get(token)
        if known is not None and time.monotonic() - known[0] < KEPT_SECONDS:
            return known[1]
        rows = await self._statements.execute(FIND_OPEN, (hash_token(token),))
        if not rows:
            self._endpoints.pop(token, None)
            raise UnknownEndpoint
        if len(self._endpoints) >= KEPT_ENDPOINTS:
            self._endpoints.clear()
        endpoint = InboundEndpoint(*rows[0])
        self._endpoints[token] = (time.monotonic(), endpoint)
        return endpoint

    async def _store(self, endpoint: str, kept: Mapping[str, str], deliveries: tuple[Delivery, ...]) -> None:
        headers = Jsonb(kept)
        if len(deliveries) == 1:
            only = deliveries[0]
            await self._statements.execute(
                STORE_ONE,
                (endpoint, only.key, only.kind, only.object_key, only.occurred_at, headers, only.body),
            )
        elif deliveries:
            await self._statements.execute(
                STORE_MANY,
                (
                    endpoint,
                    headers,
                    [each.key for each in deliveries],
                    [each.kind for each in deliveries],
                    [each.object_key for each in deliveries],
                    [each.occurred_at for each in deliveries],
                    [each.body for each in deliveries],
                ),
            )

    def _not_taken(self, kind: str) -> None:
        self._complaints.tell("the inbox", f"the database does not take it ({kind})")
