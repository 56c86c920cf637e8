"""The floor of a command over HTTP: a bare FastAPI handler that locks the account and writes the same rows as a command
of that kind wrote, in one transaction, from templates; served as the API is served."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel
from uuid_utils import uuid7

from storage.database import PgConnection
from storage.statements import close_pool, make_pool, open_pool

TABLES = (
    "account",
    "subscription",
    "subscription_item",
    "subscription_history",
    "account_history",
    "pending_charge",
    "entitlement_grant",
    "follow_up",
    "event_log",
    "command",
    "idempotency_key",
)
TEMPLATES = "templates.json"
# New rows of these have ids that are nobody else's.
_OWN_ID = ("subscription_item", "entitlement_grant", "follow_up")
# What the database itself says.
_MADE = {"event_log": ("xid", "id", "epoch", "at")}


class Statement(NamedTuple):
    """One row to write: `values` are texts (None: null), or where `places` has the place's name, of the request."""

    sql: str
    values: list[str | None]
    places: dict[int, str]


def make_tables(connection: PgConnection) -> None:
    """Copies of the tables and of their rows, with all their indexes and checks, without foreign keys and triggers."""
    connection.execute("drop schema if exists floor cascade")
    connection.execute("create schema floor")
    for table in TABLES:
        connection.execute(f"create table floor.{table} (like public.{table} including all)".encode())
        if table not in _MADE:
            connection.execute(f"insert into floor.{table} select * from public.{table}".encode())


def template(connection: PgConnection, names: Mapping[str, str]) -> list[Statement]:
    """What the command with the key `names["key"]` wrote: `names` are the values that differ from one command to the
    next. Rows that the floor's copies have are updated, where they differ; others are inserted."""
    found: list[Statement] = []
    values = dict(names)
    for table in TABLES:
        columns = [
            row[0]
            for row in connection.execute(
                "select column_name from information_schema.columns where table_schema = 'public' and table_name = %s"
                " order by ordinal_position",
                (table,),
            )
            if row[0] not in _MADE.get(table, ())
        ]
        keys = [
            row[0]
            for row in connection.execute(
                "select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid"
                " and a.attnum = any(i.indkey) where i.indrelid = %s::regclass and i.indisprimary",
                (f"public.{table}",),
            )
        ]
        texts = ", ".join(f"t.{name}::text" for name in columns)
        same = " and ".join(f"f.{name} = t.{name}" for name in keys)
        was = ", ".join(f"f.{name}::text" for name in columns)
        join = "false" if table in _MADE else same
        for row in connection.execute(
            f"select f.{keys[0]} is not null, {texts}, {was} from public.{table} t left join floor.{table} f on {join}"
            " where t.xmin = (select xmin from idempotency_key where key = %s)".encode(),
            (names["key"],),
        ).fetchall():
            now = dict(zip(columns, row[1:], strict=False))
            before = dict(zip(columns, row[1 + len(columns) :], strict=True))
            if not row[0]:
                if table in _OWN_ID:
                    values.setdefault(f"new {len(values)}", now["id"])
                found.append(_insert(table, now, values))
            else:
                changed = {name: now[name] for name in columns if now[name] != before[name]}
                found.append(_update(table, changed, {name: now[name] for name in keys}, values))
    return found


def _places(texts: list[str | None], values: Mapping[str, str]) -> dict[int, str]:
    return {
        no: name
        for no, text in enumerate(texts)
        for name, value in values.items()
        if text is not None and (text == value or (name == "key" and text.endswith(f"/{value}")))
    }


def _insert(table: str, row: dict[str, str | None], values: Mapping[str, str]) -> Statement:
    texts = list(row.values())
    sql = f"insert into floor.{table} ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})"
    return Statement(sql, texts, _places(texts, values))


def _update(
    table: str, row: dict[str, str | None], keys: dict[str, str | None], values: Mapping[str, str]
) -> Statement:
    texts = [*row.values(), *keys.values()]
    sets = ", ".join(f"{name} = %s" for name in row)
    where = " and ".join(f"{name} = %s" for name in keys)
    return Statement(f"update floor.{table} set {sets} where {where}", texts, _places(texts, values))


class Order(BaseModel):
    """What a request says: the plan to change to, and the ids that differ from one change to the next."""

    to: str
    account: str
    subscription: str
    item: str
    key: str


def bare_app(url: str, home: Path) -> FastAPI:
    """`POST /bare`: the statements of the change in one transaction, after the account's lock; `/piped` sends
    them without waiting in between."""
    templates: dict[str, list[Statement]] = {
        kind: [
            Statement(sql, values, {int(no): name for no, name in places.items()})
            for sql, values, places in found
        ]
        for kind, found in json.loads((home / TEMPLATES).read_text()).items()
    }

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = make_pool(url, "commands")
        await open_pool(app.state.pool)
        yield
        await close_pool(app.state.pool)

    app = FastAPI(lifespan=lifespan)

    async def write(connection: Any, order: Order) -> None:
        await connection.execute("select 1 from floor.account where id = %s for update", (order.account,))
        given = order.__dict__.copy()
        for sql, values, places in templates[order.to]:
            filled = list(values)
            for no, name in places.items():
                value = given.get(name)
                if value is None:
                    value = given[name] = str(uuid7())
                filled[no] = value
            await connection.execute(sql, filled)

    @app.post("/bare")
    async def bare(order: Order) -> Response:
        async with app.state.pool.connection() as connection, connection.transaction():
            await write(connection, order)
        return Response()

    @app.post("/piped")
    async def piped(order: Order) -> Response:
        async with (
            app.state.pool.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            await write(connection, order)
        return Response()

    return app


def main() -> None:
    """Serve the bare application on the inherited socket whose number is the argument."""
    config = uvicorn.Config(
        bare_app(os.environ["DATABASE_URL"], Path(os.environ["MASTHEAD_HOME"])),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=4,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
