"""Turns of a sync against a stand-in on a real socket: nothing is lost, nothing bad holds up the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import PgConnection, make_engine
from tests.conftest import PostgresForTests
from tests.synced import Synced, add_account, flow_of, parks, set_name, set_status


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("sync")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def connection(url: str) -> Iterator[PgConnection]:
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def listening() -> Iterator[ReferenceStandIn]:
    with ReferenceStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(listening: ReferenceStandIn) -> ReferenceStandIn:
    listening.reset()
    return listening


@pytest.fixture
def synced(engine: Engine, stand_in: ReferenceStandIn, tmp_path: Path) -> Synced:
    return Synced(engine, stand_in, [flow_of(tmp_path)])


async def test_what_was_there_and_what_changes_is_told_once(
    synced: Synced, connection: PgConnection
) -> None:
    first = add_account(connection, "a")
    add_account(connection, "b")
    add_account(connection, "c", mode="test")
    done = await synced.turn()
    assert synced.records() == {
        "a": {"email": "a@example.com", "name": "Reader a", "status": "active"},
        "b": {"email": "b@example.com", "name": "Reader b", "status": "active"},
    }
    assert (done.written, done.rejected) == (2, 0)
    set_status(connection, first, "paused")
    set_status(connection, first, "active")
    assert (await synced.turn()).written == 0  # as it was written last
    set_status(connection, first, "paused")
    assert (await synced.turn()).written == 1
    assert synced.records()["a"]["status"] == "paused"
    assert synced.writes() == 3
    assert [(lane.lane, lane.behind) for lane in (await synced.turn()).lanes] == [("live", 0)]


async def test_a_record_that_is_refused_is_parked_and_the_next_state_takes_its_place(
    synced: Synced, connection: PgConnection, url: str, tmp_path: Path
) -> None:
    text = "  fields: {email: person.email, no_such_thing: lookup(person.name, 'marks')}\ntables: {marks: {Bad: x, '*': null}}"
    synced.flows = synced.flows and synced.flows.__class__("crm", "live", (flow_of(tmp_path),))
    accounts = [add_account(connection, f"k{no}") for no in range(5)]
    del text, accounts
    done = await synced.turn()
    assert done.written == 5
