"""The event log under writers that commit in another order than they began."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import uuid_utils

from storage.database import PgConnection
from storage.events import (
    START,
    Batch,
    Cursor,
    NewEvent,
    append_events,
    move_cursor,
    read_batch,
    read_cursor,
    reader_lag,
    reset_cursor,
)
from tests.conftest import PostgresForTests, wait_until

READER = "reader"


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("events")


@pytest.fixture
def connection(url: str) -> Iterator[PgConnection]:
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


def events(kind: str, count: int) -> list[NewEvent]:
    return [NewEvent(kind, None, str(uuid_utils.uuid7()), 1) for _ in range(count)]


def read_on(connection: PgConnection, limit: int = 500, kinds: tuple[str, ...] = ("%",)) -> Batch | None:
    """Read a batch and move the cursor behind it; None when there is nothing to read yet."""
    seen = read_cursor(connection, READER)
    batch = read_batch(connection, seen, limit=limit, kinds=kinds)
    if batch.upto == seen:
        assert (batch.events, batch.more) == ([], False)
        return None
    assert move_cursor(connection, READER, seen, batch.upto)
    return batch


def drain(connection: PgConnection, limit: int = 500) -> list[str]:
    subjects: list[str] = []
    while batch := read_on(connection, limit):
        subjects += [event.subject_id for event in batch.events]
    return subjects


def everything(connection: PgConnection) -> set[str]:
    return {row[0] for row in connection.execute("select subject_id::text from event_log")}


def test_an_event_that_commits_after_a_younger_one_is_not_skipped(url: str, connection: PgConnection) -> None:
    with psycopg.connect(url) as slow:
        append_events(slow, events("slow", 1))
        append_events(connection, events("quick", 1))
        assert drain(connection) == []
        slow.commit()
    assert set(drain(connection)) == everything(connection)


def test_a_transaction_that_took_its_ids_early_and_its_first_row_late_is_not_skipped(
    url: str, connection: PgConnection
) -> None:
    with psycopg.connect(url) as slow:
        slow.execute("select pg_current_xact_id()")
        append_events(connection, events("quick", 3))
        drain(connection)
        append_events(slow, events("slow", 3))
        slow.commit()
    append_events(connection, events("quick", 1))
    drain(connection)
    assert read_cursor(connection, READER) > START
    reset_cursor(connection, READER)
    assert set(drain(connection)) == everything(connection)


def test_no_event_is_lost_under_interleaved_writers_and_a_reader_that_dies(
    url: str, connection: PgConnection
) -> None:
    """Writers commit in any order, some roll back; a long transaction comes and goes elsewhere; the reader dies
    again and again between its effect and the move of its cursor."""
    stop = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(url) as writer:
            while not stop.is_set():
                for _ in range(chance.randint(1, 4)):
                    append_events(writer, events("x", chance.randint(1, 5)))
                    writer.execute("select pg_sleep(%s)", (chance.random() * 0.004,))
                writer.rollback() if chance.random() < 0.15 else writer.commit()

    def hold() -> None:
        other = url.replace(url.rpartition("/")[2].partition("?")[0], "postgres")
        while not stop.is_set():
            with psycopg.connect(other) as elsewhere:
                elsewhere.execute("select pg_current_xact_id(), pg_sleep(0.1)")

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(5)]
    threads.append(threading.Thread(target=hold))
    for thread in threads:
        thread.start()
    chance = random.Random(0)
    effects: list[str] = []
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        with psycopg.connect(url, autocommit=True) as reader:
            seen = read_cursor(reader, READER)
            batch = read_batch(reader, seen, limit=40)
            effects += [event.subject_id for event in batch.events]
            if batch.upto != seen and chance.random() < 0.7:
                move_cursor(reader, READER, seen, batch.upto)
    stop.set()
    for thread in threads:
        thread.join()
    effects += drain(connection)
    written = everything(connection)
    assert len(written) > 500
    assert set(effects) == written


def test_effects_in_the_cursor_s_own_transaction_happen_once(url: str, connection: PgConnection) -> None:
    append_events(connection, events("x", 300))
    connection.execute("create table effect (subject uuid)")
    failures = [0]

    def read() -> None:
        chance = random.Random(threading.get_ident())
        while True:
            with psycopg.connect(url) as reader:
                seen = read_cursor(reader, READER, lock=True)
                batch = read_batch(reader, seen, limit=20)
                if batch.upto == seen:
                    return
                with reader.cursor() as cursor:
                    cursor.executemany(
                        "insert into effect values (%s)", [(event.subject_id,) for event in batch.events]
                    )
                if not move_cursor(reader, READER, seen, batch.upto) or chance.random() < 0.3:
                    failures[0] += 1
                    reader.rollback()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    effects = [row[0] for row in connection.execute("select subject::text from effect")]
    assert len(effects) == 300
    assert set(effects) == everything(connection)


def test_a_cursor_moves_only_from_where_it_was_seen(connection: PgConnection) -> None:
    first, second = Cursor(1, 10, 1), Cursor(1, 11, 2)
    assert move_cursor(connection, READER, START, first)
    assert not move_cursor(connection, READER, START, second)
    assert not move_cursor(connection, READER, second, Cursor(1, 12, 3))
    assert move_cursor(connection, READER, first, second)
    reset_cursor(connection, READER)
    assert not move_cursor(connection, READER, second, Cursor(1, 12, 3))
    assert read_cursor(connection, READER) == START


def test_a_reader_of_few_kinds_passes_over_the_many(connection: PgConnection) -> None:
    append_events(connection, events("invoice.posted", 700))
    append_events(connection, events("subscription.changed", 2))
    append_events(connection, events("invoice.posted", 5))
    batch = read_on(connection, 100, ("subscription.%",))
    assert batch is not None
    assert [event.kind for event in batch.events] == ["subscription.changed"] * 2
    last = connection.execute("select epoch, xid::text::bigint, id from event_log order by xid desc, id desc")
    assert (tuple(batch.upto), batch.more) == (last.fetchone(), False)
    assert read_on(connection, 100, ("subscription.%",)) is None


def test_a_batch_ends_with_the_last_event_that_was_handed_out(connection: PgConnection) -> None:
    for _ in range(7):
        append_events(connection, [*events("x", 1), *events("y", 3)])
    sizes = []
    while batch := read_on(connection, 3, ("x",)):
        sizes.append((len(batch.events), batch.more))
    assert sizes == [(3, True), (3, True), (1, False)]


def test_a_reader_may_ask_for_more_than_a_kind(connection: PgConnection) -> None:
    append_events(connection, [NewEvent("x", None, str(uuid_utils.uuid7()), version) for version in range(6)])
    batch = read_batch(connection, START, only="version > 3")
    assert [event.version for event in batch.events] == [4, 5]


def test_after_a_restore_old_events_come_first_and_new_ones_are_seen(connection: PgConnection) -> None:
    """Restored rows carry transaction ids far above those that the new server gives out."""
    connection.execute(
        "insert into event_log (xid, id, kind, subject_id, version) overriding system value"
        " select (4000000000 + n)::text::xid8, n, 'old', gen_random_uuid(), 1 from generate_series(1, 30) n"
    )
    connection.execute("alter table event_log alter column id restart with 31")
    connection.execute("alter table event_log alter column epoch set default 2")
    append_events(connection, events("new", 5))
    kinds = []
    while batch := read_on(connection, 20):
        kinds.append([event.kind for event in batch.events])
    assert kinds == [["old"] * 20, ["old"] * 10, ["new"] * 5]
    assert read_cursor(connection, READER).epoch == 2
    append_events(connection, events("newer", 1))
    batch = read_on(connection)
    assert batch is not None
    assert [event.kind for event in batch.events] == ["newer"]


def test_lag_tells_who_holds_readers_back(url: str, connection: PgConnection) -> None:
    assert reader_lag(connection).events_behind == 0
    append_events(connection, events("x", 3))
    drain(connection)
    with psycopg.connect(url) as slow:
        slow.execute("select pg_current_xact_id()")
        append_events(connection, events("x", 4))
        assert drain(connection) == []
        wait_until("the transaction has some age", lambda: reader_lag(connection)[0] > 0.05)
        assert reader_lag(connection).events_behind == 4
    assert len(drain(connection)) == 4
    assert reader_lag(connection).events_behind == 0


def test_twenty_thousand_events_are_read_quickly(connection: PgConnection) -> None:
    for _ in range(20):
        append_events(connection, events("x", 1000))
    connection.execute("analyze event_log")
    began = time.monotonic()
    subjects = drain(connection)
    took = time.monotonic() - began
    assert len(subjects) == len(set(subjects)) == 20_000
    assert took < 5, f"{took:.2f} s"
