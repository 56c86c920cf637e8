"""What tests of mails share: a database, mail servers that listen, and an office between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from sandbox.smtp.stand_in import SmtpStandIn, with_any_login
from storage.database import PgConnection, make_engine
from tests.conftest import PostgresForTests
from tests.mails.office import Office, add_publisher


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("mails")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def connection(url: str) -> Iterator[PgConnection]:
    with psycopg.connect(url, autocommit=True) as opened:
        add_publisher(opened)
        yield opened


@pytest.fixture(scope="module")
def listening() -> Iterator[SmtpStandIn]:
    with with_any_login() as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def listening_for_tests() -> Iterator[SmtpStandIn]:
    with with_any_login() as stand_in:
        yield stand_in


@pytest.fixture
def server(listening: SmtpStandIn) -> SmtpStandIn:
    """The mail server of live accounts."""
    listening.reset()
    return listening


@pytest.fixture
def test_server(listening_for_tests: SmtpStandIn) -> SmtpStandIn:
    """That of test accounts."""
    listening_for_tests.reset()
    return listening_for_tests


@pytest.fixture
async def office(
    engine: Engine, url: str, server: SmtpStandIn, test_server: SmtpStandIn
) -> AsyncIterator[Office]:
    made = Office(engine, url, {"live": server.address, "test": test_server.address})
    yield made
    await made.aclose()
