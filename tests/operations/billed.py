"""Databases with billed fleets, without Temporal: one is billed, tests work on copies of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from bench.fleet import build_fleet
from domain.import_map import ImportMap
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, import_file
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.billable import Target
from storage.database import make_engine

if TYPE_CHECKING:  # a process that is started for a moment does without what the session needs
    from tests.conftest import PostgresForTests

EXAMPLES = Path(__file__).parents[2] / "examples"
_copies = itertools.count(1)


def bill(
    engine: Engine,
    day: date,
    *,
    chunk_size: int = 50,
    backwards: bool = False,
    end: bool = True,
    mode: str = "live",
) -> str:
    """Bill everybody as of `day`, chunk by chunk; answers the run's id."""
    runs = BillRuns(engine, chunk_size=chunk_size)
    target = Target(day, None)
    run_id = runs.open(
        workflow_id=f"bill-run/all/{day}",
        workflow_run_id=f"{day}/{next(_copies)}",
        mode=mode,
        scope=Scope.parse("all"),
        target=target,
    )
    chunks: Sequence[int] = range(runs.size(run_id)[0])
    for no in reversed(chunks) if backwards else chunks:
        runs.bill(ChunkRef(run_id, no, mode), target, wait=True, heartbeat=lambda _: None)
    if end:
        runs.finish(run_id, canceled=False)
    return run_id


def bench_fleet(server: PostgresForTests, days: Sequence[date], *, accounts: int = 200) -> str:
    """The URL of a database with the bench fleet, billed on `days`."""
    url = server.fresh_database("fleet")
    engine = make_engine(url)
    try:
        build_fleet(engine, accounts)
        for day in days:
            bill(engine, day)
    finally:
        engine.dispose()
    return url


def example_fleet(server: PostgresForTests, days: Sequence[date]) -> str:
    """The URL of a database with the example catalog and subscribers (bundles, trials, usage plans, stubs, three
    currencies), billed on `days`."""
    url = server.fresh_database("example")
    engine = make_engine(url)
    try:
        load_catalog(engine, read_catalog_file(EXAMPLES / "catalog.yaml").catalog)
        import_map = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
        import_file(engine, ImportRequest(EXAMPLES / "subscribers.csv", import_map, days[0]))
        for day in days:
            bill(engine, day)
    finally:
        engine.dispose()
    return url


def copied(server: PostgresForTests, url: str) -> str:
    """The URL of a copy of the database at `url`, to which nobody may be connected."""
    template = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    name = f"copy_{next(_copies)}_of_{template}"
    with psycopg.connect(server.server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(str(template))
            )
        )
    return server.server.url(name)


def tamper(url: str, *statements: str) -> None:
    """Run `statements` as a superuser whom no trigger stops; none may miss."""
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in statements:
            done = connection.execute(statement.encode())
            assert done.rowcount != 0, f"changed nothing: {statement}"
