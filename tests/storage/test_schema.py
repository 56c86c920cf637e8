"""The schema that migrations make is the schema that the code describes, and making it again changes nothing."""

from __future__ import annotations

import warnings

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from domain.ledger import CHART
from storage.database import sqlalchemy_url
from storage.migrate import current, head, upgrade
from storage.tables import metadata
from tests.conftest import PostgresForTests


def test_migrations_make_the_described_tables(pg_server: PostgresForTests) -> None:
    url = pg_server.fresh_database("schema")
    upgrade(url)  # a second time
    engine = create_engine(sqlalchemy_url(url))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy has no word for xid8, and says so
        with engine.connect() as connection:
            assert current(connection) == head()
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


@pytest.mark.parametrize(
    "table", ["invoice", "invoice_line", "journal_entry", "journal_line", "event_log", "audit"]
)
def test_what_is_written_cannot_be_truncated(pg_server: PostgresForTests, table: str) -> None:
    with (
        psycopg.connect(pg_server.fresh_database("guards")) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="never removed"),
    ):
        connection.execute(f"truncate {table}".encode())


def test_every_account_of_the_chart_is_there(pg_server: PostgresForTests) -> None:
    with psycopg.connect(pg_server.fresh_database("chart")) as connection:
        rows = connection.execute("select code, name, kind from ledger_account").fetchall()
    assert sorted(rows) == sorted(CHART)
