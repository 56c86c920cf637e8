"""Statements that go together: answers, failures, and what a connection has prepared by then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from storage.round_trip import RoundTrip, execute_each, round_trip
from tests.conftest import PostgresForTests

Connection = psycopg.Connection[tuple[Any, ...]]
DAY = date(2026, 12, 1)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    url = pg_server.fresh_database("round_trip")
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (id int primary key, name text, on_day date, amount numeric)")
    return url


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with psycopg.connect(url) as connection:
        connection.execute("delete from kept")
        connection.commit()
        yield connection


def keep(trip: RoundTrip, number: int) -> None:
    trip.execute("insert into kept values (%s, %s, %s, %s)", (number, "é%", DAY, Decimal("1.20")))


def kept(url: str) -> int:
    with psycopg.connect(url) as other:
        row = other.execute("select count(*) from kept").fetchone()
    assert row is not None
    return int(row[0])


def test_answers_come_in_the_order_of_the_statements(connection: Connection) -> None:
    with round_trip(connection) as trip:
        keep(trip, 1)
        keep(trip, 2)
        written = trip.execute(
            "update kept set name = %(name)s || '%%' where name <> %(name)s", {"name": "b"}
        )
        all_rows = trip.execute("select * from kept order by id")
        none = trip.execute("select id from kept where false")
    assert written.rowcount == 2
    first, second = all_rows.named()
    assert (first.id, first.name, first.on_day, first.amount) == (1, "b%", DAY, Decimal("1.20"))
    assert second.id == 2
    assert [row[0] for row in all_rows] == [1, 2]
    assert (none.fetchone(), none.fetchall(), none.named()) == (None, [], [])


def test_rows_are_fetched_one_by_one(connection: Connection) -> None:
    trip = RoundTrip(connection)
    answer = trip.execute("select n from generate_series(1, 2) as n")
    assert [answer.fetchone(), answer.fetchone(), answer.fetchone()] == [(1,), (2,), None]


def test_looking_at_an_answer_sends_what_was_collected(connection: Connection) -> None:
    with round_trip(connection) as trip:
        keep(trip, 1)
        assert trip.execute("select count(*) from kept").fetchone() == (1,)
        keep(trip, 2)
    assert connection.execute("select count(*) from kept").fetchone() == (2,)


def test_its_transaction_is_that_of_the_connection(connection: Connection, url: str) -> None:
    with round_trip(connection) as trip:
        keep(trip, 1)
    connection.execute("insert into kept (id) values (2)")
    assert kept(url) == 0
    connection.commit()
    assert kept(url) == 2
    with round_trip(connection) as trip:
        keep(trip, 3)
        trip.commit()
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert kept(url) == 3


def test_the_first_failure_is_raised_and_nothing_stays(connection: Connection, url: str) -> None:
    trip = RoundTrip(connection)
    keep(trip, 1)
    keep(trip, 1)
    trip.execute("select 1 / 0")
    trip.commit()
    with pytest.raises(psycopg.errors.UniqueViolation, match="kept_pkey"):
        trip.send()
    assert kept(url) == 0
    connection.rollback()
    with round_trip(connection) as trip:
        keep(trip, 1)
        trip.commit()
    assert kept(url) == 1


def test_an_exception_leaves_unsent_what_was_not_sent(connection: Connection, url: str) -> None:
    def broken() -> None:
        with round_trip(connection) as trip:
            keep(trip, 1)
            trip.commit()
            raise KeyError("x")

    with pytest.raises(KeyError):
        broken()
    connection.commit()
    assert kept(url) == 0


@pytest.mark.parametrize("undo", ["rollback", "savepoint", "statement", "drop"])
def test_what_psycopg_deallocates_is_prepared_again(connection: Connection, undo: str) -> None:
    for _ in range(3):
        with round_trip(connection) as trip:
            keep(trip, 1)
        if undo == "rollback":
            connection.rollback()
        elif undo == "savepoint":
            connection.commit()
            with connection.transaction(force_rollback=True), connection.transaction(force_rollback=True):
                connection.execute("delete from kept")
            connection.execute("delete from kept")
        elif undo == "statement":
            connection.execute("rollback")
        else:
            connection.execute("create temp table gone (id int)")
            connection.execute("drop table gone")
            connection.rollback()
    with round_trip(connection) as trip:
        keep(trip, 1)
    assert connection.execute("select count(*) from kept").fetchone() == (1,)


def test_without_preparing(connection: Connection) -> None:
    connection.prepare_threshold = None
    with round_trip(connection) as trip:
        execute_each(trip, "insert into kept (id) values (%s)", [(1,), (2,), (70_000,)])
    assert connection.execute("select sum(id) from kept").fetchone() == (70_003,)
    assert connection.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_it_does_not_mix_with_a_pipeline(connection: Connection) -> None:
    trip = RoundTrip(connection)
    keep(trip, 1)
    with connection.pipeline(), pytest.raises(psycopg.ProgrammingError, match="within a pipeline"):
        trip.send()


def test_a_lost_connection_is_an_error_of_the_connection(url: str, connection: Connection) -> None:
    trip = RoundTrip(connection)
    keep(trip, 1)
    trip.send()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
    keep(trip, 2)
    with pytest.raises(psycopg.OperationalError):
        trip.send()
    assert connection.closed


def test_what_a_connection_learned_of_one_type_does_for_no_other(connection: Connection) -> None:
    for value in (1, 2**40, Decimal("1.5"), DAY, [1, 2], [DAY], [2**40], True):
        with round_trip(connection) as trip:
            answer = trip.execute("select to_jsonb(%s), 7 as seven", (value,))
        row = answer.named()[0]
        assert row.seven == 7
        told = row[0]
        if isinstance(value, Decimal):
            assert told == 1.5
        elif value == DAY:
            assert told == "2026-12-01"
        elif value == [DAY]:
            assert told == ["2026-12-01"]
        else:
            assert told == value


def test_the_same_column_is_read_by_the_type_that_it_has_now(connection: Connection) -> None:
    for expression, value in (
        ("1", 1),
        ("'a'::text", "a"),
        ("date '2026-12-01'", DAY),
        ("1.20", Decimal("1.20")),
    ):
        with round_trip(connection) as trip:
            one = trip.execute(f"select {expression} as it")
            other = trip.execute("select null::uuid, 3")
        assert one.fetchone() == (value,)
        assert other.fetchone() == (None, 3)
