"""What is known of connections survives a restart, and a person's change of a connection lets it try again."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from storage.connections import (
    ConnectionRow,
    ConnectionState,
    connection_states,
    note_connections,
    note_health,
    note_refused,
)
from storage.database import PgConnection
from tests.conftest import PostgresForTests

ROW = ConnectionRow("shop", "shopify", "test", True, "f1")


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("connections")


@pytest.fixture
def connection(url: str) -> Iterator[PgConnection]:
    with psycopg.connect(url) as opened:
        yield opened
        opened.rollback()


def state(connection: PgConnection) -> ConnectionState:
    (only,) = connection_states(connection)
    return only


def tokens(connection: PgConnection) -> list[tuple[str | None, int]]:
    with connection.cursor() as cursor:
        cursor.execute("select marked_reason, version from connection_token where connection = 'shop'")
        return cursor.fetchall()


def test_a_start_notes_each_connection_once(connection: PgConnection) -> None:
    note_connections(connection, [ROW])
    note_connections(connection, [ROW._replace(enabled=False)])
    seen = state(connection)
    assert seen[:5] == ("shop", "shopify", "test", False, "f1")
    assert (seen.needs_authorisation, seen.healthy, seen.detail) == (None, None, None)


def test_a_refusal_is_shown_until_the_configuration_changes_or_it_is_found_healthy(
    connection: PgConnection,
) -> None:
    note_connections(connection, [ROW])
    note_refused(connection, "shop", "401: the key is refused")
    note_connections(connection, [ROW])
    assert state(connection).needs_authorisation == "401: the key is refused"
    note_connections(connection, [ROW._replace(fingerprint="f2")])
    assert state(connection).needs_authorisation is None
    note_refused(connection, "shop", "401 again")
    note_health(connection, "shop", healthy=False, detail="401")
    assert state(connection).needs_authorisation == "401 again"
    note_health(connection, "shop", healthy=True, detail="answers")
    seen = state(connection)
    assert (seen.needs_authorisation, seen.healthy, seen.detail) == (None, True, "answers")


def test_a_marked_token_stays_marked_until_the_configuration_changes(connection: PgConnection) -> None:
    note_connections(connection, [ROW])
    connection.execute(
        "insert into connection_token (connection, version, marked_reason) values ('shop', 3, 'refused')"
    )
    note_refused(connection, "shop", "refused")
    note_health(connection, "shop", healthy=True, detail="answers")
    assert state(connection).needs_authorisation == "refused"
    note_connections(connection, [ROW._replace(fingerprint="f2")])
    assert tokens(connection) == [(None, 3)]
    assert state(connection).needs_authorisation is None


@pytest.mark.parametrize("changed", [ROW._replace(mode="live"), ROW._replace(connector="shippo")])
def test_a_token_of_another_account_is_never_used(connection: PgConnection, changed: ConnectionRow) -> None:
    note_connections(connection, [ROW])
    connection.execute("insert into connection_token (connection, version) values ('shop', 3)")
    connection.execute("insert into rate_bucket (connection, next_at) values ('shop', now())")
    note_connections(connection, [ROW])
    assert tokens(connection) == [(None, 3)]
    note_connections(connection, [changed])
    assert tokens(connection) == []
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from rate_bucket")
        assert cursor.fetchone() == (0,)
