"""What tests of syncs share: a database, a stand-in that listens, and a connection between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import PgConnection, make_engine
from tests.conftest import PostgresForTests
from tests.synced import Synced, flow_of


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
    """A connection with one flow, of accounts as contacts."""
    return Synced(engine, stand_in, [flow_of(tmp_path)])
