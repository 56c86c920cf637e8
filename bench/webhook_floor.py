"""The floor of the webhook intake: a bare FastAPI handler that inserts the same row and does nothing else, served as
the API is served. And the floor of applying: a loop that writes the same facts from memory."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from storage.database import PgConnection
from storage.statements import close_pool, make_pool, open_pool

ENDPOINT = "019a0000-0000-7000-8000-000000000000"
TABLES = """
    drop schema if exists floor cascade;
    create schema floor;
    create table floor.webhook_delivery (like public.webhook_delivery including all);
    create table floor.vendor_fact (like public.vendor_fact including all);
    create table floor.event_log (like public.event_log including all);
"""
_INSERT = """
    insert into floor.webhook_delivery (endpoint_id, delivery_key, kind, object_key, occurred_at, headers, body)
    values (%s, %s, %s, %s, %s, %s, %s)
"""


def bare_app(url: str) -> FastAPI:
    """`POST /bare`: the body, and a key from a header, into one row."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = make_pool(url, "webhooks")
        await open_pool(app.state.pool)
        yield
        await close_pool(app.state.pool)

    app = FastAPI(lifespan=lifespan)

    @app.post("/bare")
    async def bare(request: Request) -> Response:
        body = await request.body()
        key = request.headers["x-key"]
        async with app.state.pool.connection() as connection:
            await connection.execute(
                _INSERT,
                (ENDPOINT, key, "charge.refunded", f"charge:{key}", datetime.now(UTC), Jsonb({}), body),
            )
        return Response()

    return app


Fact = tuple[str, str, str, datetime, bytes]  # object, kind, key, instant, body


def write_facts(connection: PgConnection, name: str, facts: Sequence[Fact]) -> None:
    """Write facts that are in memory and new, with their events, in the caller's transaction."""
    columns: list[list[Any]] = [list(column) for column in zip(*facts, strict=True)]
    ids = [str(uuid7()) for _ in facts]
    connection.execute(
        """
        insert into floor.vendor_fact (id, mode, connection, object_key, kind, occurred_at, delivery_key, payload, seen,
                                       version)
        select id, 'live', %s, object, kind, occurred, key, convert_from(body, 'UTF8')::jsonb, 1, 1
        from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::bytea[])
            as f(id, object, kind, key, occurred, body)
        """,
        (name, ids, *columns),
    )
    connection.execute(
        "insert into floor.event_log (kind, subject_id, version) select 'vendor.fact', id, 1"
        " from unnest(%s::uuid[]) as f(id)",
        (ids,),
    )


def main() -> None:
    """Serve the bare application on the inherited socket whose number is the argument."""
    config = uvicorn.Config(
        bare_app(os.environ["DATABASE_URL"]),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=4,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
