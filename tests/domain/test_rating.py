"""What a subscription owes on a day (billing laws 1 to 3, 7 and 8; laws I3, I9 and I13 of the books)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.charge_key import charge_key
from domain.money import MoneyError, allocate
from domain.periods import Anchor, Interval, Unit, boundary, first_anchor, period_at
from domain.price_book import PriceBook
from domain.rating import (
    Discount,
    Line,
    Rated,
    SubscriptionTerms,
    UsageKey,
    due_steps,
    rate_subscription,
    usage_windows,
)
from domain.subscriptions import State
from tests.domain.books import (
    YEAR,
    book,
    item,
    off,
    one_time,
    percent,
    recurring,
    terms,
    uid,
    usage,
    version,
)

MONTHLY = book(plan=version(recurring("12.00")))


def rate(prices: PriceBook, subscription: SubscriptionTerms, as_of: date, currency: str = "USD") -> Rated:
    found = rate_subscription(prices, currency, subscription, as_of)
    assert found is not None
    return found


def lines(prices: PriceBook, subscription: SubscriptionTerms, as_of: date) -> list[tuple[Any, ...]]:
    return [told(line) for line in rate(prices, subscription, as_of).lines]


def told(line: Line) -> tuple[Any, ...]:
    """Kind, period as text, amount."""
    span = f"{line.period_start}..{line.period_end}" if line.period_start else ""
    return line.kind, span, line.amount


def advanced(subscription: SubscriptionTerms, rated: Rated) -> SubscriptionTerms:
    """The subscription as its row stands after posting."""
    return replace(
        subscription,
        charged_through=rated.charged_through,
        arrears_through=rated.arrears_through,
        next_bill_on=rated.next_bill_on,
    )


# --- what is due, and when ---


def test_a_period_is_billed_on_its_first_day_and_not_before() -> None:
    subscription = terms(date(2026, 12, 15))
    assert rate_subscription(MONTHLY, "USD", subscription, date(2026, 12, 14)) is None
    found = rate(MONTHLY, subscription, date(2026, 12, 15))
    assert [told(line) for line in found.lines] == [("recurring", "2026-12-15..2027-01-15", 1200)]
    assert (found.charged_through, found.arrears_through, found.next_bill_on) == (
        date(2027, 1, 15),
        date(2026, 12, 15),
        date(2027, 1, 15),
    )


def test_a_line_says_what_it_is_for() -> None:
    (line,) = rate(MONTHLY, terms(date(2026, 12, 15)), date(2026, 12, 15)).lines
    assert (line.item_id, line.price_id, line.part, line.category) == (
        uid("item"),
        uid("plan/1/evergreen/access/USD"),
        "digital",
        "digital",
    )
    assert (line.quantity, line.parent, line.reference, line.rate) == (1, None, None, None)


def test_a_late_run_bills_each_period_that_has_begun() -> None:
    # Law 2: from the 31st over February and back.
    assert lines(MONTHLY, terms(date(2026, 1, 31)), date(2026, 4, 29)) == [
        ("recurring", "2026-01-31..2026-02-28", 1200),
        ("recurring", "2026-02-28..2026-03-31", 1200),
        ("recurring", "2026-03-31..2026-04-30", 1200),
    ]


def test_a_yearly_leap_day_returns() -> None:
    found = lines(
        book(plan=version(recurring("120.00"))),
        terms(date(2024, 2, 29), interval=YEAR),
        date(2028, 2, 29),
    )
    assert [span for _, span, _ in found] == [
        "2024-02-29..2025-02-28",
        "2025-02-28..2026-02-28",
        "2026-02-28..2027-02-28",
        "2027-02-28..2028-02-29",
        "2028-02-29..2029-02-28",
    ]
    assert {amount for _, _, amount in found} == {12000}


@pytest.mark.parametrize("status", [State.PAUSED, State.CANCELED])
def test_what_is_held_by_a_command_is_not_billed(status: State) -> None:
    assert (
        rate_subscription(MONTHLY, "USD", terms(date(2026, 12, 1), status=status), date(2027, 2, 1)) is None
    )


@pytest.mark.parametrize("status", [State.ACTIVE, State.PAST_DUE, State.TRIALING, State.DRAFT])
def test_what_the_calendar_makes_active_is_billed_whatever_was_written_down(status: State) -> None:
    assert len(rate(MONTHLY, terms(date(2026, 12, 1), status=status), date(2026, 12, 1)).lines) == 1


def test_nothing_is_due_before_the_start_nor_without_a_bill_day() -> None:
    early = terms(date(2026, 12, 1), starts_on=date(2026, 12, 15))
    assert rate_subscription(MONTHLY, "USD", early, date(2026, 12, 1)) is None
    over = terms(date(2026, 12, 1), next_bill_on=None)
    assert rate_subscription(MONTHLY, "USD", over, date(2030, 1, 1)) is None


def test_a_price_that_the_catalog_lacks_is_refused() -> None:
    with pytest.raises(MoneyError, match="no price 'access' in EUR"):
        rate_subscription(MONTHLY, "EUR", terms(date(2026, 12, 1)), date(2026, 12, 1))


# --- parts of periods (law 3: the denominator is always a whole period) ---


@pytest.mark.parametrize(
    ("charged_from", "bill_day", "stub", "cents"),
    [
        # 18 of the 28 days from 31 January to 28 February.
        (date(2026, 2, 10), 31, "2026-02-10..2026-02-28", 771),
        # 15 of the 31 days from 1 to 31 January, and not of February's 28.
        (date(2026, 1, 17), 1, "2026-01-17..2026-02-01", 581),
        # 1 of 28; 30 of 31.
        (date(2026, 2, 28), 1, "2026-02-28..2026-03-01", 43),
        (date(2026, 1, 2), 1, "2026-01-02..2026-02-01", 1161),
        # 15 of the 29 days of a leap February.
        (date(2024, 2, 15), 1, "2024-02-15..2024-03-01", 621),
    ],
)
def test_a_leading_stub_is_measured_against_the_period_that_ends_on_the_anchor(
    charged_from: date, bill_day: int, stub: str, cents: int
) -> None:
    anchor = first_anchor(charged_from, Interval(Unit.MONTH), bill_day)
    subscription = terms(charged_from, anchor=anchor)
    assert lines(MONTHLY, subscription, charged_from) == [("recurring", stub, cents)]
    assert lines(MONTHLY, subscription, anchor.on)[1][2] == 1200


def test_a_yearly_stub_is_measured_against_a_year() -> None:
    anchor = first_anchor(date(2024, 2, 10), YEAR, 1)
    subscription = terms(date(2024, 2, 10), anchor=anchor, interval=YEAR)
    # 20 days of the 366 from 1 March 2023 to 1 March 2024.
    assert lines(MONTHLY, subscription, date(2024, 2, 10)) == [("recurring", "2024-02-10..2024-03-01", 66)]


def test_a_trailing_part_is_measured_against_the_period_it_begins() -> None:
    # 9 of the 28 days from 28 February to 28 March; the end is exclusive, and nothing follows it.
    subscription = terms(date(2026, 1, 28), ends_on=date(2026, 3, 9))
    found = rate(MONTHLY, subscription, date(2026, 12, 1))
    assert [told(line) for line in found.lines] == [
        ("recurring", "2026-01-28..2026-02-28", 1200),
        ("recurring", "2026-02-28..2026-03-09", 386),
    ]
    assert (found.charged_through, found.next_bill_on) == (date(2026, 3, 9), None)


def test_an_end_on_a_boundary_leaves_no_part() -> None:
    found = rate(MONTHLY, terms(date(2026, 1, 15), ends_on=date(2026, 3, 15)), date(2026, 12, 1))
    assert [told(line)[1] for line in found.lines] == ["2026-01-15..2026-02-15", "2026-02-15..2026-03-15"]
    assert found.next_bill_on is None


def test_a_period_that_another_system_cut_off_is_charged_from_there() -> None:
    subscription = terms(date(2026, 12, 1), anchor=Anchor.at(date(2026, 5, 20)))
    # 19 of the 30 days from 20 November to 20 December.
    assert lines(MONTHLY, subscription, date(2026, 12, 1)) == [("recurring", "2026-12-01..2026-12-20", 760)]


def test_an_item_is_charged_for_its_own_days_only() -> None:
    late = item(name="late", starts_on=date(2026, 12, 11), ends_on=date(2027, 1, 11))
    subscription = terms(date(2026, 12, 1), late)
    assert lines(MONTHLY, subscription, date(2027, 3, 1)) == [
        ("recurring", "2026-12-11..2027-01-01", 813),  # 21 of 31
        ("recurring", "2027-01-01..2027-01-11", 387),  # 10 of 31
    ]


# --- prices ---


def test_seats_multiply_and_round_once() -> None:
    seats = book(plan=version(recurring("9.99", model="per_unit")))
    subscription = terms(date(2026, 1, 17), item(quantity=Decimal(7)), anchor=Anchor.at(date(2026, 2, 1)))
    assert lines(seats, subscription, date(2026, 2, 1)) == [
        ("recurring", "2026-01-17..2026-02-01", 3384),  # 7 × 9.99 × 15/31 = 33.837
        ("recurring", "2026-02-01..2026-03-01", 6993),
    ]


@pytest.mark.parametrize(
    ("model", "quantity", "cents"),
    [("flat", "1", 777), ("flat", "3", 777), ("per_unit", "1", 777), ("per_unit", "3", 2331)],
)
def test_a_price_override_replaces_the_first_recurring_price(model: str, quantity: str, cents: int) -> None:
    prices = book(plan=version(recurring("12.00", model=model), recurring("3.00", code="extra")))
    special = item(quantity=Decimal(quantity), price_override=777)
    assert [amount for *_, amount in lines(prices, terms(date(2026, 12, 1), special), date(2026, 12, 1))] == [
        cents,
        300,
    ]


def test_an_override_is_prorated_like_the_price_it_replaces() -> None:
    anchor = Anchor.at(date(2026, 2, 1))
    flat = terms(date(2026, 1, 17), item(price_override=777), anchor=anchor)
    assert lines(MONTHLY, flat, date(2026, 1, 17))[0][2] == 376  # 777 × 15/31 = 375.97
    seats = book(plan=version(recurring("9.99", model="per_unit")))
    three = terms(date(2026, 1, 17), item(price_override=777, quantity=Decimal("2.5")), anchor=anchor)
    assert lines(seats, three, date(2026, 1, 17))[0][2] == 940  # 2.5 × 777 × 15/31 = 939.92


def test_an_override_of_a_tiered_price_is_refused() -> None:
    tiered = book(
        plan=version(
            {
                "code": "seats",
                "type": "recurring",
                "model": "volume",
                "tiers": [{"unit_amounts": {"USD": "1", "JPY": "1"}}],
            }
        )
    )
    with pytest.raises(MoneyError, match="'seats' is volume"):
        rate_subscription(tiered, "USD", terms(date(2026, 12, 1), item(price_override=5)), date(2026, 12, 1))


def test_yen_have_no_fractions() -> None:
    anchor = Anchor.at(date(2026, 2, 1))
    (line,) = rate(MONTHLY, terms(date(2026, 1, 17), anchor=anchor), date(2026, 1, 17), "JPY").lines
    assert line.amount == 581  # 1200 × 15/31 = 580.6


BUNDLE = book(
    plan=version(
        recurring("49.90", parts=[{"product": "print", "weight": 70}, {"product": "digital", "weight": 30}])
    )
)


def test_a_bundle_is_a_line_for_each_part_and_the_parts_are_the_price() -> None:
    found = rate(BUNDLE, terms(date(2026, 12, 1)), date(2026, 12, 1)).lines
    assert [(line.part, line.category, line.amount) for line in found] == [
        ("print", "print", 3493),
        ("digital", "digital", 1497),
    ]
    assert len({line.charge_key for line in found}) == 2


@given(st.integers(1, 27), st.integers(1, 28))
def test_the_parts_of_a_prorated_bundle_are_its_prorated_price(start: int, bill_day: int) -> None:
    charged_from = date(2026, 2, start)
    anchor = first_anchor(charged_from, Interval(Unit.MONTH), bill_day)
    found = rate(BUNDLE, terms(charged_from, anchor=anchor), charged_from).lines
    whole = rate(
        book(plan=version(recurring("49.90"))), terms(charged_from, anchor=anchor), charged_from
    ).lines
    assert sum(line.amount for line in found) == whole[0].amount


# --- phases and versions ---

INTRO = book(
    plan=version(
        phases=[
            {"kind": "intro", "periods": 2, "prices": [recurring("1.00")]},
            {"kind": "evergreen", "prices": [recurring("12.00")]},
        ]
    )
)


def test_an_intro_lasts_its_periods() -> None:
    found = lines(INTRO, terms(date(2026, 1, 31)), date(2026, 4, 30))
    assert [amount for *_, amount in found] == [100, 100, 1200, 1200]


def test_a_stub_belongs_to_the_first_phase_and_is_not_one_of_its_periods() -> None:
    subscription = terms(date(2026, 1, 17), anchor=Anchor.at(date(2026, 2, 1)))
    found = lines(INTRO, subscription, date(2026, 4, 1))
    assert [amount for *_, amount in found] == [48, 100, 100, 1200]  # 100 × 15/31 = 48.4


def test_an_intro_goes_on_where_another_system_left_it() -> None:
    subscription = terms(date(2026, 12, 1), anchor=Anchor.at(date(2026, 11, 1)), starts_on=date(2026, 11, 1))
    assert [amount for *_, amount in lines(INTRO, subscription, date(2027, 1, 1))] == [100, 1200]


def versions(applies_to: str, **first: Any) -> PriceBook:
    return book(
        plan=(
            version(recurring("12.00"), **first),
            version(recurring("13.50"), number=2, effective=date(2027, 3, 1), applies_to=applies_to),
        )
    )


@pytest.mark.parametrize(
    ("applies_to", "anchor_day", "cents"),
    [
        ("renewal", 1, [1200, 1200, 1350]),  # in force on the day of the renewal
        ("renewal", 15, [1200, 1200, 1350]),
        ("new", 1, [1200, 1200, 1200]),  # pinned for those who are here
    ],
)
def test_a_new_version_reaches_whom_it_says(applies_to: str, anchor_day: int, cents: list[int]) -> None:
    start = date(2027, 1, anchor_day)
    found = lines(versions(applies_to), terms(start), date(2027, 3, anchor_day))
    assert [amount for *_, amount in found] == cents


def test_a_fixed_term_keeps_its_price_until_it_is_renewed() -> None:
    prices = versions("renewal", term={"periods": 6, "then": "renew"})
    subscription = terms(date(2026, 11, 15))
    found = lines(prices, subscription, date(2027, 6, 15))
    # Version 2 is in force from 1 March; the term of 6 periods is renewed on 15 May.
    assert [(span[:10], amount) for _, span, amount in found][5:7] == [
        ("2027-04-15", 1200),
        ("2027-05-15", 1350),
    ]
    assert [amount for *_, amount in found] == [1200] * 6 + [1350] * 2


def test_a_one_time_price_is_charged_once_on_the_first_day() -> None:
    prices = book(plan=version(recurring("12.00"), one_time("5.00")))
    subscription = terms(date(2026, 11, 1))
    assert lines(prices, subscription, date(2026, 12, 1)) == [
        ("recurring", "2026-11-01..2026-12-01", 1200),
        ("one_time", "", 500),
        ("recurring", "2026-12-01..2027-01-01", 1200),
    ]
    # One that came from another system on a later day has paid it there.
    moved = terms(date(2026, 11, 1), charged_through=date(2026, 12, 1), next_bill_on=date(2026, 12, 1))
    assert [kind for kind, *_ in lines(prices, moved, date(2026, 12, 1))] == ["recurring"]


def test_a_one_time_price_waits_for_the_end_of_a_trial() -> None:
    prices = book(plan=version(recurring("12.00"), one_time("5.00")))
    trial = terms(date(2026, 11, 15), item(starts_on=date(2026, 11, 1)), starts_on=date(2026, 11, 1))
    trial.trial_ends_on = date(2026, 11, 15)
    assert [kind for kind, *_ in lines(prices, trial, date(2026, 11, 15))] == ["recurring", "one_time"]


# --- discounts: before tax, in order, never below zero (law 7) ---


def cuts(prices: PriceBook, subscription: SubscriptionTerms, as_of: date) -> list[tuple[str | None, int]]:
    found = rate(prices, subscription, as_of).lines
    return [(line.reference, line.amount) for line in found if line.kind == "discount"]


@pytest.mark.parametrize(
    ("discounts", "expected"),
    [
        ([percent("12.5")], [("PERCENT", -150)]),
        ([percent("100")], [("PERCENT", -1200)]),
        ([off(250)], [("OFF", -250)]),
        ([off(5000)], [("OFF", -1200)]),  # never below zero
        ([percent("50"), off(250)], [("PERCENT", -600), ("OFF", -250)]),
        ([off(250), percent("50")], [("OFF", -250), ("PERCENT", -475)]),  # each on what the one before left
        ([percent("50", "A"), percent("50", "B")], [("A", -600), ("B", -300)]),
        ([percent("100", "A"), percent("50", "B"), off(10)], [("A", -1200)]),
        ([percent("0.01")], []),  # less than half a cent
    ],
)
def test_discounts_stack_in_their_order(
    discounts: Sequence[Discount], expected: list[tuple[str, int]]
) -> None:
    assert cuts(MONTHLY, terms(date(2026, 12, 1), discounts=discounts), date(2026, 12, 1)) == expected


def test_a_discount_is_for_periods_that_begin_while_it_lasts() -> None:
    limited = percent("50", starts_on=date(2026, 12, 15), ends_on=date(2027, 2, 15))
    found = rate(MONTHLY, terms(date(2026, 11, 15), discounts=[limited]), date(2027, 3, 15)).lines
    discounted = [found[line.parent or 0].period_start for line in found if line.kind == "discount"]
    assert discounted == [date(2026, 12, 15), date(2027, 1, 15)]


def test_a_fixed_discount_is_shared_by_the_lines_of_a_period() -> None:
    prices = book(plan=version(recurring("12.00")), extra=version(recurring("3.00")))
    subscription = terms(date(2026, 12, 1), item(), item("extra", "second"), discounts=[off(250)])
    found = rate(prices, subscription, date(2027, 1, 1)).lines
    assert [(line.kind, line.amount, line.parent) for line in found] == [
        ("recurring", 1200, None),
        ("recurring", 300, None),
        ("discount", -200, 0),
        ("discount", -50, 1),
        ("recurring", 1200, None),
        ("recurring", 300, None),
        ("discount", -200, 4),
        ("discount", -50, 5),
    ]


# --- usage (law 8) ---


@dataclass
class Meter:
    """Usage by day as the database answers for it: what is billed is not answered again."""

    records: list[tuple[date, Decimal]]
    billed: list[tuple[date, Decimal]] = field(default_factory=list)

    def answer(self, windows: Iterable[tuple[str, str, date | None, date]]) -> dict[UsageKey, Decimal]:
        found: dict[UsageKey, Decimal] = {}
        for item_id, meter, since, until in windows:
            inside = [r for r in self.records if r[0] < until and (since is None or r[0] >= since)]
            self.records = [r for r in self.records if r not in inside]
            self.billed += inside
            if inside:
                found[item_id, meter, until] = sum((quantity for _, quantity in inside), Decimal(0))
        return found


def bill(prices: PriceBook, subscription: SubscriptionTerms, as_of: date, meter: Meter) -> Rated | None:
    found = meter.answer(usage_windows(prices, "USD", subscription, as_of))
    return rate_subscription(prices, "USD", subscription, as_of, found)


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


# --- properties ---

DAYS = st.dates(date(2023, 1, 1), date(2027, 12, 31))
PRICES = st.sampled_from(["12.00", "0.99", "49.90", "100.01"])


@dataclass
class Case:
    prices: PriceBook
    subscription: SubscriptionTerms
    readings: list[tuple[date, Decimal]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any subscription: interval, bill cycle day, cut-off, end, items, seats, overrides, discounts, usage, versions."""
    interval = draw(
        st.one_of(
            st.builds(Interval, st.just(Unit.MONTH), st.sampled_from([1, 2, 3, 6])),
            st.builds(Interval, st.just(Unit.WEEK), st.integers(1, 6)),
            st.builds(Interval, st.just(Unit.DAY), st.integers(5, 40)),
            st.just(YEAR),
        )
    )
    start = draw(DAYS)
    anchor = first_anchor(start, interval, draw(st.one_of(st.none(), st.integers(1, 31))))
    cut_off = start + timedelta(days=draw(st.one_of(st.just(0), st.integers(0, 200))))
    ends_on = draw(st.one_of(st.none(), st.integers(1, 400).map(lambda days: cut_off + timedelta(days=days))))
    metered = draw(st.booleans())
    main = [recurring(draw(PRICES), model=draw(st.sampled_from(["flat", "per_unit"])))]
    if metered:
        main.append(usage("0.105", allowance="10"))
    later = version(
        recurring(draw(PRICES)),
        usage("0.2") if metered else recurring("1.00", code="more"),
        number=2,
        effective=draw(DAYS),
        applies_to="renewal",
    )
    phases = [
        {"kind": "intro", "periods": draw(st.integers(1, 3)), "prices": main},
        {"kind": "evergreen", "prices": main},
    ]
    term = draw(st.one_of(st.none(), st.just({"periods": 3, "then": "renew"})))
    prices = book(
        plan=(version(phases=phases, term=term), later),
        paper=version(
            recurring(
                draw(PRICES), parts=[{"product": "print", "weight": 2}, {"product": "digital", "weight": 1}]
            )
        ),
    )
    override = draw(st.one_of(st.none(), st.integers(0, 5000)))
    items = [item(quantity=Decimal(draw(st.integers(0, 9))), price_override=override, starts_on=start)]
    if draw(st.booleans()):
        items.append(item("paper", "second", starts_on=start + timedelta(days=draw(st.integers(0, 60)))))
    one_discount = st.one_of(
        st.sampled_from(["10", "12.5", "33.3", "100"]).map(percent), st.integers(1, 3000).map(off)
    )
    discounts = [
        replace(
            found,
            code=f"{found.code}{place}",
            ends_on=draw(st.one_of(st.none(), st.just(start + timedelta(days=150)))),
        )
        for place, found in enumerate(draw(st.lists(one_discount, max_size=3)))
    ]
    readings = draw(
        st.lists(
            st.tuples(
                st.integers(0, 400).map(lambda days: cut_off + timedelta(days=days)),
                st.integers(1, 60).map(Decimal),
            ),
            max_size=8,
            unique_by=lambda reading: reading[0],
        )
    )
    subscription = terms(
        start,
        *items,
        anchor=anchor,
        interval=interval,
        ends_on=ends_on,
        charged_through=cut_off,
        arrears_through=cut_off,
        next_bill_on=cut_off,
        discounts=discounts,
    )
    return Case(prices, subscription, readings if metered else [])


def comparable(found: Sequence[Line]) -> list[tuple[Any, ...]]:
    """Lines with their parent's key in place of its position."""
    return [
        (
            line.kind, line.item_id, line.price_id, line.part, line.period_start, line.period_end, line.quantity,
            line.amount, None if line.parent is None else found[line.parent].charge_key, line.reference, line.rate,
            line.charge_key, line.category,
        )
        for line in found
    ]  # fmt: skip


def run_by_run(case: Case, targets: Sequence[date]) -> tuple[list[tuple[Any, ...]], SubscriptionTerms]:
    subscription, meter = case.subscription, Meter(list(case.readings))
    found: list[tuple[Any, ...]] = []
    for target in targets:
        rated = bill(case.prices, subscription, target, meter)
        if rated is not None:
            found += comparable(rated.lines)
            subscription = advanced(subscription, rated)
    return found, subscription


@given(cases(), st.lists(st.integers(0, 420), max_size=8))
def test_catching_up_bills_what_single_runs_would_have_billed(case: Case, offsets: list[int]) -> None:
    end = case.subscription.charged_through + timedelta(days=430)
    between = sorted(case.subscription.charged_through + timedelta(days=offset) for offset in offsets)
    at_once, after_one = run_by_run(case, [end])
    step_by_step, after_all = run_by_run(case, [*between, end])
    assert step_by_step == at_once
    assert after_all.charged_through == after_one.charged_through
    assert after_all.next_bill_on == after_one.next_bill_on
    if case.prices.version("plan", 1, "USD").has_usage:
        assert after_all.arrears_through == after_one.arrears_through
    assert run_by_run(case, [end, end])[0] == at_once  # nothing is due twice


def every(case: Case) -> list[Line]:
    meter = Meter(list(case.readings))
    rated = bill(
        case.prices, case.subscription, case.subscription.charged_through + timedelta(days=430), meter
    )
    return [] if rated is None else rated.lines


@given(cases())
def test_each_charge_has_a_key_of_its_own(case: Case) -> None:
    found = every(case)
    assert len({line.charge_key for line in found}) == len(found)
    for line in found:
        owner = line.item_id if line.parent is None else found[line.parent].charge_key
        assert line.charge_key == charge_key(owner or "", line.charge)


@given(cases())
def test_the_charged_days_tile_without_hole_or_overlap(case: Case) -> None:
    """Law I13, and law 3: each span lies in one period, and is the whole of it or a part at its beginning or end."""
    subscription = case.subscription
    target = subscription.charged_through + timedelta(days=430)
    rated = bill(case.prices, subscription, target, Meter(list(case.readings)))
    assert rated is not None
    for each in subscription.items:
        spans = {
            (line.period_start, line.period_end)
            for line in rated.lines
            if line.kind == "recurring" and line.item_id == each.id
        }
        expected = max(subscription.charged_through, each.starts_on)
        for start, end in sorted(spans):  # type: ignore[type-var]
            assert start == expected
            assert end is not None
            whole = period_at(subscription.anchor, subscription.interval, start)
            assert whole.start <= start < end <= whole.end
            expected = end
        if spans:
            assert expected == rated.charged_through
    end_of_all = subscription.ends_on or date.max
    assert rated.charged_through == min(
        end_of_all, period_at(subscription.anchor, subscription.interval, min(target, end_of_all)).end
    )
    assert rated.next_bill_on is None or rated.next_bill_on > target


@given(cases())
def test_discounts_never_take_more_than_there_is(case: Case) -> None:
    found = every(case)
    left = [line.amount for line in found]
    for line in found:
        if line.kind == "discount":
            assert line.parent is not None
            assert found[line.parent].kind != "discount"
            assert line.amount < 0
            left[line.parent] += line.amount
            assert left[line.parent] >= 0
            assert line.category == found[line.parent].category
    assert sum(line.amount for line in found) >= 0


@given(cases())
def test_each_unit_of_usage_is_billed_once_in_the_period_it_was_used_in(case: Case) -> None:
    subscription = case.subscription
    found = every(case)
    billed = [line for line in found if line.kind == "usage"]
    target = subscription.charged_through + timedelta(days=430)
    steps, _ = due_steps(subscription, bool(case.readings), target)
    last = steps[-1].bill_on
    assert sum(line.quantity for line in billed) == sum(q for day, q in case.readings if day < last)
    for line in billed:
        start, end = line.period_start, line.period_end
        assert start is not None
        assert end is not None
        assert line.quantity == sum(q for day, q in case.readings if start <= day < end)


@given(DAYS, st.integers(1, 31), st.integers(0, 40), st.integers(0, 10**6))
def test_the_parts_of_a_split_period_are_the_whole_to_their_roundings(
    charged_from: date, bill_day: int, split: int, cents: int
) -> None:
    """Law 3: two parts of one period are measured against the same whole, wherever it is split."""
    prices = book(plan=version(recurring(f"{Decimal(cents) / 100:.2f}")))
    anchor = first_anchor(charged_from, Interval(Unit.MONTH), bill_day)
    whole = period_at(anchor, Interval(Unit.MONTH), charged_from)
    middle = whole.start + timedelta(days=1 + split % (whole.days - 1))
    before = terms(whole.start, anchor=anchor, ends_on=middle)
    after = terms(middle, anchor=anchor)
    amounts = [rate(prices, each, each.charged_through).lines[0].amount for each in (before, after)]
    exact = [
        Fraction(cents * days, whole.days)
        for days in ((middle - whole.start).days, (whole.end - middle).days)
    ]
    assert all(abs(amount - want) <= Fraction(1, 2) for amount, want in zip(amounts, exact, strict=True))
    assert abs(sum(amounts) - cents) <= 1


@given(DAYS, st.integers(1, 31), st.sampled_from([1, 3, 6, 12]))
def test_a_leading_stub_never_costs_more_than_the_period(
    charged_from: date, bill_day: int, months: int
) -> None:
    interval = Interval(Unit.MONTH, months)
    anchor = first_anchor(charged_from, interval, bill_day)
    (line, *_) = rate(MONTHLY, terms(charged_from, anchor=anchor, interval=interval), charged_from).lines
    if anchor.on == charged_from:
        assert line.amount == 1200
        return
    whole = (anchor.on - boundary(anchor, interval, -1)).days
    assert line.period_end == anchor.on
    exact = Fraction(1200 * (anchor.on - charged_from).days, whole)
    assert abs(line.amount - exact) <= Fraction(1, 2)
    assert line.amount <= 1200


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 6000))
def test_a_fixed_discount_is_shared_by_amount_and_spent_whole(first: int, second: int, cut: int) -> None:
    prices = book(plan=version(recurring("1.00")), extra=version(recurring("1.00")))
    subscription = terms(
        date(2026, 12, 1),
        item(price_override=first),
        item("extra", "second", price_override=second),
        discounts=[off(cut)],
    )
    found = rate(prices, subscription, date(2026, 12, 1)).lines
    taken = {line.parent: -line.amount for line in found if line.kind == "discount"}
    assert sum(taken.values()) == min(cut, first + second)
    if first + second:
        shares = allocate(min(cut, first + second), [first, second])
        assert taken == {place: share for place, share in enumerate(shares) if share}


Change = Callable[[SubscriptionTerms], SubscriptionTerms]
CHANGES: list[tuple[str, Change]] = [
    ("item", lambda s: replace(s, items=[replace(s.items[0], id=uid("other"))])),
    ("period", lambda s: replace(s, charged_through=date(2026, 12, 2), next_bill_on=date(2026, 12, 2))),
    ("end", lambda s: replace(s, ends_on=date(2026, 12, 20))),
    ("version", lambda s: replace(s, items=[replace(s.items[0], plan_version=2)])),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_another_charge_has_another_key_and_the_same_charge_the_same(change: Change) -> None:
    prices = versions("new")
    subscription = terms(date(2026, 12, 1))
    (first,) = rate(prices, subscription, date(2026, 12, 1)).lines
    (again,) = rate(prices, subscription, date(2026, 12, 5)).lines
    (other,) = rate(prices, change(subscription), date(2026, 12, 5)).lines
    assert first.charge_key == again.charge_key != other.charge_key
    # Neither the status nor the row's version nor a discount is part of what was bought.
    same = replace(subscription, version=9, status=State.PAST_DUE, discounts=[percent("10")])
    assert rate(prices, same, date(2026, 12, 5)).lines[0].charge_key == first.charge_key
