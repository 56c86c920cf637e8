"""Credits: out of what was billed, never more than is left of it, never the same time twice (law 5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credits import (
    BilledLine,
    CreditLine,
    TooMuchCredit,
    credit_gross,
    credit_rest,
    credit_time,
    left_of,
)
from tests.domain.billed import INVOICE, amounts, billed, charges, month, taxes

JAN, FEB = date(2026, 1, 1), date(2026, 2, 1)
NEW_YORK = ZoneInfo("America/New_York")


def jan(day: int) -> date:
    return date(2026, 1, day)


def given_back(net: int, start: date | None = None, end: date | None = None, **tax: int) -> CreditLine:
    return CreditLine("line", "unused_credit", start, end, net, taxes(**tax))


def test_sums_of_a_line_and_of_a_credit() -> None:
    line = month(3100, City=62, State=31)
    assert (line.tax, line.gross) == (93, 3193)
    credit = given_back(-310, City=-6, State=-3)
    assert (credit.tax, credit.gross) == (-9, -319)


def test_what_is_left_keeps_all_but_the_amounts() -> None:
    line = month(3100, City=62, State=31)
    credits = [
        given_back(-310, City=-6, State=-3),
        given_back(-90, City=-1),
        CreditLine("another", "adjustment", None, None, -1, ()),
    ]
    left = left_of(line, credits)
    assert amounts(left) == (2700, 55, 28)
    assert (left.key, left.document, left.kind, left.category) == ("line", INVOICE, "recurring", "digital")
    assert (left.item_id, left.price_id, left.product) == ("item", "price", "product")
    assert (left.start, left.end, left.quantity) == (JAN, FEB, Decimal(1))
    assert [(tax.jurisdiction, tax.rate) for tax in left.taxes] == [
        ("City", Decimal("0.1")),
        ("State", Decimal("0.1")),
    ]


@pytest.mark.parametrize(
    ("start", "end", "credited", "span"),
    [
        (jan(11), FEB, (-677, -14), (jan(11), FEB)),  # 1000 × 21/31 = 677.4; 20 × 21/31 = 13.5
        (jan(11), jan(12), (-32, -1), (jan(11), jan(12))),  # running 322.58 → 354.84; 6.45 → 7.10
        (date(2025, 12, 1), date(2026, 3, 1), (-1000, -20), (JAN, FEB)),  # clipped to what was billed
    ],
)
def test_time_is_credited_from_what_was_billed(
    start: date, end: date, credited: tuple[int, ...], span: tuple[date, date]
) -> None:
    # law 5
    credit = credit_time(month(1000, City=20), [], start, end)
    assert amounts(credit) == credited
    assert credit is not None
    assert (credit.start, credit.end) == span
    assert (credit.corrects, credit.kind) == ("line", "unused_credit")


@pytest.mark.parametrize(
    ("start", "end"),
    [(FEB, date(2026, 3, 1)), (date(2025, 12, 1), JAN), (jan(5), jan(5)), (jan(6), jan(5))],
)
def test_time_that_the_line_did_not_bill_is_not_credited(start: date, end: date) -> None:
    assert credit_time(month(1000), [], start, end) is None


@pytest.mark.parametrize("span", [(None, None), (JAN, None), (None, FEB)])
def test_a_one_time_charge_has_no_time_to_credit(span: tuple[date | None, date | None]) -> None:
    assert credit_time(billed(1000, start=span[0], end=span[1]), [], JAN, FEB) is None


def test_a_credit_says_its_kind() -> None:
    credit = credit_time(month(1000), [], jan(5), jan(6), "delivery_credit")
    assert credit is not None
    assert credit.kind == "delivery_credit"


def test_time_given_back_is_not_given_back_again() -> None:
    # law 5: the 10th to the 20th was credited; 1 to 10 (290.32) and 20 to 1 Feb (running 612.90 → 1000) are left.
    line = month(1000)
    first = credit_time(line, [], jan(10), jan(20))
    assert amounts(first) == (-323,)  # running 290.32 → 612.90
    assert first is not None
    rest = credit_time(line, [first], JAN, FEB)
    assert amounts(rest) == (-677,)
    assert rest is not None
    assert (rest.start, rest.end) == (JAN, FEB)
    assert credit_time(line, [first], jan(10), jan(20)) is None
    assert credit_time(line, [first, rest], JAN, FEB) is None


@pytest.mark.parametrize(
    ("start", "end", "credited"),
    [
        (jan(5), jan(12), (jan(5), jan(10))),
        (jan(15), jan(25), (jan(20), jan(25))),
        (jan(5), jan(10), (jan(5), jan(10))),
        (jan(20), jan(25), (jan(20), jan(25))),
        (jan(19), jan(21), (jan(20), jan(21))),
        (jan(9), jan(11), (jan(9), jan(10))),
    ],
)
def test_only_the_time_beside_an_earlier_credit_is_credited(
    start: date, end: date, credited: tuple[date, date]
) -> None:
    earlier = [given_back(-323, jan(10), jan(20))]
    credit = credit_time(month(1000), earlier, start, end)
    assert credit is not None
    assert (credit.start, credit.end) == credited


def test_a_credit_without_time_takes_amount_and_no_time() -> None:
    # law 5: never more than is left; 31 days are asked for, and 400 + 1 are left.
    credit = credit_time(month(1000, City=20), [given_back(-600, City=-19)], JAN, FEB)
    assert amounts(credit) == (-400, -1)
    # A credit on another line takes nothing.
    elsewhere = CreditLine("another", "unused_credit", JAN, FEB, -600, ())
    assert amounts(credit_time(month(1000), [elsewhere], JAN, FEB)) == (-1000,)


def test_days_without_an_amount_left_are_credited_with_zero() -> None:
    # The days count for coverage though all the money went back by amount.
    assert amounts(credit_time(month(1000, City=20), [given_back(-1000, City=-20)], jan(30), FEB)) == (0, 0)


def test_time_of_a_credit_line_is_taken_back_with_its_sign() -> None:
    line = month(-1000, City=-20)
    assert amounts(credit_time(line, [], jan(11), FEB)) == (677, 14)
    assert amounts(credit_time(line, [given_back(600, City=19)], JAN, FEB)) == (400, 1)


def test_time_by_the_second() -> None:
    # Noon of the 16th is half of January.
    noon = datetime(2026, 1, 16, 12, tzinfo=NEW_YORK)
    credit = credit_time(month(1000), [], noon, FEB)
    assert amounts(credit) == (-500,)
    assert credit is not None
    assert amounts(credit_time(month(1000), [credit], JAN, FEB)) == (-500,)


@given(
    charges(),
    st.lists(st.tuples(st.integers(0, 31), st.integers(0, 31)), min_size=1, max_size=6),
)
def test_stretches_in_any_order_never_credit_more_than_billed_and_together_all(
    line: BilledLine, stretches: list[tuple[int, int]]
) -> None:
    # laws 5, I13
    charge = month(line.net, **{tax.jurisdiction: tax.amount for tax in line.taxes})
    credits: list[CreditLine] = []
    credited: set[int] = set()
    for a, b in [*stretches, (0, 31)]:
        start, end = (date.fromordinal(JAN.toordinal() + n) for n in (a, b))
        credit = credit_time(charge, credits, start, end)
        fresh = set(range(a, b)) - credited
        assert (credit is None) == (not fresh)
        if credit is not None:
            assert all(amount <= 0 for amount in amounts(credit))
            credits.append(credit)
            credited |= fresh
        assert all(amount >= 0 for amount in amounts(left_of(charge, credits)))
    assert set(amounts(left_of(charge, credits))) == {0}


def test_an_amount_is_split_as_the_line_is() -> None:
    # law 5: 1000 + 50 + 25; 430 is two fifths of it.
    credit = credit_gross(month(1000, City=50, State=25), [], 430)
    assert amounts(credit) == (-400, -20, -10)
    assert (credit.corrects, credit.kind, credit.start, credit.end) == ("line", "adjustment", None, None)
    assert credit_gross(month(1000), [], 1, "delivery_credit").kind == "delivery_credit"


def test_an_amount_follows_what_is_left_not_what_was_billed() -> None:
    # Left are 500 net and no tax.
    credit = credit_gross(month(1000, City=100), [given_back(-500, City=-100)], 200)
    assert amounts(credit) == (-200, 0)


@pytest.mark.parametrize("gross", [0, -1, 1076])
def test_an_amount_has_to_be_above_zero_and_left(gross: int) -> None:
    # law 5
    with pytest.raises(TooMuchCredit, match=f"{gross} minor units are to be credited, and 1075 are left"):
        credit_gross(month(1000, City=50, State=25), [], gross)


def test_the_last_unit_can_be_credited() -> None:
    assert amounts(credit_gross(month(1000, City=50, State=25), [], 1075)) == (-1000, -50, -25)


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        (month(0, A=1, B=1), [1]),  # both taxes round up to 1: the net amount of the credit is +1
        (month(1, A=1, B=1, C=1), [1, 1]),  # all taxes round to 0 twice: 2 of the net amount of 1
    ],
)
def test_amounts_never_credit_more_of_a_part_than_was_billed(line: BilledLine, steps: list[int]) -> None:
    # law 5
    credits: list[CreditLine] = []
    for gross in steps:
        credits.append(credit_gross(line, credits, gross))
    assert min(amounts(left_of(line, credits))) >= 0
    assert all(max(amounts(credit)) <= 0 for credit in credits)


def test_two_taxes_of_one_jurisdiction_are_both_left() -> None:
    # An outside tax engine names a state twice, for its own tax and for a special one.
    line = month(1000, State=50)
    twice = replace(line, taxes=(*line.taxes, *line.taxes))
    assert left_of(twice, []).gross == 1100


def test_the_rest_does_not_give_back_days_again() -> None:
    # law I13: a day is credited once.
    line = month(1000)
    first = credit_time(line, [], jan(20), FEB)
    assert first is not None
    rest = credit_rest(line, [first])
    assert rest is not None
    assert (rest.start, rest.end) == (JAN, jan(20))


def test_the_rest_is_all_that_is_left() -> None:
    rest = credit_rest(month(1000, City=50), [given_back(-400, City=-20)])
    assert amounts(rest) == (-600, -30)
    assert rest is not None
    assert (rest.corrects, rest.kind, rest.start, rest.end) == ("line", "adjustment", JAN, FEB)


def test_a_rest_of_tax_alone_is_a_rest() -> None:
    assert amounts(credit_rest(month(1000, City=50), [given_back(-1000, City=-49)])) == (0, -1)
    assert amounts(credit_rest(month(1000, City=50), [given_back(-999, City=-50)])) == (-1, 0)


@pytest.mark.parametrize("line", [month(1000, City=50), month(0, City=0), month(0)])
def test_no_rest_when_nothing_is_left(line: BilledLine) -> None:
    credits = [given_back(-amounts(line)[0], City=-50)] if amounts(line)[0] else []
    assert credit_rest(line, credits) is None


def test_the_rest_of_a_credit_line_takes_it_back() -> None:
    assert amounts(credit_rest(month(-1000, City=-50), [])) == (1000, 50)
