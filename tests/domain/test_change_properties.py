"""Any sequence of amendments: parts sum to the whole, no more is credited than was billed, each day is covered once."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from domain.amendments import Refused
from domain.credits import left_of
from domain.discounts import Discount
from domain.policy import Behaviour
from tests.domain.amended import (
    CURRENCIES,
    FEB,
    PERIOD_END,
    PRORATED,
    RESTART,
    UNPRORATED,
    Reader,
    in_trial,
    jan,
    reader,
)
from tests.domain.books import off, percent

# What a day of January costs, cents: the plans and what each costs a month.
MONTHLY = {"basic": 3100, "twin": 3100, "plus": 6200, "odd": 1001, "odder": 1799}
days = st.lists(st.integers(1, 31).map(jan), min_size=1, max_size=6, unique=True).map(sorted)


class Act(NamedTuple):
    """A command, so many days after the one before."""

    after: int
    what: str
    plan: str
    behaviour: Behaviour
    day: int


acts = st.lists(
    st.builds(
        Act,
        st.sampled_from([0, 0, 1, 3, 9, 20, 40]),
        st.sampled_from(
            [
                "bill",
                "bill",
                "change",
                "change",
                "change",
                "pause",
                "resume",
                "resume",
                "cancel",
                "later",
                "back",
                "day",
            ]
        ),
        st.sampled_from([*MONTHLY, "seats", "intros", "bundle", "setup"]),
        st.sampled_from([PRORATED, PRORATED, UNPRORATED, PERIOD_END, RESTART]),
        st.sampled_from([1, 10, 28, 31]),
    ),
    max_size=12,
)
discounts = st.sampled_from([[], [percent("33")], [off(333)], [percent("50"), off(20, "MORE")]])


@given(days, st.booleans())
def test_prorated_changes_between_plans_of_one_price_sum_to_it(changes: list[date], later: bool) -> None:
    # law I9: each day of January is a dollar, so every part is exact.
    who = reader("basic", later=later)
    who.bill(jan(1))
    for number, day in enumerate(changes):
        who.change(day, "basic" if number % 2 else "twin")
        assert who.net == 3100
        assert who.uncovered() == []


@given(days, st.integers(1, 100_000), st.booleans())
def test_at_any_price_they_sum_to_it_but_for_half_a_unit_a_change(
    changes: list[date], price: int, later: bool
) -> None:
    # Charges are rounded on their own part: each change can move the sum by half a unit for its charge and its credit.
    who = reader("basic", price_override=price, later=later)
    who.bill(jan(1))
    for number, day in enumerate(changes, 1):
        who.change(day, "twin" if number % 2 else "basic", price=price)
        assert abs(who.net - price) <= number


@given(days, st.lists(st.sampled_from([*MONTHLY]), min_size=6, max_size=6), st.booleans(), st.booleans())
def test_the_net_is_that_of_each_day_at_its_plans_price(
    changes: list[date], plans: list[str], later: bool, end: bool
) -> None:
    # laws 4 and 5: reckoned day by day, the change day at the new plan's price, the cancel day at none.
    who = reader("basic", later=later)
    who.bill(jan(1))
    by_day = dict(zip(changes, plans, strict=False))
    for day, plan in by_day.items():
        who.change(day, plan)
    last = changes[-1] + timedelta(days=1) if end else FEB
    if end:
        who.cancel(last)
    expected, plan, day = Fraction(0), "basic", jan(1)
    while day < last:
        plan = by_day.get(day, plan)
        expected += Fraction(MONTHLY[plan], 31)
        day += timedelta(days=1)
    assert abs(who.net - expected) <= len(changes) + 1
    assert who.uncovered() == []


@given(
    acts,
    st.sampled_from(["basic", "odd", "seats", "intros", "trial"]),
    st.sampled_from(CURRENCIES),
    discounts,
    st.sampled_from([None, "NY"]),
    st.booleans(),
)
def test_no_more_is_credited_than_was_billed_and_each_day_is_covered_once(
    commands: list[Act],
    plan: str,
    currency: str,
    coupons: list[Discount],
    region: str | None,
    later: bool,
) -> None:
    # laws 5, I3 and I13
    fields: dict[str, Any] = {"currency": currency, "discounts": coupons, "region": region, "later": later}
    who = in_trial("basic", **fields) if plan == "trial" else reader(plan, **fields)
    day = jan(1)
    who.bill(day)
    for act in commands:
        day += timedelta(days=act.after)
        obey(who, act, day)
        never_too_much(who)
        assert who.uncovered() == []


def obey(who: Reader, act: Act, day: date) -> None:
    """Do it, or not when it is refused."""
    try:
        match act.what:
            case "bill":
                who.bill(day)
            case "change" if any(served(who, day)):
                who.change(day, act.plan, act.behaviour)
            case "pause":
                who.pause(day)
            case "resume" if who.paused_on is not None:
                who.resume(day)
            case "cancel":
                who.cancel(day)
                if who.paused_on is not None:
                    who.pauses.append((who.paused_on, day))
                    who.paused_on = None
            case "later":
                who.cancel_later(day)
            case "back" if who.paused_on is None:
                who.reactivate(day)
            case "day":
                who.bill_cycle_day(day, act.day)
    except Refused:
        pass


def served(who: Reader, day: date) -> list[str]:
    return [
        each.id
        for each in who.items
        if each.starts_on <= day and (each.ends_on is None or each.ends_on > day)
    ]


def never_too_much(who: Reader) -> None:
    for line in who.billed:
        left = left_of(line, who.credits)
        assert 0 <= left.net <= line.net
        for rest, tax in zip(left.taxes, line.taxes, strict=True):
            assert 0 <= rest.amount <= tax.amount
    keys = [line.key for line in who.billed]
    assert len(keys) == len({*keys})


@given(
    st.lists(st.integers(1, 28), min_size=2, max_size=6),
)
def test_pauses_that_keep_time_lose_no_day(gaps: list[int]) -> None:
    # Whatever is paused, the days served and the days that are left are those that were paid for.
    who = reader("odd")
    who.bill(jan(1))
    served_days, day = 0, jan(1)
    for number, gap in enumerate(gaps):
        if number % 2:
            day += timedelta(days=gap)
            who.resume(day)
        elif served_days + gap < 31:
            served_days += gap
            day += timedelta(days=gap)
            who.pause(day, keep=True)
        else:
            break
    if who.paused_on is None:
        assert (who.terms.charged_through - day).days == 31 - served_days
    made = who.cancel(day)
    (credit,) = made.credits
    assert credit.start == jan(1) + timedelta(days=served_days)
    assert credit.end == FEB
