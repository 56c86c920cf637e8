"""Receivables: balance and status follow from what settled an invoice (law I2: open balances are the control)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credit_placement import Destination, place
from domain.receivables import (
    Balance,
    InvoiceStatus,
    ReceivableError,
    finalise,
    pay,
    release_surplus,
    take_back,
    use_credit,
)
from domain.write_offs import recover, write_off
from tests.domain.billed import balance

DRAFT, OPEN, PAID, VOID, LOST = InvoiceStatus


@pytest.mark.parametrize(
    ("settled", "open_", "status"),
    [
        ({}, 10000, OPEN),
        ({"paid": 9999}, 1, OPEN),
        ({"paid": 10000}, 0, PAID),
        ({"credited": 10000}, 0, PAID),
        ({"used": 10000}, 0, PAID),
        ({"paid": 1000, "credited": 2000, "used": 3000, "written_off": 500}, 3500, OPEN),
        ({"paid": 9999, "written_off": 1}, 0, LOST),
        ({"written_off": 10000}, 0, LOST),
        ({"written_off": 9999}, 1, OPEN),
        ({"voided": True, "credited": 10000}, 0, VOID),
        ({"finalised": False}, 10000, DRAFT),
        ({"paid": 10000, "refunded": 10000}, 0, PAID),
    ],
)
def test_balance_and_status(settled: dict[str, Any], open_: int, status: InvoiceStatus) -> None:
    assert balance(**settled).open == open_
    assert balance(**settled).status is status


@pytest.mark.parametrize("total", [0, -500])
def test_an_invoice_that_asks_for_nothing_is_paid(total: int) -> None:
    assert balance(total).status is PAID
    assert balance(total).open == total


@pytest.mark.parametrize(
    "settled",
    [
        {"paid": 10001},
        {"paid": 5000, "credited": 5001},
        {"paid": -1},
        {"credited": -1},
        {"used": -1},
        {"written_off": -1},
        {"paid": 5, "refunded": 6},
        {"paid": 5, "refunded": -1},
        {"voided": True},
        {"voided": True, "credited": 9999, "used": 1},
        {"finalised": False, "paid": 1},
        {"finalised": False, "credited": 1},
        {"finalised": False, "used": 1},
        {"finalised": False, "written_off": 1},
        {"finalised": False, "voided": True, "credited": 10000},
        {"total": -500, "paid": 1},
        {"total": -500, "credited": 1},
        {"total": -500, "written_off": 1},
        {"total": -500, "used": 1},
        {"total": -500, "used": -501},
        {"total": -500, "refunded": 1},
        {"total": -500, "voided": True},
        {"total": 0, "finalised": False, "voided": True},
    ],
)
def test_amounts_that_cannot_be(settled: dict[str, Any]) -> None:
    with pytest.raises(ReceivableError, match="the amounts settled on invoice invoice-1 cannot be"):
        balance(**settled)


def test_a_draft_is_issued_once() -> None:
    issued = finalise(balance(finalised=False))
    assert issued == balance()
    with pytest.raises(ReceivableError, match="invoice-1 is open, no draft"):
        finalise(issued)


@pytest.mark.parametrize(("step", "field"), [(pay, "paid"), (use_credit, "used")])
def test_payments_and_credit_settle_up_to_what_is_open(step: Any, field: str) -> None:
    first = step(balance(), 4000)
    assert first == balance(**{field: 4000})
    assert step(first, 6000) == balance(**{field: 10000})
    for amount in (6001, 0, -1):
        with pytest.raises(
            ReceivableError, match=r"60\.00 USD is open; give an amount above zero and at most that"
        ):
            step(first, amount)


def test_a_single_unit_moves_a_balance() -> None:
    assert pay(balance(), 1) == balance(paid=1)
    assert take_back(balance(paid=10000), 1) == balance(paid=9999)


@pytest.mark.parametrize(
    ("settled", "status"),
    [
        ({"finalised": False}, DRAFT),
        ({"paid": 10000}, PAID),
        ({"voided": True, "credited": 10000}, VOID),
        ({"written_off": 10000}, LOST),
        ({"total": -5}, PAID),
    ],
)
@pytest.mark.parametrize(
    ("step", "name"),
    [
        (pay, "payment"),
        (use_credit, "use of account credit"),
        (write_off, "write-off"),
    ],
)
def test_only_an_open_invoice_is_settled(
    settled: dict[str, Any], status: InvoiceStatus, step: Any, name: str
) -> None:
    with pytest.raises(
        ReceivableError, match=f"^{name}: invoice invoice-1 is {status}, nothing is open on it"
    ):
        step(balance(**settled), 1)


def test_money_that_was_lost_again_is_open_again() -> None:
    settled = balance(paid=7000, written_off=3000)
    after = take_back(settled, 7000)
    assert (after.status, after.open, after.paid, after.written_off) == (OPEN, 7000, 0, 3000)


def test_what_was_refunded_cannot_be_lost_again() -> None:
    settled = balance(paid=10000, refunded=3000)
    assert settled.kept == 7000
    assert take_back(settled, 7000) == balance(paid=3000, refunded=3000)
    for amount in (7001, 0, -1):
        with pytest.raises(ReceivableError, match=r"70\.00 USD was paid on it and not refunded"):
            take_back(settled, amount)


def test_the_surplus_of_an_invoice_below_zero_is_granted_once() -> None:
    # What the credits on it were more than its charges.
    after, surplus = release_surplus(balance(-500))
    assert (surplus, after.open, after.status) == (500, 0, PAID)
    assert release_surplus(after) == (after, 0)


@pytest.mark.parametrize("settled", [{}, {"total": 0}, {"paid": 10000}, {"total": -5, "finalised": False}])
def test_no_surplus_otherwise(settled: dict[str, Any]) -> None:
    assert release_surplus(balance(**settled)) == (balance(**settled), 0)


STEPS: dict[str, Any] = {
    "pay": pay,
    "use": use_credit,
    "take back": take_back,
    "write off": lambda each, amount: write_off(each, amount)[0],
    "recover": lambda each, amount: recover(each, amount).balance,
    "credit": lambda each, amount: place(each, amount, Destination.ACCOUNT_CREDIT).balance,
}


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(-1, 60)), max_size=12),
)
def test_open_is_never_below_zero_and_the_total_is_always_accounted_for(
    total: int, steps: list[tuple[str, int]]
) -> None:
    # law I2
    at: Balance = balance(total)
    for name, amount in steps:
        try:
            at = STEPS[name](at, amount)
        except ReceivableError:
            continue
        assert at.open == total - at.paid - at.credited - at.used - at.written_off >= 0
        assert min(at.paid, at.credited, at.used, at.written_off) >= 0
        assert (at.status is OPEN) == (at.open > 0)
        assert (at.status is LOST) == (at.open == 0 < at.written_off)
