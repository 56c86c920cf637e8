"""The bill run charges what was used by single events, minimums and arrears as rating says, from rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from uuid_utils import uuid7

from domain.catalog import Catalog
from domain.subscriptions import open_subscription
from operations.catalog import load_catalog
from storage.billable import UsageWindow, load_usage
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.billed import bill

NEW_YORK = ZoneInfo("America/New_York")
CATALOG = Catalog.model_validate(
    {
        "format": "masthead.catalog/1",
        "publisher": "The Test Post",
        "currencies": ["USD"],
        "meters": [
            {"code": "tips", "name": "Tips", "unit": "cent"},
            {"code": "articles", "name": "Articles", "unit": "article"},
        ],
        "products": [{"code": "digital", "name": "Digital", "tax_category": "digital"}],
        "plans": [
            {
                "code": "creator",
                "name": "Creator",
                "product": "digital",
                "versions": [
                    {
                        "version": 1,
                        "effective": "2020-01-01",
                        "interval": {"unit": "month", "align": "calendar"},
                        "phases": [
                            {"kind": "intro", "periods": 1, "percent": "50"},
                            {
                                "kind": "evergreen",
                                "prices": [
                                    {
                                        "code": "fee",
                                        "type": "recurring",
                                        "billed": "arrears",
                                        "amounts": {"USD": "12.00"},
                                    },
                                    {
                                        "code": "tips",
                                        "type": "usage",
                                        "model": "percentage",
                                        "meter": "tips",
                                        "percentage": {
                                            "rate": "5",
                                            "free_events": 1,
                                            "fixed_fees": {"USD": "0.10"},
                                            "max_amounts": {"USD": "5.00"},
                                        },
                                    },
                                    {
                                        "code": "reading",
                                        "type": "usage",
                                        "model": "per_unit",
                                        "meter": "articles",
                                        "zero_usage": "line",
                                        "amounts": {"USD": "0.10"},
                                    },
                                    {
                                        "code": "least",
                                        "type": "usage",
                                        "model": "minimum",
                                        "amounts": {"USD": "20.00"},
                                    },
                                ],
                            },
                        ],
                    }
                ],
            }
        ],
    }
)


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    engine = make_engine(pg_server.fresh_database("models"))
    load_catalog(engine, CATALOG)
    yield engine
    engine.dispose()


def subscribed(engine: Engine, start: date) -> tuple[str, str]:
    """An account in New York with one subscription from `start`; answers subscription and item."""
    account, subscription, item = (str(uuid7()) for _ in range(3))
    opening = open_subscription(
        CATALOG.plans[0].versions[0],
        starts_on=start,
        as_of=start,
        charged_through=None,
        bill_cycle_day=None,
        ends_on=None,
        zone=NEW_YORK,
    )
    with transaction(engine) as connection:
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale)"
            " values (%s, 'live', 'A-1', 'USD', 'America/New_York', 'en')",
            (account,),
        )
        connection.execute(
            "insert into subscription (id, mode, account_id, external_key, status, starts_on, anchor_on, anchor_day,"
            " interval_unit, interval_count, opening_on, charged_through, arrears_through, next_bill_on)"
            " values (%s, 'live', %s, 'S-1', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                subscription,
                account,
                opening.status,
                opening.starts_on,
                opening.anchor_on,
                opening.anchor_day,
                opening.interval_unit,
                opening.interval_count,
                opening.opening_on,
                opening.charged_through,
                opening.arrears_through,
                opening.next_bill_on,
            ),
        )
        connection.execute(
            "insert into subscription_item (id, subscription_id, plan_code, plan_version, starts_on)"
            " values (%s, %s, 'creator', 1, %s)",
            (item, subscription, start),
        )
    return subscription, item


def used(engine: Engine, item: str, meter: str, *records: tuple[datetime, int]) -> None:
    """Usage records, each in a transaction of its own as they come in."""
    for at, quantity in records:
        with transaction(engine) as connection:
            connection.execute(
                "insert into usage_record (id, item_id, meter_code, at, quantity, key) values (%s, %s, %s, %s, %s, %s)",
                (str(uuid7()), item, meter, at, quantity, str(uuid7())),
            )


def billed(engine: Engine, day: date) -> list[tuple[Any, ...]]:
    """The lines of the invoice of `day`: kind, first and last day, quantity, amount."""
    with transaction(engine) as connection:
        return connection.execute(
            "select l.kind, l.period_start, l.period_end, l.quantity, l.amount from invoice i"
            " join invoice_line l on l.invoice_id = i.id where i.issued_on = %s order by l.no",
            (day,),
        ).fetchall()


def test_two_months_of_a_plan_with_every_model(engine: Engine) -> None:
    _, item = subscribed(engine, date(2026, 11, 16))
    noon = datetime(2026, 11, 20, 17, tzinfo=UTC)
    # Written in another order than they happened: the earliest event is the free one (900).
    used(engine, item, "tips", (noon.replace(day=22), 210), (noon, 900), (noon.replace(day=21), 40_000))
    # Law 8: midnight in New York opens December.
    used(engine, item, "tips", (datetime(2026, 12, 1, 5, tzinfo=UTC), 1000))
    bill(engine, date(2026, 11, 30))
    assert billed(engine, date(2026, 11, 30)) == []
    bill(engine, date(2026, 12, 1))
    start, end = date(2026, 11, 16), date(2026, 12, 1)
    assert billed(engine, date(2026, 12, 1)) == [
        ("recurring", start, end, 1, 300),  # half of 12.00, for 15 of 30 days
        ("usage", start, end, 41_110, 521),  # 5.00 at most, and 0.105 + 0.10 = 20.5 cents
        ("usage", start, end, 0, 0),
        ("minimum", start, end, 1, 479),  # half of 20.00
    ]
    used(engine, item, "articles", (datetime(2026, 12, 10, tzinfo=UTC), 150))
    used(
        engine, item, "tips", (datetime(2026, 12, 5, tzinfo=UTC), 2000), (noon.replace(day=29), 500)
    )  # the last is late
    bill(engine, date(2027, 1, 1))
    start, end = date(2026, 12, 1), date(2027, 1, 1)
    assert billed(engine, date(2027, 1, 1)) == [
        ("recurring", start, end, 1, 600),  # the intro is one whole period, the stub before it aside
        ("usage", start, end, 3500, 170),  # the late 500 is the first in time, and free; 60 and 110
        ("usage", start, end, 150, 1500),
        ("minimum", start, end, 1, 330),
    ]
    bill(engine, date(2027, 2, 1))
    assert [row[-1] for row in billed(engine, date(2027, 2, 1))] == [1200, 0, 2000]


def test_only_windows_that_ask_for_events_get_them(engine: Engine) -> None:
    subscription, item = subscribed(engine, date(2026, 11, 1))
    day = datetime(2026, 11, 20, tzinfo=UTC)
    for meter in ("tips", "articles"):
        used(engine, item, meter, (day, 7), (day.replace(day=10), 5))
    until = date(2026, 12, 1)
    windows = [
        UsageWindow(subscription, item, meter, "UTC", None, until, date(2026, 11, 1), by_event)
        for meter, by_event in (("tips", True), ("articles", False))
    ]
    with transaction(engine, read_only_snapshot=True) as connection:
        found = load_usage(connection, windows)
        assert load_usage(connection, []) == {}
    assert found == {(item, "tips", until): (12, (5, 7)), (item, "articles", until): 12}
