"""What a subscription owes on a day (billing laws 1 to 3, 7 and 8; laws I3, I9 and I13 of the books)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import MoneyError
from domain.periods import Anchor, Interval, Unit, first_anchor
from domain.price_book import PriceBook
from domain.rating import (
    Discount,
    SubscriptionTerms,
    rate_subscription,
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
    version,
)
from tests.domain.rated import MONTHLY, lines, rate, told, versions

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


def test_a_date_mistaken_by_centuries_is_refused() -> None:
    with pytest.raises(MoneyError, match="is the date right"):
        rate(MONTHLY, terms(date(2026, 12, 1)), date(9999, 12, 31))
