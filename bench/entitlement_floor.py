"""The floor of the entitlement check: a bare FastAPI handler that reads one row by its primary key, served as the API
is served, out of as many rows."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI

from storage.statements import close_pool, make_pool, open_pool

TABLES = """
    drop schema if exists floor cascade;
    create schema floor;
    create table floor.entitlement (id uuid primary key, feature text not null, ends_at timestamptz);
"""
_READ = b"select feature, ends_at from floor.entitlement where id = %s"


def bare_app(url: str) -> FastAPI:
    """`GET /bare?id=`: the row, as JSON."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = make_pool(url, "floor")
        await open_pool(app.state.pool)
        yield
        await close_pool(app.state.pool)

    app = FastAPI(lifespan=lifespan)

    @app.get("/bare")
    async def bare(id: UUID) -> dict[str, Any]:
        async with app.state.pool.connection() as connection:
            cursor = await connection.execute(_READ, (id,))
            row = await cursor.fetchone()
        return {"allowed": row is not None, "feature": row and row[0], "until": row and row[1]}

    return app


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
