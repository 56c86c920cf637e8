"""The write floor: how fast Postgres takes the very rows of a bill run by plain SQL.

`floor` copies the hub's tables with their columns, checks and indexes (triggers left out, which makes the floor faster
and the ratio stricter), and writes the rows of the run by INSERT … SELECT, then moves the subscriptions' dates.
`reference` does the same, by statements of the same form, with a fixed narrow schema of eight rows an invoice and
nothing but primary keys, so that a heavier schema of ours cannot flatter the ratio. Both read the rows from copies in
the order of the invoices' numbers: in the tables themselves they lie as the run's sessions happened to interleave, and
written in that order their indexes cost a fifth more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psutil
import psycopg

from storage.database import libpq_url

_WRITTEN = {
    "invoice_line": "invoice_id",
    "journal_entry": "id",
    "journal_line": "entry_id",
    "event_log": "subject_id",
    "invoice": "id",
}
REPEATS = 3

_REFERENCE_TABLES = """
    drop schema if exists reference cascade;
    create schema reference;
    create table reference.invoice (id uuid primary key, account_id uuid, number bigint, currency text, issued_on date,
        due_on date, status text, total bigint, balance bigint);
    create table reference.line (invoice_id uuid, no smallint, kind text, subject_id uuid, period_start date,
        period_end date, amount bigint, tax bigint, primary key (invoice_id, no));
    create table reference.entry (id uuid primary key, kind text, currency text, posted_on date);
    create table reference.entry_line (entry_id uuid, no smallint, account text, debit bigint, credit bigint,
        primary key (entry_id, no));
    create table reference.event (id bigint primary key, at timestamptz, kind text, account_id uuid, subject_id uuid);
    create table reference.subscription (id uuid primary key, account_id uuid, status text, charged_through date,
        next_bill_on date, version int) with (fillfactor = 45);

    create table reference.invoice_rows as select id, account_id, number, currency, issued_on, due_on, status, total,
        balance from invoice order by number;
    create unique index on reference.invoice_rows (number);
    create table reference.line_rows as select i.id as invoice_id, 1::smallint as no, 'recurring' as kind,
        s.id as subject_id, i.issued_on as period_start, s.charged_through as period_end, i.subtotal as amount, i.tax
        from invoice i join subscription s on s.account_id = i.account_id order by i.number;
    create table reference.entry_rows as select id, 'invoice' as kind, currency, issued_on as posted_on
        from invoice order by number;
    create table reference.entry_line_rows as
        select id as entry_id, no::smallint as no, account, case when no = 1 then total else 0 end as debit,
               case no when 2 then subtotal when 3 then tax else 0 end as credit
        from invoice, (values (1, 'accounts_receivable'), (2, 'deferred_revenue'), (3, 'tax_payable')) a(no, account)
        order by number, no;
    create table reference.event_rows as select number as id, posted_at as at, 'invoice.posted' as kind, account_id,
        id as subject_id from invoice order by number;
    create table reference.subscription_rows as select id, account_id, status, charged_through, next_bill_on, version
        from subscription order by id;
"""
_REFERENCE_ANALYZE = """
    analyze reference.invoice_rows, reference.line_rows, reference.entry_rows, reference.entry_line_rows,
        reference.event_rows, reference.subscription_rows;
"""
_REFERENCE_RESET = """
    truncate reference.invoice, reference.line, reference.entry, reference.entry_line, reference.event,
        reference.subscription;
    insert into reference.subscription select * from reference.subscription_rows;
"""


def _reference_write() -> str:
    """The same form of statement as the floor's, so that the two differ by their schemas alone."""
    chosen = "select id from reference.invoice_rows where number between %(first)s and %(last)s"
    keys = {
        "line": "invoice_id",
        "entry": "id",
        "entry_line": "entry_id",
        "event": "subject_id",
        "invoice": "id",
    }
    inserts = "".join(
        f"insert into reference.{table} select t.* from reference.{table}_rows t where t.{column} in ({chosen});"
        for table, column in keys.items()
    )
    return (
        inserts + "update reference.subscription f set charged_through = s.charged_through,"
        " next_bill_on = s.next_bill_on, version = f.version + 1 from reference.subscription_rows s"
        " where s.id = f.id and s.account_id in (select account_id from reference.invoice_rows"
        " where number between %(first)s and %(last)s);"
    )


def _floor_tables(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("drop schema if exists floor cascade")
    connection.execute("create schema floor")
    for table in (*_WRITTEN, "subscription"):
        connection.execute(f"create table floor.{table} (like public.{table} including all)")
    for table, column in _WRITTEN.items():
        connection.execute(
            f"create table floor.{table}_rows as select t.* from public.{table} t"
            f" join public.invoice i on i.id = t.{column} order by i.number, t.ctid".encode()
        )
    connection.execute("create unique index on floor.invoice_rows (number)")
    connection.execute("alter table floor.subscription set (fillfactor = 45)")
    connection.execute(
        "create table floor.subscription_rows as select * from public.subscription order by id"
    )
    rows = ", ".join(f"floor.{table}_rows" for table in (*_WRITTEN, "subscription"))
    connection.execute(f"analyze {rows}".encode())


def _floor_reset() -> str:
    tables = ", ".join(f"floor.{table}" for table in (*_WRITTEN, "subscription"))
    return f"truncate {tables}; insert into floor.subscription select * from floor.subscription_rows;"


def _floor_write() -> str:
    chosen = "select id from floor.invoice_rows where number between %(first)s and %(last)s"
    inserts = "".join(
        f"insert into floor.{table} overriding system value select t.* from floor.{table}_rows t"
        f" where t.{column} in ({chosen});"
        for table, column in _WRITTEN.items()
    )
    return (
        inserts
        + "update floor.subscription f set charged_through = s.charged_through, arrears_through = s.arrears_through,"
        " next_bill_on = s.next_bill_on, version = f.version + 1 from floor.subscription_rows s"
        " where s.id = f.id and s.account_id in (select account_id from floor.invoice_rows"
        " where number between %(first)s and %(last)s);"
    )


def _timed(url: str, write: str, ranges: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Seconds, and seconds of the sessions' processor time, for all ranges, a session each, started together."""
    ready = threading.Barrier(len(ranges) + 1)
    failures: list[BaseException] = []
    processor: list[float] = []

    def session(first: int, last: int) -> None:
        try:
            with psycopg.connect(url) as connection, connection.cursor() as cursor:
                backend = psutil.Process(connection.info.backend_pid)
                before = sum(backend.cpu_times()[:2])
                ready.wait()
                for statement in filter(str.strip, write.split(";")):
                    cursor.execute(statement.encode(), {"first": first, "last": last})
                connection.commit()
                processor.append(sum(backend.cpu_times()[:2]) - before)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=session, args=ends) for ends in ranges]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    return seconds, sum(processor)


class Floor(NamedTuple):
    """Invoices a second by number of sessions, and microseconds of the sessions' processor time an invoice."""

    per_second: dict[str, float]
    processor_us: dict[str, float]


def _best(url: str, invoices: int, reset: str, write: str) -> Floor:
    middle = invoices // 2
    sessions: dict[str, list[tuple[int, int]]] = {
        "one_session": [(1, invoices)],
        "two_sessions": [(1, middle), (middle + 1, invoices)],
    }
    best = Floor({}, {})
    for name, ranges in sessions.items():
        taken = []
        for _ in range(REPEATS + 1):  # the first one warms up
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(reset.encode())
                connection.execute("checkpoint")
            taken.append(_timed(url, write, ranges))
        best.per_second[name] = invoices / min(seconds for seconds, _ in taken[1:])
        best.processor_us[name] = min(processor for _, processor in taken[1:]) * 1e6 / invoices
    return best


def write_floors(url: str, say: Callable[[str], None]) -> dict[str, Floor]:
    """`floor` and `reference`, each with one session and with two on halves, best of three warm. The database at `url`
    must hold the run's rows, numbers 1..N."""
    dsn = libpq_url(url)
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select count(*) from invoice").fetchone()
        invoices = int(row[0]) if row else 0
        _floor_tables(connection)
        connection.execute(_REFERENCE_TABLES.encode())
        connection.execute(_REFERENCE_ANALYZE.encode())
    say("write floor: the same rows by INSERT … SELECT")
    floor = _best(dsn, invoices, _floor_reset(), _floor_write())
    say("reference floor: a fixed schema of eight rows")
    reference = _best(dsn, invoices, _REFERENCE_RESET, _reference_write())
    with psycopg.connect(dsn) as connection:
        connection.execute("drop schema floor cascade")
        connection.execute("drop schema reference cascade")
    return {"floor": floor, "reference": reference}
