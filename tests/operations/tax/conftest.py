"""Shops whose invoices AvaTax's stand-in taxes, and the reference stand-in, which records its own tax only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.avalara.connector import Avalara
from runtime.connector_source import read_connector
from sandbox.avatax.stand_in import AvaTaxStandIn
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.single_invoices import Shop

TAX_SERVICE = Path(__file__).parents[3] / "examples" / "connectors" / "tax-service.yaml"


@pytest.fixture
def shop(pg_server: PostgresForTests) -> Iterator[Shop]:
    """Beside AvaTax."""
    engine = make_engine(pg_server.fresh_database("tax"))
    with AvaTaxStandIn() as stand_in:
        yield Shop(engine, Avalara, stand_in)
    engine.dispose()


@pytest.fixture
def plain_shop(pg_server: PostgresForTests) -> Iterator[Shop]:
    """Beside an engine over plain JSON, whose connector is a file."""
    engine = make_engine(pg_server.fresh_database("plain_tax"))
    with ReferenceStandIn() as stand_in:
        yield Shop(engine, read_connector(TAX_SERVICE), stand_in)
    engine.dispose()
