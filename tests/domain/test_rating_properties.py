"""What holds for rating whatever is subscribed to and whenever it is billed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.charge_key import charge_key
from domain.money import allocate
from domain.periods import Interval, Unit, boundary, first_anchor, period_at
from domain.price_book import PriceBook
from domain.rating import (
    Line,
    SubscriptionTerms,
    due_steps,
)
from domain.subscriptions import State
from tests.domain.books import (
    YEAR,
    book,
    item,
    minimum,
    off,
    percent,
    recurring,
    terms,
    uid,
    usage,
    version,
)
from tests.domain.rated import MONTHLY, Meter, advanced, bill, rate, versions

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
        main.append(usage("0.105", allowance="10", zero_usage=draw(st.sampled_from(["omit", "line"]))))
        if draw(st.booleans()):
            main.append(minimum("3.00"))
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


@given(cases())
def test_a_minimum_is_reached_and_never_passed(case: Case) -> None:
    """Usage and minimum of a window come to the part of 3.00 that the window is, or the usage alone to more."""
    subscription = case.subscription
    for line in every(case):
        if line.kind != "minimum":
            continue
        assert line.period_start is not None
        assert line.period_end is not None
        whole = period_at(subscription.anchor, subscription.interval, line.period_start)
        assert whole.start <= line.period_start < line.period_end <= whole.end
        used = sum(
            other.amount
            for other in every(case)
            if other.kind == "usage" and other.period_end == line.period_end and other.item_id == line.item_id
        )
        part = Fraction(300 * (line.period_end - line.period_start).days, whole.days)
        assert line.amount > 0
        assert abs(used + line.amount - part) <= Fraction(1, 2)


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
