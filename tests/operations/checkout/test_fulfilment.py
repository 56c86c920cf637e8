"""What follows a sale is asked of the connections that do it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operations.catalog import load_catalog
from runtime.catalog_source import read_catalog_file
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.checkout.ledger import Ledger
from tests.workflows.selling import CATALOG

EBOOK = [{"plan": "harbor-lights-ebook"}, {"plan": "digital-monthly"}]
CALLS = "select connection, key, request->'active', request->'features' from connector_call"


@pytest.fixture
def ledger(pg_server: PostgresForTests) -> Iterator[Ledger]:
    engine = make_engine(pg_server.fresh_database("fulfilment"))
    load_catalog(engine, read_catalog_file(CATALOG).catalog)
    yield Ledger(engine)
    engine.dispose()


def test_the_access_of_a_purchase_is_brought_to_the_identity_system(ledger: Ledger) -> None:
    row = ledger.sold("a", items=EBOOK)
    assert ledger.rows(CALLS) == []
    ledger.settled(row, provisioning="idp", drm=None)
    ((connection, key, active, features),) = ledger.rows(CALLS)
    assert (connection, key, active) == ("idp", f"checkout:{row.id}:provisioning", True)
    assert features == ["news"]
    asked = "select capability, connection from fulfilment_request order by 1"
    assert ledger.rows(asked) == [
        ("drm", None),
        ("drm", None),
        ("provisioning", "idp"),
        ("provisioning", "idp"),
    ]


def test_where_nothing_is_connected_nothing_is_called(ledger: Ledger) -> None:
    ledger.settled(ledger.sold("a", items=EBOOK), provisioning=None)
    assert ledger.rows(CALLS) == []
