"""The entry that an invoice makes: debits are credits, whatever its lines (laws I1 and I9)."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger import (
    CHART,
    DEFERRED,
    RECEIVABLE,
    REVENUE,
    TAX_PAYABLE,
    Posting,
    Unbalanced,
    WrongPart,
    check_balanced,
    settle,
)
from domain.rating import Line
from tests.domain.books import line


def entry(*lines: Line) -> dict[str, int]:
    """Account → debit less credit."""
    return {account: debit - credit for account, debit, credit in settle(list(lines))[2]}


@pytest.mark.parametrize(
    ("lines", "books"),
    [
        # Paid in advance is owed until delivered; tax is the state's.
        (
            [line(1000, "recurring"), line(190, "tax", 0)],
            {RECEIVABLE: 1190, DEFERRED: -1000, TAX_PAYABLE: -190},
        ),
        # Usage and one-time purchases are delivered.
        ([line(300, "usage")], {RECEIVABLE: 300, REVENUE: -300}),
        (
            [line(999, "one_time"), line(1, "minimum"), line(-100, "adjustment")],
            {RECEIVABLE: 900, REVENUE: -900},
        ),
        # A discount follows the line that it reduces.
        (
            [
                line(1000, "recurring"),
                line(300, "usage"),
                line(-100, "discount", 0),
                line(-30, "discount", 1),
            ],
            {RECEIVABLE: 1170, DEFERRED: -900, REVENUE: -270},
        ),
        # Nothing owed, no entry; but what moves between accounts is written even so.
        ([line(1000, "recurring"), line(-1000, "discount", 0)], {}),
        ([line(1000, "recurring"), line(-1000, "adjustment")], {DEFERRED: -1000, REVENUE: 1000}),
        # More credited than charged turns every side round.
        (
            [line(-500, "unused_credit"), line(-100, "delivery_credit"), line(-95, "tax", 0)],
            {RECEIVABLE: -695, DEFERRED: 600, TAX_PAYABLE: 95},
        ),
        ([], {}),
    ],
)
def test_the_entry_of_an_invoice(lines: list[Line], books: dict[str, int]) -> None:
    assert entry(*lines) == books


def test_a_kind_without_account_is_refused() -> None:
    with pytest.raises(ValueError, match="kind 'gift'"):
        settle([line(100, "gift")])


def test_an_unbalanced_entry_is_refused() -> None:
    with pytest.raises(Unbalanced, match="differ by 1 "):
        check_balanced([Posting(RECEIVABLE, 101, 0), Posting(REVENUE, 0, 100)])
    check_balanced([])


KINDS = st.sampled_from(
    ["recurring", "usage", "one_time", "minimum", "adjustment", "unused_credit", "delivery_credit"]
)


@st.composite
def documents(draw: st.DrawFn) -> list[Line]:
    lines = [line(draw(st.integers(-(10**10), 10**10)), draw(KINDS)) for _ in range(draw(st.integers(0, 6)))]
    for parent in range(len(lines)):
        followers = draw(st.lists(st.sampled_from(["discount", "tax"]), max_size=3))
        lines += [line(draw(st.integers(-(10**9), 10**9)), kind, parent) for kind in followers]
    return lines


@given(documents())
def test_debits_are_credits_and_lines_add_up(lines: list[Line]) -> None:
    subtotal, tax, postings = settle(lines)
    assert tax == sum(each.amount for each in lines if each.kind == "tax")
    assert subtotal + tax == sum(each.amount for each in lines)
    assert sum(each.debit for each in postings) == sum(each.credit for each in postings)
    by_account: dict[str, int] = defaultdict(int)
    for account, debit, credit in postings:
        assert debit >= 0
        assert credit >= 0
        assert (debit == 0) != (credit == 0)
        assert account not in by_account
        by_account[account] = debit - credit
    assert by_account[RECEIVABLE] == subtotal + tax
    assert by_account[TAX_PAYABLE] == -tax
    assert by_account[DEFERRED] + by_account[REVENUE] == -subtotal


@pytest.mark.parametrize(
    ("lines", "parts", "books"),
    [
        # Of a credit, what was recognised reverses revenue, the rest deferred revenue.
        ([line(-500, "unused_credit")], {0: -200}, {RECEIVABLE: -500, DEFERRED: 200, REVENUE: 300}),
        ([line(-500, "unused_credit")], {0: 0}, {RECEIVABLE: -500, REVENUE: 500}),
        ([line(-500, "adjustment")], {0: -500}, {RECEIVABLE: -500, DEFERRED: 500}),
        # A book that ships later is deferred with its discount; the line beside it follows its kind.
        (
            [
                line(2000, "one_time"),
                line(300, "usage"),
                line(-500, "discount", 0),
                line(-30, "discount", 1),
                line(150, "tax", 0),
            ],
            {0: 1500},
            {RECEIVABLE: 1920, DEFERRED: -1500, REVENUE: -270, TAX_PAYABLE: -150},
        ),
        # A recurring line that is partly earned already.
        (
            [line(1000, "recurring"), line(-100, "discount", 0)],
            {0: 300},
            {RECEIVABLE: 900, DEFERRED: -300, REVENUE: -600},
        ),
        ([line(1000, "recurring")], {}, {RECEIVABLE: 1000, DEFERRED: -1000}),
    ],
)
def test_parts_of_a_line_may_be_said_to_be_deferred(
    lines: list[Line], parts: dict[int, int], books: dict[str, int]
) -> None:
    postings = settle(lines, parts)[2]
    assert {account: debit - credit for account, debit, credit in postings} == books


@pytest.mark.parametrize(
    ("place", "part", "message"),
    [
        (0, 901, "901 minor units of line 1 .* its net is 900"),
        (0, -1, "-1 minor units of line 1 .* its net is 900"),
        (2, -501, "-501 minor units of line 3 .* its net is -500"),
        (2, 1, "1 minor units of line 3"),
        (1, -100, "line 2 is a discount or tax"),
        (3, 0, "line 4 is a discount or tax"),
        (4, 0, "line 5 .* is not there"),
        (-1, 0, "line 0 .* is not there"),
    ],
)
def test_a_part_that_is_none_of_its_line_is_refused(place: int, part: int, message: str) -> None:
    lines = [line(1000), line(-100, "discount", 0), line(-500, "unused_credit"), line(90, "tax", 0)]
    with pytest.raises(WrongPart, match=message):
        settle(lines, {place: part})


def test_the_chart_has_each_account_once() -> None:
    codes = [account.code for account in CHART]
    assert len(set(codes)) == len(codes)
    assert {account.kind for account in CHART} == {"asset", "liability", "income", "expense"}
