"""A publisher beside the reference stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operations.catalog import load_catalog
from runtime.catalog_source import read_catalog_file
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.checkout.ledger import Ledger
from tests.operations.fulfilment.parcels import Fulfilment
from tests.workflows.selling import CATALOG


@pytest.fixture
def fulfilment(pg_server: PostgresForTests) -> Iterator[Fulfilment]:
    """The systems that give licences and send parcels."""
    engine = make_engine(pg_server.fresh_database("fulfilment"))
    load_catalog(engine, read_catalog_file(CATALOG).catalog)
    with ReferenceStandIn() as stand_in:
        yield Fulfilment(engine, stand_in)
    engine.dispose()


@pytest.fixture
def ledger(fulfilment: Fulfilment) -> Ledger:
    """Sales in the same database."""
    return Ledger(fulfilment.engine)
