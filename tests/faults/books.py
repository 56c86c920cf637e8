"""What the books say, in a form that two databases can be compared by."""

from __future__ import annotations

from typing import Any

import psycopg

from operations.dump import dump as canonical_dump
from operations.verify import verify
from storage.database import make_engine


def dump(url: str) -> list[str]:
    """The canonical dump of the books at `url`."""
    engine = make_engine(url)
    try:
        return list(canonical_dump(engine))
    finally:
        engine.dispose()


def numbers(url: str) -> list[int]:
    """The invoice numbers of the live series, ascending."""
    return [row[0] for row in rows(url, "select number from invoice where mode = 'live' order by number")]


def rows(url: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """The rows of one query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def value(url: str, query: str, *parameters: object) -> Any:
    """The one value of one query."""
    return rows(url, query, *parameters)[0][0]


def settled(url: str) -> int:
    """Accounts that have an outcome in some run."""
    return int(value(url, "select coalesce(sum(billed + nothing_due + parked), 0) from bill_run_chunk"))


def check_books(url: str, *, invoices: int) -> None:
    """Numbers 1..`invoices`, nobody billed twice, each run's counts add up, every law holds."""
    assert numbers(url) == list(range(1, invoices + 1))
    assert value(url, "select last_number from number_series where code = 'INV'") == invoices
    twice = """
        select item_id, price_id, part, period_start from invoice_line where item_id is not null
        group by 1, 2, 3, 4 having count(*) > 1
    """
    assert rows(url, twice) == []
    uneven = """
        select r.id from bill_run r where r.ended_at is null or r.selected <>
            (select coalesce(sum(billed + nothing_due + parked + canceled), 0) from bill_run_chunk c
             where c.bill_run_id = r.id and c.pending = '{}')
    """
    assert rows(url, uneven) == []
    events = "select count(*), count(distinct subject_id) from event_log where kind = 'invoice.posted'"
    assert rows(url, events) == [(invoices, invoices)]
    _check_laws(url)


def _check_laws(url: str) -> None:
    engine = make_engine(url)
    try:
        results = verify(engine)
    finally:
        engine.dispose()
    broken = [(law.law, law.violations) for law in results if not law.ok]
    assert broken == [], broken
