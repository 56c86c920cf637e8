"""The way of a webhook from the wire into the inbox: endpoint, signature, one insert."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from api.webhooks.complaints import Complaints
from api.webhooks.secret_cache import Resolve, SecretCache
from connectors.sdk.webhooks.recipe import Answer, Recipe
from connectors.sdk.webhooks.values import Delivery, Reason, Refused, Verdict, WebhookRequest
from connectors.sdk.webhooks.verify import verify
from storage.database import libpq_url
from storage.inbound_endpoints import FIND_OPEN, InboundEndpoint, hash_token
from storage.webhook_inbox import STORE_MANY, STORE_ONE

POOL_SIZE = 8
WAIT_SECONDS = 2.0  # for a connection: a sender rather hears "later" soon than nothing for long
STATEMENT_MILLISECONDS = 2000
LOCK_MILLISECONDS = 1000
UNACKNOWLEDGED_MILLISECONDS = 4000  # on the wire to the database, before the connection counts as lost
# For all that one statement takes, with the wait for a connection and the second try: even a database that neither
# answers nor closes the connection must not hold a sender longer.
ANSWER_SECONDS = 6.0
KEPT_SECONDS = 5.0  # how long a disabled endpoint may still take something
KEPT_ENDPOINTS = 10_000

AsyncPg = psycopg.AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[AsyncPg]


class UnknownEndpoint(Exception):
    """No enabled endpoint has that token."""


class NotBelieved(Exception):
    """The verdict was against the request; why stands in the log."""


class DatabaseAway(Exception):
    """The delivery could not be stored: the sender has to send it again."""


@dataclass(frozen=True)
class Arrival:
    """A request to `/webhooks/{token}`; header names in lower case. `target` is the path with its query, as sent."""

    token: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def make_pool(url: str, size: int = POOL_SIZE) -> Pool:
    """Connections for the intake alone, in autocommit: each insert is its own transaction. Opened by the caller."""
    return AsyncConnectionPool(
        libpq_url(url),
        min_size=min(2, size),
        max_size=size,
        timeout=WAIT_SECONDS,
        open=False,
        kwargs={
            "autocommit": True,
            "connect_timeout": 5,
            "tcp_user_timeout": UNACKNOWLEDGED_MILLISECONDS,
            "options": f"-c statement_timeout={STATEMENT_MILLISECONDS} -c lock_timeout={LOCK_MILLISECONDS}",
            "application_name": "masthead webhooks",
            "prepare_threshold": 1,
        },
    )


class Intake:
    """Takes webhooks in, for the endpoints of one database."""

    def __init__(self, pool: Pool, recipes: Mapping[str, Recipe], resolve: Resolve) -> None:
        self._pool = pool
        self._recipes = recipes
        self._secrets = SecretCache(resolve)
        self._endpoints: dict[str, tuple[float, InboundEndpoint]] = {}
        self._complaints = Complaints()
        self._running: set[asyncio.Task[list[tuple[Any, ...]]]] = set()

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
        rows = await self._execute(FIND_OPEN, (hash_token(token),))
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
            await self._execute(
                STORE_ONE,
                (endpoint, only.key, only.kind, only.object_key, only.occurred_at, headers, only.body),
            )
        elif deliveries:
            await self._execute(
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

    async def _execute(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run one statement of ours, within ANSWER_SECONDS. Raises DatabaseAway when it fails or takes longer."""
        # In a task of its own, which is not waited for any longer: a canceled statement first waits for the server.
        running = asyncio.create_task(self._with_second_try(statement, parameters))
        self._running.add(running)
        running.add_done_callback(self._let_go)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(running)
        except (psycopg.Error, TimeoutError) as error:
            running.cancel()
            self._complaints.tell("the inbox", f"the database does not take it ({type(error).__name__})")
            raise DatabaseAway from error

    def _let_go(self, task: asyncio.Task[list[tuple[Any, ...]]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the loop does not complain of what came after its time

    async def _with_second_try(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """What a restarted database left of the pool is thrown away, and the statement sent once more: ours may be
        repeated. What took too long is not."""
        try:
            return await self._once(statement, parameters)
        except (PoolTimeout, psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            raise
        except (psycopg.OperationalError, psycopg.InterfaceError):
            await self._pool.check()
            return await self._once(statement, parameters)

    async def _once(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters)
            return await cursor.fetchall() if cursor.description else []


async def open_pool(pool: Pool) -> None:
    """Let the pool connect in the background, also when the database is away for now."""
    await pool.open(wait=False)


async def close_pool(pool: Pool) -> None:
    """Give up the connections, within a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await pool.close(timeout=2)
