"""Recurring prices that are charged when their period is over, and stretches of more than one period."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import scaled
from domain.periods import Anchor, Interval, Unit, first_anchor, period_at
from domain.rating import rate_subscription
from tests.domain.books import (
    LONG_AGO,
    YEAR,
    book,
    item,
    off,
    one_time,
    percent,
    recurring,
    terms,
    usage,
    version,
)
from tests.domain.rated import Meter, advanced, bill, lines, rate, told, versions

ARREARS = book(plan=version(recurring("12.00", billed="arrears")))
BOTH = book(plan=version(recurring("2.00"), recurring("12.00", code="later", billed="arrears")))


def test_a_price_in_arrears_is_charged_when_its_period_is_over() -> None:
    subscription = terms(date(2026, 12, 15), next_bill_on=date(2027, 1, 15))
    assert rate_subscription(ARREARS, "USD", subscription, date(2027, 1, 14)) is None
    found = rate(ARREARS, subscription, date(2027, 1, 15))
    assert [told(line) for line in found.lines] == [("recurring", "2026-12-15..2027-01-15", 1200)]
    assert (found.arrears_through, found.next_bill_on) == (date(2027, 1, 15), date(2027, 2, 15))
    after = rate(ARREARS, advanced(subscription, found), date(2027, 2, 15))
    assert [told(line) for line in after.lines] == [("recurring", "2027-01-15..2027-02-15", 1200)]


def test_what_is_paid_in_advance_and_in_arrears_stands_on_one_bill() -> None:
    subscription = terms(date(2026, 12, 15))
    assert lines(BOTH, subscription, date(2027, 1, 15)) == [
        ("recurring", "2026-12-15..2027-01-15", 200),
        ("recurring", "2026-12-15..2027-01-15", 1200),
        ("recurring", "2027-01-15..2027-02-15", 200),
    ]


def test_the_last_part_in_arrears_is_charged_on_the_day_of_the_end() -> None:
    # 5 of the 31 days from 15 December (law 3: the denominator is a whole period).
    subscription = terms(date(2026, 11, 15), ends_on=date(2026, 12, 20), next_bill_on=date(2026, 12, 15))
    first = rate(ARREARS, subscription, date(2026, 12, 15))
    assert first.next_bill_on == date(2026, 12, 20)
    last = rate(ARREARS, advanced(subscription, first), date(2026, 12, 20))
    assert [told(line) for line in last.lines] == [("recurring", "2026-12-15..2026-12-20", 194)]
    assert last.next_bill_on is None


def test_an_end_before_the_bill_day_bounds_what_is_charged() -> None:
    # Ended at once, and billed when the next bill would have come.
    subscription = terms(date(2026, 11, 15), ends_on=date(2026, 11, 25), next_bill_on=date(2026, 12, 15))
    assert lines(ARREARS, subscription, date(2026, 12, 15)) == [("recurring", "2026-11-15..2026-11-25", 400)]


def test_an_item_in_arrears_is_charged_for_its_own_days() -> None:
    early = item(name="early", ends_on=date(2026, 11, 25))
    late = item(name="late", starts_on=date(2026, 11, 25))
    subscription = terms(date(2026, 11, 15), early, late, next_bill_on=date(2026, 12, 15))
    assert lines(ARREARS, subscription, date(2026, 12, 15)) == [
        ("recurring", "2026-11-15..2026-11-25", 400),
        ("recurring", "2026-11-25..2026-12-15", 800),
    ]
    gone = terms(date(2026, 12, 15), early, next_bill_on=date(2027, 1, 15))
    assert lines(ARREARS, gone, date(2027, 1, 15)) == []


def test_a_leading_stub_in_arrears_is_measured_like_one_in_advance() -> None:
    anchor = Anchor.at(date(2026, 2, 1))
    subscription = terms(date(2026, 1, 17), anchor=anchor, next_bill_on=date(2026, 2, 1))
    assert lines(ARREARS, subscription, date(2026, 2, 1)) == [("recurring", "2026-01-17..2026-02-01", 581)]


def test_a_price_override_replaces_the_first_price_wherever_it_is_billed() -> None:
    special = item(price_override=777)
    first = book(plan=version(recurring("12.00", billed="arrears"), recurring("2.00", code="more")))
    assert [amount for *_, amount in lines(first, terms(date(2026, 12, 15), special), date(2027, 1, 15))] == [
        200,
        777,
        200,
    ]
    assert [amount for *_, amount in lines(BOTH, terms(date(2026, 12, 15), special), date(2027, 1, 15))] == [
        777,
        1200,
        777,
    ]


def test_a_renewal_from_advance_to_arrears_charges_each_period_once() -> None:
    later = version(
        recurring("13.50", billed="arrears"), number=2, effective=date(2027, 3, 1), applies_to="renewal"
    )
    prices = book(plan=(version(recurring("12.00")), later))
    assert lines(prices, terms(date(2027, 1, 1)), date(2027, 4, 1)) == [
        ("recurring", "2027-01-01..2027-02-01", 1200),
        ("recurring", "2027-02-01..2027-03-01", 1200),
        ("recurring", "2027-03-01..2027-04-01", 1350),
    ]


def test_an_intro_in_arrears_is_charged_by_the_intro_although_billed_after_it() -> None:
    prices = book(
        plan=version(
            phases=[
                {"kind": "intro", "periods": 1, "percent": "50"},
                {"kind": "evergreen", "prices": [recurring("12.00", billed="arrears")]},
            ]
        )
    )
    subscription = terms(date(2026, 11, 15), next_bill_on=date(2026, 12, 15))
    assert [amount for *_, amount in lines(prices, subscription, date(2027, 1, 15))] == [600, 1200]


def test_a_first_bill_date_charges_the_stub_before_it_and_the_first_period() -> None:
    prices = book(plan=version(recurring("12.00"), one_time("5.00")))
    subscription = terms(
        date(2026, 1, 17),
        anchor=Anchor.at(date(2026, 2, 1)),
        next_bill_on=date(2026, 2, 1),
        discounts=[off(100), percent("10")],
    )
    assert rate_subscription(prices, "USD", subscription, date(2026, 1, 31)) is None
    found = rate(prices, subscription, date(2026, 2, 1))
    assert [told(line) for line in found.lines if line.kind != "discount"] == [
        ("recurring", "2026-01-17..2026-02-01", 581),  # 15 of 31 days
        ("one_time", "", 500),
        ("recurring", "2026-02-01..2026-03-01", 1200),
    ]
    # A fixed amount stands once on the bill: 100 of 2281, then 10 % of what each line has left.
    cuts = [line.amount for line in found.lines if line.kind == "discount" and line.rate is None]
    assert sum(cuts) == -100
    assert (found.charged_through, found.next_bill_on) == (date(2026, 3, 1), date(2026, 3, 1))


def test_a_bill_that_comes_late_charges_each_period_by_itself() -> None:
    # Two periods and a half were left out: 16 of 31, then 28 and 31 days of their own periods.
    subscription = terms(date(2026, 1, 16), anchor=Anchor.at(date(2026, 4, 1)), next_bill_on=date(2026, 4, 1))
    assert lines(book(plan=version(recurring("31.00"))), subscription, date(2026, 4, 1)) == [
        ("recurring", "2026-01-16..2026-02-01", 1600),
        ("recurring", "2026-02-01..2026-03-01", 3100),
        ("recurring", "2026-03-01..2026-04-01", 3100),
        ("recurring", "2026-04-01..2026-05-01", 3100),
    ]


def test_a_version_says_whether_it_charges_in_arrears() -> None:
    later = version(recurring(billed="arrears"), number=2, effective=date(2027, 3, 1), applies_to="renewal")
    unreachable = version(recurring(billed="arrears"), number=2, effective=date(2027, 3, 1))
    for prices, in_arrears, has_usage in (
        (book(plan=version()), False, False),
        (ARREARS, True, False),
        (book(plan=version(usage())), True, True),
        (book(plan=(version(), later)), True, False),
        (book(plan=(version(), unreachable)), False, False),
        (versions("renewal"), False, False),
    ):
        found = prices.version("plan", 1, "USD")
        assert (found.in_arrears, found.has_usage) == (in_arrears, has_usage)


INTERVALS = st.one_of(
    st.builds(Interval, st.just(Unit.MONTH), st.sampled_from([1, 2, 3, 6])),
    st.builds(Interval, st.just(Unit.WEEK), st.integers(1, 6)),
    st.just(YEAR),
)


@given(
    st.dates(date(2023, 1, 1), date(2026, 12, 31)),
    INTERVALS,
    st.one_of(st.none(), st.integers(1, 31)),
    st.integers(1, 500),
    st.lists(st.integers(0, 600), max_size=5),
)
def test_arrears_charge_each_day_once_whenever_the_runs_come(
    start: date, interval: Interval, bill_day: int | None, life: int, offsets: list[int]
) -> None:
    """Law I13 for arrears: the spans tile from the start to the end, each within one period, each at its part."""
    anchor = first_anchor(start, interval, bill_day)
    end = start + timedelta(days=life)
    subscription = terms(
        start,
        item(starts_on=start),
        anchor=anchor,
        interval=interval,
        ends_on=end,
        next_bill_on=min(period_at(anchor, interval, start).end, end),
    )
    spans = []
    for target in [*sorted(start + timedelta(days=offset) for offset in offsets), end]:
        rated = bill(ARREARS, subscription, target, Meter([]))
        if rated is not None:
            subscription = advanced(subscription, rated)
            assert subscription.arrears_through <= target
            spans += rated.lines
    reached: date | None = start
    for line in spans:
        assert line.period_start == reached
        assert line.period_start is not None
        assert line.period_end is not None
        whole = period_at(anchor, interval, line.period_start)
        assert line.period_end <= whole.end
        assert line.amount == scaled(1200, (line.period_end - line.period_start).days, whole.days)
        reached = line.period_end
    assert reached == end
    assert subscription.next_bill_on is None


@given(st.dates(date(2024, 1, 1), date(2026, 12, 31)), st.integers(1, 31), st.integers(0, 30))
def test_the_parts_of_an_item_and_its_successor_are_one_period(start: date, bill_day: int, cut: int) -> None:
    """Law 3: both items are measured against the same whole, in advance and in arrears alike."""
    anchor = first_anchor(start, Interval(Unit.MONTH), bill_day)
    whole = period_at(anchor, Interval(Unit.MONTH), start)
    middle = whole.start + timedelta(days=min(cut, whole.days))
    old = item(name="old", ends_on=middle, starts_on=LONG_AGO)
    new = item(name="new", starts_on=middle)
    subscription = terms(whole.start, old, new, anchor=anchor)
    advance = rate(book(plan=version(recurring("12.00"))), subscription, whole.start).lines
    later = replace(subscription, next_bill_on=whole.end)
    arrears = rate(ARREARS, later, whole.end).lines
    assert [told(line) for line in advance] == [told(line) for line in arrears]
    assert abs(sum(line.amount for line in advance) - Fraction(1200)) <= 1


@pytest.mark.parametrize("billed", ["advance", "arrears"])
def test_discounts_cut_what_is_billed_on_their_days(billed: str) -> None:
    prices = book(plan=version(recurring("12.00", billed=billed)))
    cut = percent("50", starts_on=date(2027, 1, 15), ends_on=date(2027, 2, 15))
    subscription = terms(date(2026, 12, 15), next_bill_on=date(2027, 1, 15), discounts=[cut])
    subscription.charged_through = date(2027, 1, 15)
    found = rate(prices, subscription, date(2027, 2, 15)).lines
    charged = [line.period_start for line in found if line.kind == "recurring"]
    discounted = [found[line.parent or 0].period_start for line in found if line.kind == "discount"]
    # Law 7; the bill of 15 January is for the period before it in arrears, and for the one it opens in advance.
    assert discounted == charged[:1]
    assert charged[0] == (date(2027, 1, 15) if billed == "advance" else date(2026, 12, 15))
