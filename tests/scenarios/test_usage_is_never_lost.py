"""Whatever was read is billed: once, in its own period, up to the end of the subscription (billing law 8)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine
from uuid_utils import uuid7

from bench.import_rows import HEADER
from domain.import_map import ImportMap
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, import_file
from operations.subscriptions import settle_subscription
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests

EXAMPLES = Path(__file__).parents[2] / "examples"

# (quantity, amount in cents) of the first 10 free, then 0.39 up to 20, 0.25 up to 100, 0.125 beyond
FIFTEEN = (Decimal(15), 195)


class Books:
    """One reader with an article pass, on a database of its own."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self._folder = folder
        self._runs = BillRuns(engine)
        load_catalog(engine, read_catalog_file(EXAMPLES / "catalog.yaml").catalog)

    def opens(
        self, *, zone: str, started: str, as_of: date, paid_through: str = "", end: date | None = None
    ) -> str:
        """Import the reader; answers the subscription's id."""
        file = self._folder / "reader.csv"
        file.write_text(
            f"{HEADER}\nR-1,Reader,r@example.com,US,USD,{zone},en,,,article-pass,1,{started},,{paid_through},tok,,,,,,\n"
        )
        map_text = (EXAMPLES / "subscribers.map.yaml").read_text()
        if end is not None:
            map_text = map_text.replace("subscription:\n", f"subscription:\n  end: {{value: {end}}}\n")
        map_file = self._folder / "map.yaml"
        map_file.write_text(map_text)
        import_map = load_document(map_file, ImportMap)
        summary = import_file(self.engine, ImportRequest(file, import_map, as_of))
        assert summary.imported == 1, summary.first_rejections
        with transaction(self.engine) as connection:
            row = connection.execute("select id::text from subscription").fetchone()
        assert row is not None
        return str(row[0])

    def read(self, at: datetime, quantity: int) -> None:
        with transaction(self.engine) as connection:
            connection.execute(
                "insert into usage_record (id, item_id, meter_code, at, quantity, key)"
                " select %s, id, 'articles', %s, %s, %s from subscription_item",
                (str(uuid7()), at, quantity, str(uuid7())),
            )

    def bill(self, *days: date) -> None:
        for day in days:
            target = Target(day, None)
            run_id = self._runs.open(
                workflow_id=f"bill-{day}",
                workflow_run_id=str(uuid7()),
                mode="live",
                scope=Scope.parse("all"),
                target=target,
            )
            chunks, _ = self._runs.size(run_id)
            for no in range(chunks):
                self._runs.bill(ChunkRef(run_id, no, "live"), target, wait=True, heartbeat=lambda _step: None)
            assert self._runs.finish(run_id, canceled=False)["parked"] == 0

    def usage(self) -> dict[date, tuple[Decimal, int]]:
        """Day of the invoice → quantity and amount of its usage line."""
        with transaction(self.engine) as connection:
            rows: Iterable[tuple[date, Decimal, int]] = connection.execute(
                "select i.issued_on, l.quantity, l.amount from invoice i join invoice_line l on l.invoice_id = i.id"
                " where l.kind = 'usage'"
            ).fetchall()
        return {day: (quantity, amount) for day, quantity, amount in rows}


@pytest.fixture
def books(pg_server: PostgresForTests, tmp_path: Path) -> Books:
    return Books(make_engine(pg_server.fresh_database("usage")), tmp_path)


def test_a_period_prepaid_elsewhere_has_its_usage_billed_when_it_ends(books: Books) -> None:
    """The former system charged the fee up to the 24th in advance. What is read till then it can never bill, for it
    is over: it is due here on the 25th, with an allowance of its own."""
    books.opens(
        zone="America/New_York", started="2026-05-25", as_of=date(2026, 12, 1), paid_through="2026-12-24"
    )
    books.read(datetime(2026, 12, 10, 12, tzinfo=UTC), 15)
    books.bill(date(2026, 12, 25))
    books.read(datetime(2027, 1, 10, 12, tzinfo=UTC), 15)
    books.bill(date(2027, 1, 25))
    assert books.usage() == {date(2026, 12, 25): FIFTEEN, date(2027, 1, 25): FIFTEEN}


def test_the_usage_of_the_last_period_is_billed_although_its_fee_was_prepaid_elsewhere(books: Books) -> None:
    books.opens(
        zone="America/New_York",
        started="2026-05-25",
        as_of=date(2026, 12, 1),
        paid_through="2026-12-24",
        end=date(2026, 12, 25),
    )
    books.read(datetime(2026, 12, 10, 12, tzinfo=UTC), 15)
    books.bill(date(2026, 12, 25), date(2027, 1, 25))
    assert books.usage() == {date(2026, 12, 25): FIFTEEN}


@pytest.mark.parametrize("recorded_first", [False, True], ids=["billed-first", "expiry-recorded-first"])
def test_the_usage_before_the_end_is_billed_whether_or_not_the_end_was_recorded_first(
    books: Books, recorded_first: bool
) -> None:
    """The calendar ends the subscription at midnight, the bill run comes in the morning: it must not find nothing."""
    subscription = books.opens(
        zone="America/New_York", started="2026-11-01", as_of=date(2026, 11, 1), end=date(2026, 12, 1)
    )
    books.bill(date(2026, 11, 1))
    books.read(datetime(2026, 11, 10, 12, tzinfo=UTC), 15)
    if recorded_first:
        standing = settle_subscription(books.engine, subscription, datetime(2026, 12, 1, 5, 0, 1, tzinfo=UTC))
        assert standing.status == "expired"
    books.bill(date(2026, 12, 1))
    assert books.usage() == {date(2026, 12, 1): FIFTEEN}


@pytest.mark.parametrize(
    ("zone", "started", "bill_days", "at"),
    [
        # Clocks go back over midnight: the hour from 00:00 comes twice, and its first turn is of the new day.
        (
            "America/Havana",
            "2026-10-01",
            [date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)],
            datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
        ),
        (
            "Atlantic/Azores",
            "2026-09-25",
            [date(2026, 9, 25), date(2026, 10, 25), date(2026, 11, 25)],
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        ),
        # Clocks go forward over midnight: the day begins at 01:00.
        (
            "America/Santiago",
            "2026-08-06",
            [date(2026, 8, 6), date(2026, 9, 6), date(2026, 10, 6)],
            datetime(2026, 9, 6, 4, 0, tzinfo=UTC),
        ),
    ],
    ids=["Havana", "Azores", "Santiago"],
)
def test_the_first_hour_of_a_day_with_a_clock_change_is_billed_once(
    books: Books, zone: str, started: str, bill_days: list[date], at: datetime
) -> None:
    books.opens(zone=zone, started=started, as_of=bill_days[0])
    books.bill(bill_days[0])
    books.read(at, 15)
    books.bill(bill_days[1])
    assert books.usage() == {}
    books.bill(bill_days[2])
    assert books.usage() == {bill_days[2]: FIFTEEN}
