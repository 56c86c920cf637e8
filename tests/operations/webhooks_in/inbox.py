"""An inbox with deliveries as the intake leaves them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from storage.inbound_endpoints import InboundEndpoint, add_endpoint, list_endpoints
from storage.webhook_inbox import STORE_ONE

EARLY = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """A delivery: its key, what it is about, the second at which it happened, and what it says."""

    key: str
    about: str = "thing"
    second: int = 0
    kind: str = "thing.changed"
    body: bytes | None = None

    @property
    def bytes(self) -> bytes:
        """Its body."""
        return self.body if self.body is not None else json.dumps({"key": self.key}).encode()


def make_endpoint(url: str, name: str = "crm", mode: str = "live") -> InboundEndpoint:
    """A new endpoint of the connection `name`."""
    with psycopg.connect(url) as connection:
        made, _ = add_endpoint(
            connection,
            name=name,
            recipe="standard-webhooks",
            secret_references=["env:X"],
            public_url="http://h",
            mode=mode,
        )
        row = next(row for row in list_endpoints(connection) if row["id"] == made)
    return InboundEndpoint(
        made, row["mode"], row["connection"], row["recipe"], row["secrets"], row["public_url"]
    )


def put(url: str, endpoint: InboundEndpoint, told: Sequence[Told]) -> None:
    """Store deliveries in this order, each a transaction as in the intake."""
    with psycopg.connect(url, autocommit=True) as connection:
        for each in told:
            connection.execute(
                STORE_ONE,
                (
                    endpoint.id,
                    each.key,
                    each.kind,
                    each.about,
                    EARLY + timedelta(seconds=each.second),
                    Jsonb({}),
                    each.bytes,
                ),
            )


def rows(url: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()
