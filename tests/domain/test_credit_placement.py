"""Where a credit goes: the open balance, then the write-off, then the customer, with no unit lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credit_placement import Destination, Placement, place
from domain.receivables import Balance, InvoiceStatus, ReceivableError
from tests.domain.billed import balance

CREDIT, REFUND = Destination.ACCOUNT_CREDIT, Destination.REFUND


@pytest.mark.parametrize(
    ("settled", "amount", "rest_to", "refundable", "went"),
    [
        # (to open, to written off, to account credit, to refund)
        ({}, 4000, CREDIT, 0, (4000, 0, 0, 0)),
        ({}, 4000, REFUND, 9999, (4000, 0, 0, 0)),
        ({"paid": 7000}, 4000, CREDIT, 7000, (3000, 0, 1000, 0)),
        ({"paid": 7000}, 4000, REFUND, 7000, (3000, 0, 0, 1000)),
        ({"paid": 10000}, 4000, REFUND, 4000, (0, 0, 0, 4000)),
        ({"paid": 10000}, 4000, REFUND, 3999, (0, 0, 1, 3999)),
        ({"used": 10000}, 4000, REFUND, 0, (0, 0, 4000, 0)),
        ({"paid": 1000, "written_off": 9000}, 8999, CREDIT, 0, (0, 8999, 0, 0)),
        ({"paid": 1000, "written_off": 9000}, 9500, CREDIT, 0, (0, 9000, 500, 0)),
        ({"paid": 1000, "written_off": 4000}, 9500, REFUND, 400, (5000, 4000, 100, 400)),
    ],
)
def test_a_credit_is_placed(
    settled: dict[str, int], amount: int, rest_to: Destination, refundable: int, went: tuple[int, ...]
) -> None:
    placement = place(balance(**settled), amount, rest_to, refundable)
    assert placement[1:] == went
    assert sum(went) == amount
    after = placement.balance
    assert after.open == balance(**settled).open - went[0]
    assert after.credited == went[0] + went[1]
    assert after.written_off == settled.get("written_off", 0) - went[1]
    assert (after.paid, after.used) == (settled.get("paid", 0), settled.get("used", 0))


def test_without_a_limit_nothing_is_refunded() -> None:
    assert place(balance(paid=10000), 4000, REFUND)[1:] == (0, 0, 4000, 0)


def test_credits_add_up_and_settle_the_invoice() -> None:
    first = place(balance(), 4000, CREDIT).balance
    assert (first.status, first.open, first.credited) == (InvoiceStatus.OPEN, 6000, 4000)
    second = place(first, 6000, CREDIT).balance
    assert (second.status, second.open, second.credited) == (InvoiceStatus.PAID, 0, 10000)


def test_a_write_off_credited_whole_is_none() -> None:
    # Nothing was lost that had been owed.
    after = place(balance(written_off=10000), 10000, REFUND, 0).balance
    assert (after.status, after.written_off, after.credited) == (InvoiceStatus.PAID, 0, 10000)


def test_nothing_is_open_on_an_invoice_below_zero() -> None:
    # A charge of 200 beside credits of 500: the charge is credited to the customer.
    assert place(balance(-300), 200, CREDIT)[1:] == (0, 0, 200, 0)


@pytest.mark.parametrize(
    ("settled", "amount", "refundable"),
    [
        ({"finalised": False}, 1, 0),
        ({"voided": True, "credited": 10000}, 1, 0),
        ({}, 0, 0),
        ({}, -1, 0),
        ({}, 1, -1),
    ],
)
def test_what_cannot_be_placed(settled: dict[str, Any], amount: int, refundable: int) -> None:
    # law 9: a draft is changed; a void invoice has nothing left
    with pytest.raises(ReceivableError, match="cannot be credited on invoice invoice-1"):
        place(balance(**settled), amount, REFUND, refundable)


@given(
    *(st.integers(0, 100) for _ in range(4)),
    st.integers(1, 300),
    st.sampled_from(Destination),
    st.integers(0, 300),
)
def test_no_unit_is_lost_and_nothing_goes_below_zero(
    paid: int, used: int, written: int, opened: int, amount: int, rest_to: Destination, refundable: int
) -> None:
    total = paid + used + written + opened
    start = Balance("i", "JPY", total, balance().due_on, paid=paid, used=used, written_off=written)
    placed: Placement = place(start, amount, rest_to, refundable)
    assert sum(placed[1:]) == amount
    assert min(placed[1:]) >= 0
    after = placed.balance
    assert after.open == total - after.paid - after.credited - after.used - after.written_off >= 0
    # The customer gets nothing as long as anything is owed.
    assert not (placed.to_account_credit + placed.to_refund) or after.open == after.written_off == 0
    assert placed.to_refund <= refundable
