"""The endpoints that vendors send webhooks to: made, found by their token, disabled, never removed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from uuid_utils import uuid7

from storage.database import PgConnection

FIND_OPEN = """
    select id::text, mode, connection, recipe, secrets, public_url from inbound_endpoint
    where token_hash = %s and disabled_at is null
"""


class InboundEndpoint(NamedTuple):
    """One address for one connection's webhooks. `secrets` are references such as `env:NAME`; `public_url` is what
    senders call before `/webhooks/TOKEN`."""

    id: str
    mode: str
    connection: str
    recipe: str
    secrets: list[str]
    public_url: str


def hash_token(token: str) -> bytes:
    """What is stored of a token. Tokens are random and long, so that a plain hash suffices."""
    return hashlib.sha256(token.encode()).digest()


def add_endpoint(
    connection: PgConnection,
    *,
    name: str,
    recipe: str,
    secret_references: Sequence[str],
    public_url: str,
    mode: str = "live",
) -> tuple[str, str]:
    """Make an endpoint for the connection `name`. Answers its id, and its token, which cannot be had again."""
    token = "in_" + secrets.token_urlsafe(32)
    endpoint = str(uuid7())
    connection.execute(
        "insert into inbound_endpoint (id, mode, connection, recipe, token_hash, secrets, public_url)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        (endpoint, mode, name, recipe, hash_token(token), list(secret_references), public_url.rstrip("/")),
    )
    return endpoint, token


def change_secrets(connection: PgConnection, endpoint: str, secret_references: Sequence[str]) -> bool:
    """Name other secrets, two while one replaces the other; False when there is no such endpoint."""
    done = connection.execute(
        "update inbound_endpoint set secrets = %s where id = %s", (list(secret_references), endpoint)
    )
    return done.rowcount == 1


def disable_endpoint(connection: PgConnection, endpoint: str) -> bool:
    """Take nothing more at an endpoint; what came in stays and is applied. False when none is enabled by that id."""
    done = connection.execute(
        "update inbound_endpoint set disabled_at = now() where id = %s and disabled_at is null", (endpoint,)
    )
    return done.rowcount == 1


def list_endpoints(connection: PgConnection) -> list[dict[str, Any]]:
    """All endpoints with what waits and what is parked at each, oldest first; no token, no secret."""
    names = "id mode connection recipe secrets public_url created_at disabled_at waiting parked"
    rows = connection.execute(
        """
        select e.id::text, e.mode, e.connection, e.recipe, e.secrets, e.public_url, e.created_at, e.disabled_at,
               (select count(*) from webhook_delivery d where d.endpoint_id = e.id and d.status = 'new'),
               (select count(*) from webhook_delivery d where d.endpoint_id = e.id and d.status = 'parked')
        from inbound_endpoint e order by e.created_at, e.id
        """
    )
    return [dict(zip(names.split(), row, strict=True)) for row in rows]


def endpoints_with_work(connection: PgConnection) -> list[InboundEndpoint]:
    """The endpoints with deliveries to apply now, disabled ones with them."""
    rows = connection.execute(
        """
        select e.id::text, e.mode, e.connection, e.recipe, e.secrets, e.public_url from inbound_endpoint e
        where exists (select from webhook_delivery d where d.endpoint_id = e.id and d.status = 'new'
                      and (d.retry_at is null or d.retry_at <= now()))
        order by e.id
        """
    )
    return [InboundEndpoint(*row) for row in rows]


def recipes_in_use(connection: PgConnection) -> list[tuple[str, str]]:
    """(endpoint, name of its recipe) of all endpoints."""
    return list(connection.execute("select id::text, recipe from inbound_endpoint order by id"))
