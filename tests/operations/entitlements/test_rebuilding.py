"""Grants of accounts that came without any are worked out from their rows, once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from operations.catalog import load_catalog
from operations.entitlements.rebuilding import rebuild_all
from runtime.catalog_source import read_catalog_file
from runtime.cli.command_line import command_line
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.checkout.ledger import SOLD, Ledger
from tests.workflows.selling import CATALOG

GRANTS = "select subscriber, feature, starts_at, ends_at, source_id from entitlement_grant order by 1, 2"


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("rebuilding")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    load_catalog(made, read_catalog_file(CATALOG).catalog)
    yield made
    made.dispose()


def test_what_is_missing_is_worked_out_once(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(engine)
    for key in ("a", "b"):
        ledger.settled(ledger.sold(key))
    ledger.sold("c")  # whose money is on its way: nobody reads by it
    before = ledger.rows(GRANTS)
    events = "select count(*) from event_log where kind = 'entitlement.granted'"
    assert before
    ledger.rows("delete from entitlement_grant returning id")
    ((told,),) = ledger.rows(events)
    heard: list[tuple[int, int]] = []
    assert rebuild_all(engine, SOLD, lambda *each: heard.append(each)) == (3, len(before))
    assert [done for done, _ in heard] == [1, 2, 3]
    assert ledger.rows(GRANTS) == before
    assert ledger.rows(events) == [(told + len(before),)]
    assert rebuild_all(engine, SOLD) == (3, 0)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    answer = CliRunner().invoke(command_line(), ["entitlements", "rebuild", "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["accounts"] == 3
