"""Usage on an invoice (law 8): windows, tiers, lateness, boundaries."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from domain.rating import (
    usage_windows,
)
from tests.domain.books import (
    book,
    recurring,
    terms,
    uid,
    usage,
    version,
)
from tests.domain.rated import MONTHLY, Meter, advanced, bill, told

# --- usage (law 8) ---


METERED = book(plan=version(recurring("2.00"), usage("0.10", allowance="10")))


def test_usage_is_billed_when_its_period_is_over_beyond_the_allowance() -> None:
    subscription = terms(date(2026, 11, 15))
    meter = Meter([(date(2026, 11, 15), Decimal(12)), (date(2026, 12, 14), Decimal(3))])
    first = bill(METERED, subscription, date(2026, 11, 15), meter)
    assert first is not None
    assert [told(line) for line in first.lines] == [("recurring", "2026-11-15..2026-12-15", 200)]
    second = bill(METERED, advanced(subscription, first), date(2026, 12, 15), meter)
    assert second is not None
    assert [told(line) for line in second.lines] == [
        ("usage", "2026-11-15..2026-12-15", 50),
        ("recurring", "2026-12-15..2027-01-15", 200),
    ]
    assert second.lines[0].quantity == 15


def test_usage_on_the_boundary_opens_the_new_period() -> None:
    subscription = terms(date(2026, 11, 15))
    meter = Meter([(date(2026, 12, 15), Decimal(30))])
    found = bill(METERED, subscription, date(2027, 1, 15), meter)
    assert found is not None
    assert [told(line) for line in found.lines if line.kind == "usage"] == [
        ("usage", "2026-12-15..2027-01-15", 200)
    ]


def test_late_usage_goes_on_the_next_invoice() -> None:
    subscription = terms(date(2026, 11, 15))
    meter = Meter([(date(2026, 11, 20), Decimal(15))])
    first = bill(METERED, subscription, date(2026, 12, 15), meter)
    assert first is not None
    meter.records.append((date(2026, 11, 21), Decimal(15)))
    second = bill(METERED, advanced(subscription, first), date(2027, 1, 15), meter)
    assert second is not None
    assert [told(line) for line in second.lines if line.kind == "usage"] == [
        ("usage", "2026-12-15..2027-01-15", 50)
    ]
    assert not meter.records


def test_the_first_window_is_open_to_the_left_and_the_others_follow() -> None:
    subscription = terms(date(2026, 10, 15))
    assert usage_windows(METERED, "USD", subscription, date(2026, 12, 20)) == [
        (uid("item"), "articles", None, date(2026, 11, 15)),
        (uid("item"), "articles", date(2026, 11, 15), date(2026, 12, 15)),
    ]
    assert usage_windows(MONTHLY, "USD", subscription, date(2026, 12, 20)) == []
    assert usage_windows(METERED, "USD", subscription, date(2026, 10, 20)) == []


def test_no_usage_makes_no_line_and_usage_within_the_allowance_one_of_nothing() -> None:
    subscription = terms(date(2026, 11, 15))
    none = bill(METERED, subscription, date(2026, 12, 15), Meter([]))
    assert none is not None
    assert {line.kind for line in none.lines} == {"recurring"}
    free = bill(METERED, subscription, date(2026, 12, 15), Meter([(date(2026, 11, 20), Decimal(10))]))
    assert free is not None
    assert [line.amount for line in free.lines if line.kind == "usage"] == [0]


def test_the_usage_of_the_last_part_is_billed_at_the_end() -> None:
    subscription = terms(date(2026, 11, 15), ends_on=date(2026, 12, 20))
    meter = Meter([(date(2026, 12, 19), Decimal(30)), (date(2026, 12, 20), Decimal(99))])
    before = bill(METERED, subscription, date(2026, 12, 19), meter)
    assert before is not None
    assert before.next_bill_on == date(2026, 12, 20)
    last = bill(METERED, advanced(subscription, before), date(2026, 12, 20), meter)
    assert last is not None
    assert [told(line) for line in last.lines] == [("usage", "2026-12-15..2026-12-20", 200)]
    assert last.next_bill_on is None


def test_usage_in_an_intro_is_charged_by_the_intro_although_billed_after_it() -> None:
    prices = book(
        plan=version(
            phases=[
                {"kind": "intro", "periods": 1, "prices": [recurring("1.00"), usage("0.01")]},
                {"kind": "evergreen", "prices": [recurring("2.00"), usage("0.10")]},
            ]
        )
    )
    meter = Meter([(date(2026, 11, 20), Decimal(50)), (date(2026, 12, 20), Decimal(50))])
    found = bill(prices, terms(date(2026, 11, 15)), date(2027, 1, 15), meter)
    assert found is not None
    assert [line.amount for line in found.lines if line.kind == "usage"] == [50, 500]
