"""Usage on an invoice (law 8): windows, tiers, lateness, boundaries."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from domain.charge_key import charge_key
from domain.money import MoneyError
from domain.periods import Anchor
from domain.price_book import PriceBook
from domain.rating import Line, Usage, metered_by_event, rate_subscription, usage_windows
from tests.domain.books import (
    PRODUCTS,
    book,
    item,
    minimum,
    percent,
    percentage,
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


# --- no usage ---


def arrears(
    prices: PriceBook, records: list[tuple[date, int]], as_of: date = date(2026, 12, 15), **more: Any
) -> list[Line]:
    """The lines of the bill of 15 December for a subscription from 15 November, recurring ones left out."""
    subscription = terms(date(2026, 11, 15), next_bill_on=date(2026, 12, 15), **more)
    found = bill(prices, subscription, as_of, Meter([(day, Decimal(count)) for day, count in records]))
    assert found is not None
    return [line for line in found.lines if line.kind != "recurring"]


def test_no_usage_can_be_a_line_that_says_so() -> None:
    (line,) = arrears(book(plan=version(recurring(), usage(zero_usage="line"))), [])
    assert told(line) == ("usage", "2026-11-15..2026-12-15", 0)
    assert line.quantity == 0
    two = version(usage(zero_usage="line"), usage(code="other", zero_usage="line"))
    assert [line.amount for line in arrears(book(plan=two), [])] == [0, 0]
    (line,) = arrears(book(plan=version(recurring(), usage(zero_usage="line"))), [(date(2026, 11, 20), 3)])
    assert (line.quantity, line.amount) == (3, 30)


@pytest.mark.parametrize(
    ("policy", "said", "lines"),
    [("price", "omit", 0), ("price", "line", 1), ("omit", "line", 0), ("line", "omit", 1)],
)
def test_a_policy_stands_above_what_prices_say_of_no_usage(policy: Any, said: str, lines: int) -> None:
    plan = version(recurring(), usage(zero_usage=said))
    ids = {("plan", 1, "evergreen", code, "USD"): uid(code) for code in ("access", "reading")}
    prices = PriceBook({"plan": (plan,)}, {"plan": "digital"}, PRODUCTS, ids, policy)
    assert len(arrears(prices, [])) == lines


@pytest.mark.parametrize(
    ("dates", "lines"),
    [
        ({"starts_on": date(2026, 12, 14)}, 1),
        ({"starts_on": date(2026, 12, 15)}, 0),  # not served in the window
        ({"ends_on": date(2026, 11, 16)}, 1),
        ({"ends_on": date(2026, 11, 15)}, 0),
    ],
)
def test_no_usage_is_said_of_items_that_were_served(dates: dict[str, date], lines: int) -> None:
    prices = book(plan=version(recurring(), usage(zero_usage="line"), minimum("1.00")))
    subscription = terms(date(2026, 11, 15), item(**dates), next_bill_on=date(2026, 12, 15))
    found = rate_subscription(prices, "USD", subscription, date(2026, 12, 15))
    assert found is not None
    kinds = [line.kind for line in found.lines if line.kind != "recurring"]
    assert kinds == ["usage", "minimum"][: 2 * lines]


# --- minimum ---


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ([], [("minimum", 2000)]),
        ([(date(2026, 11, 20), 50)], [("usage", 500), ("minimum", 1500)]),
        ([(date(2026, 11, 20), 199)], [("usage", 1990), ("minimum", 10)]),
        ([(date(2026, 11, 20), 200)], [("usage", 2000)]),
        ([(date(2026, 11, 20), 201)], [("usage", 2010)]),
        ([(date(2026, 12, 15), 201)], [("minimum", 2000)]),  # law 8: on the boundary it is the next period's
    ],
)
def test_usage_is_brought_up_to_the_minimum(
    read: list[tuple[date, int]], expected: list[tuple[str, int]]
) -> None:
    prices = book(plan=version(recurring("99.00"), usage("0.10"), minimum("20.00")))
    assert [(line.kind, line.amount) for line in arrears(prices, read)] == expected


def test_a_minimum_says_what_it_is_for() -> None:
    prices = book(plan=version(usage("0.10"), minimum("20.00", product="books")))
    (line,) = arrears(prices, [])
    assert told(line) == ("minimum", "2026-11-15..2026-12-15", 2000)
    assert (line.item_id, line.price_id, line.part, line.category, line.quantity) == (
        uid("item"),
        uid("plan/1/evergreen/least/USD"),
        "books",
        "ebook",
        1,
    )
    # Law I3: item, price and service period.
    assert line.charge_key == charge_key(uid("item"), f"{line.price_id}|minimum|2026-11-15|2026-12-15")


def test_all_usage_of_the_item_counts_and_that_of_others_does_not() -> None:
    prices = book(
        plan=version(usage("0.10"), usage("1.00", code="dear"), minimum("20.00")),
        other=version(usage("9.00")),
    )
    subscription = terms(date(2026, 11, 15), item(), item("other", "second"), next_bill_on=date(2026, 12, 15))
    answers = {(uid(name), "articles", date(2026, 12, 15)): Decimal(10) for name in ("item", "second")}
    found = rate_subscription(prices, "USD", subscription, date(2026, 12, 15), answers)
    assert found is not None
    assert [(line.kind, line.amount) for line in found.lines] == [
        ("usage", 100),
        ("usage", 1000),
        ("minimum", 900),
        ("usage", 9000),
    ]


@pytest.mark.parametrize(
    ("more", "cents"),
    [
        ({"items": [item(starts_on=date(2026, 12, 9))]}, 400),  # 6 of the 30 days from 15 November
        ({"items": [item(ends_on=date(2026, 11, 18))]}, 200),
        ({"ends_on": date(2026, 11, 18)}, 200),
        ({"anchor": Anchor.at(date(2026, 12, 15)), "arrears_through": date(2026, 12, 1)}, 933),  # 14 of 30
        # Two periods at once, none of them billed before: 30 of 30 and 31 of 31.
        ({"items": [item()], "arrears_through": date(2026, 10, 15)}, 4000),
    ],
)
def test_a_minimum_of_a_part_of_a_period_is_that_part(more: dict[str, Any], cents: int) -> None:
    prices = book(plan=version(recurring(), minimum("20.00")))
    assert [line.amount for line in arrears(prices, [], **more)] == [cents]


def test_a_minimum_of_two_periods_is_dated_with_both() -> None:
    prices = book(plan=version(recurring(), minimum("20.00")))
    (line,) = arrears(prices, [], items=[item()], arrears_through=date(2026, 10, 15))
    assert told(line)[1] == "2026-10-15..2026-12-15"


def test_a_minimum_is_reckoned_before_discounts() -> None:
    prices = book(plan=version(usage("0.10"), minimum("20.00")))
    found = arrears(prices, [(date(2026, 11, 20), 50)], discounts=[percent("50")])
    assert [(line.kind, line.amount) for line in found] == [
        ("usage", 500),
        ("minimum", 1500),
        ("discount", -250),
        ("discount", -750),
    ]


# --- percentage ---

TIPS = book(plan=version(recurring("2.00"), percentage("5", fixed_fees={"USD": "0.10"}, free_events=1)))


def test_a_percentage_by_event_is_charged_from_single_events() -> None:
    subscription = terms(date(2026, 11, 15), next_bill_on=date(2026, 12, 15))
    assert metered_by_event(TIPS, "USD", subscription) == {(uid("item"), "articles")}
    key = (uid("item"), "articles", date(2026, 12, 15))
    events = (Decimal(900), Decimal(210), Decimal(333))
    answer = {key: Usage(sum(events, Decimal(0)), events)}
    found = rate_subscription(TIPS, "USD", subscription, date(2026, 12, 15), answer)
    assert found is not None
    (line,) = [line for line in found.lines if line.kind == "usage"]
    assert (line.quantity, line.amount) == (1443, 47)  # 10.5 + 10 + 16.65 + 10 = 47.15
    with pytest.raises(MoneyError, match="'tips' is charged by event, and only the sum"):
        rate_subscription(TIPS, "USD", subscription, date(2026, 12, 15), {key: Decimal(1443)})


def test_a_percentage_of_the_sum_needs_no_events() -> None:
    prices = book(plan=version(recurring(), percentage("5", free_amounts={"USD": "1.00"})))
    subscription = terms(date(2026, 11, 15))
    assert metered_by_event(prices, "USD", subscription) == set()
    assert metered_by_event(METERED, "USD", subscription) == set()
    assert [
        line.amount for line in arrears(prices, [(date(2026, 11, 20), 150), (date(2026, 11, 21), 60)])
    ] == [6]


def test_events_that_came_along_are_their_sum_to_other_prices() -> None:
    subscription = terms(date(2026, 11, 15), next_bill_on=date(2026, 12, 15))
    answer = {(uid("item"), "articles", date(2026, 12, 15)): Usage(Decimal(15), (Decimal(7), Decimal(8)))}
    found = rate_subscription(METERED, "USD", subscription, date(2026, 12, 15), answer)
    assert found is not None
    assert [(line.quantity, line.amount) for line in found.lines if line.kind == "usage"] == [(15, 50)]


def test_a_version_that_renewal_leads_to_asks_for_its_events_in_time() -> None:
    later = version(
        recurring(),
        percentage("5", free_events=1),
        number=2,
        effective=date(2027, 1, 1),
        applies_to="renewal",
    )
    prices = book(plan=(version(recurring()), later))
    assert metered_by_event(prices, "USD", terms(date(2026, 11, 15))) == {(uid("item"), "articles")}
