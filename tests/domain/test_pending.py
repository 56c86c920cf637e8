"""What waits for the next invoice: shortened or dropped instead of being billed and given back (laws 5 and I9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credits import CreditLine
from domain.lines import Line
from domain.pending import NOT_ON_A_DOCUMENT, UNCUT, Waiting, as_billed, laid_out, shortened, waiting
from tests.domain.amended import FEB, jan
from tests.domain.books import line

JAN = jan(1)


def charge(amount: int = 3100, start: date | None = JAN, end: date | None = FEB) -> Line:
    return replace(line(amount), period_start=start, period_end=end, item_id="item")


def credit(of: Line, start: date | None, end: date | None = FEB) -> CreditLine:
    return CreditLine(of.charge_key, "unused_credit", start, end, -1)


def test_each_line_waits_with_what_belongs_to_it() -> None:
    lines = [
        charge(1),
        charge(2),
        line(-20, "discount", 1),
        line(-10, "discount", 0),
        line(3, "tax", 1),
    ]
    one, other = waiting(lines)
    assert [(each.amount, each.parent) for each in one.lines] == [(1, None), (-10, 0)]
    assert [(each.amount, each.parent) for each in other.lines] == [(2, None), (-20, 0), (3, 0)]
    assert (one.head, other.head) == (lines[0], lines[1])
    assert (one.amount, other.amount) == (-9, -15)
    assert waiting([]) == []


def test_waiting_lines_are_laid_out_behind_those_that_stand_already() -> None:
    lines = [charge(1), line(-10, "discount", 0), charge(2), line(-20, "discount", 2), line(3, "tax", 2)]
    pending = waiting(lines)
    assert laid_out(pending) == lines
    assert [each.parent for each in laid_out(pending, 5)] == [None, 5, None, 7, 7]


def test_what_waits_is_as_if_it_were_billed() -> None:
    first, second = charge(3100), charge(500)
    pending = waiting([first, line(-310, "discount", 0), second, charge(-5, None, None)])
    pending.append(Waiting((line(-7, "unused_credit"),)))
    found = as_billed(pending)
    assert [(each.key, each.net) for each in found[:2]] == [
        (first.charge_key, 2790),
        (second.charge_key, 500),
    ]
    assert {each.document for each in found} == {NOT_ON_A_DOCUMENT}
    assert -7 not in [each.net for each in found]


@pytest.mark.parametrize(
    ("start", "amounts", "end"),
    [
        (jan(16), [1500, -150], jan(16)),  # 15 of 31 days
        (jan(2), [100, -10], jan(2)),
        (jan(31), [3000, -300], jan(31)),
        (FEB, [3100, -310], FEB),
        (date(2026, 2, 5), [3100, -310], FEB),  # no longer than it was
    ],
)
def test_a_charge_ends_where_the_credited_time_begins(start: date, amounts: list[int], end: date) -> None:
    first = charge()
    (kept,) = shortened(waiting([first, line(-310, "discount", 0)]), [credit(first, start)])
    assert [each.amount for each in kept.lines] == amounts
    assert (kept.head.period_start, kept.head.period_end) == (jan(1), end)
    assert kept.lines[1].period_end is None
    assert kept.head.charge_key == first.charge_key


@pytest.mark.parametrize("start", [jan(1), date(2025, 12, 5), None])
def test_a_charge_that_has_no_time_left_is_gone_with_its_discounts(start: date | None) -> None:
    first, second = charge(1), charge(2)
    pending = waiting([first, line(-1, "discount", 0), second])
    assert [each.head for each in shortened(pending, [credit(first, start)])] == [second]


@pytest.mark.parametrize("span", [(None, None), (jan(1), None), (None, FEB)])
def test_a_charge_for_no_time_is_gone(span: tuple[date | None, date | None]) -> None:
    first = charge(500, *span)
    assert shortened(waiting([first]), [credit(first, jan(16))]) == []


def test_only_what_is_credited_is_shortened() -> None:
    first, second, third = charge(), charge(200), charge(300)
    pending = waiting([first, second, third])
    kept = shortened(pending, [credit(second, jan(1)), credit(third, jan(16)), credit(charge(), jan(1))])
    assert [each.head.amount for each in kept] == [3100, 145]
    assert kept[0] is pending[0]
    assert len(pending) == 3
    assert shortened(pending, []) == pending


def test_what_was_shortened_remembers_what_it_was() -> None:
    first = charge()
    pending = waiting([first, line(-310, "discount", 0)])
    (whole,) = as_billed(pending)
    rest, uncut = as_billed(shortened(pending, [credit(first, jan(16))]))
    assert (rest.kind, rest.net, rest.end) == ("recurring", 1350, jan(16))
    assert uncut == replace(whole, kind=UNCUT)


@given(
    st.integers(0, 100_000),
    st.integers(0, 5000),
    st.lists(st.integers(2, 31).map(jan), min_size=1, max_size=5),
)
def test_what_is_kept_and_what_is_cut_off_are_the_whole(amount: int, cut: int, days: list[date]) -> None:
    # law I9: cut earlier and earlier, nothing is lost but what is cut, and no more than the whole is ever kept.
    first = charge(amount)
    pending = waiting([first, line(-min(cut, amount), "discount", 0)])
    left = pending[0].amount
    for day in sorted(days, reverse=True):
        pending = shortened(pending, [credit(first, day)])
        rest, uncut = as_billed(pending)
        assert 0 <= rest.net <= left
        assert uncut.net == left
        left = pending[0].amount
