"""Adjustments: down is a credit with its tax, up a new charge that links back (laws 5, 9)."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.adjustments import Adjustment, AdjustmentError, ExtraCharge, adjust
from domain.credit_notes import Heading, credit_note
from domain.credits import BilledLine, CreditLine, TooMuchCredit, left_of
from tests.domain.billed import INVOICE, amounts, billed, charges, month, taxes

JAN, FEB = date(2026, 1, 1), date(2026, 2, 1)


def test_up_is_a_new_charge_like_the_line() -> None:
    # law 9
    assert adjust(month(1000, State=80), [], 250, "two seats more") == Adjustment(
        "two seats more",
        ExtraCharge("line", INVOICE, "digital", "item", "price", "product", JAN, FEB, 250, "adjustment"),
    )


def test_one_unit_up_is_a_charge() -> None:
    charge = adjust(month(1000), [], 1, "two seats more").line
    assert isinstance(charge, ExtraCharge)
    assert charge.net == 1


@pytest.mark.parametrize(
    ("amount", "credited"),
    [
        (-100, (-100, -8, -5)),  # 4.5 is rounded up, away from zero (law 7)
        (-99, (-99, -8, -4)),  # 7.92, 4.455
        (-1, (-1, 0, 0)),
        (-1000, (-1000, -80, -45)),
    ],
)
def test_down_is_a_credit_with_its_tax(amount: int, credited: tuple[int, ...]) -> None:
    # law 5
    adjustment = adjust(month(1000, State=80, City=45), [], amount, "late papers")
    assert adjustment.reason == "late papers"
    credit = adjustment.line
    assert isinstance(credit, CreditLine)
    assert amounts(credit) == credited
    assert (credit.corrects, credit.kind, credit.start, credit.end) == ("line", "adjustment", None, None)


def test_down_takes_of_what_is_left() -> None:
    earlier = [CreditLine("line", "adjustment", None, None, -600, taxes(State=-80))]
    line = month(1000, State=80, City=40)
    credit = adjust(line, earlier, -100, "late papers").line
    assert isinstance(credit, CreditLine)
    assert amounts(credit) == (-100, 0, -10)
    with pytest.raises(TooMuchCredit, match="adjusted by -401 minor units, and 400 before tax are left"):
        adjust(line, earlier, -401, "late papers")


@pytest.mark.parametrize("net", [0, -10])
def test_what_asked_for_nothing_is_not_adjusted_down(net: int) -> None:
    with pytest.raises(TooMuchCredit):
        adjust(billed(net, State=1), [], -1, "late papers")


@pytest.mark.parametrize(("amount", "reason"), [(0, "late papers"), (-1, ""), (1, " ")])
def test_an_adjustment_has_an_amount_and_a_reason(amount: int, reason: str) -> None:
    with pytest.raises(AdjustmentError, match="of line line needs an amount other than zero and a reason"):
        adjust(month(1000), [], amount, reason)


@given(charges().filter(lambda line: line.net > 0), st.lists(st.integers(1, 100_000), max_size=8))
def test_any_sequence_of_adjustments_stays_within_what_was_billed(line: BilledLine, sizes: list[int]) -> None:
    # law 5, judged by the check that every credit note passes
    credits: list[CreditLine] = []
    for size in [*sizes, 0]:
        left = left_of(line, credits).net
        if not left:
            break
        # The last one takes all.
        credit = adjust(line, credits, -(size % left) or -left, "late papers").line
        assert isinstance(credit, CreditLine)
        credit_note(Heading("1", JAN, "late papers"), [line], credits, [credit])
        credits.append(credit)
    assert set(amounts(left_of(line, credits))) == {0}
