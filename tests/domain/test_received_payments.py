"""Received payments: oldest due first, nothing lost, the overpayment told."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.receivables import Balance, ReceivableError
from domain.received_payments import Application, Payment, PaymentStatus, apply_payment
from tests.domain.billed import balance


def payment(amount: int, status: PaymentStatus = PaymentStatus.SUCCEEDED, **more: Any) -> Payment:
    return Payment(**{"id": "pay-1", "currency": "USD", "amount": amount, "status": status, **more})


def invoice(name: str, due: int, total: int = 1000, **more: Any) -> Balance:
    return balance(total, invoice=name, due_on=date(2026, 1, due), **more)


def test_one_invoice_paid_exactly() -> None:
    applied = apply_payment(payment(10000), [balance()])
    assert applied == ((balance(paid=10000),), (Application("invoice-1", 10000),), 0)


@pytest.mark.parametrize(
    ("amount", "went", "over"),
    [
        (999, {"early": 999}, 0),
        (1000, {"early": 1000}, 0),
        (1001, {"early": 1000, "a": 1}, 0),
        (2500, {"early": 1000, "a": 1000, "b": 500}, 0),
        (3000, {"early": 1000, "a": 1000, "b": 1000}, 0),
        (3001, {"early": 1000, "a": 1000, "b": 1000}, 1),
    ],
)
def test_oldest_due_first_then_by_id(amount: int, went: dict[str, int], over: int) -> None:
    balances = [invoice("b", 20), invoice("a", 20), invoice("early", 19)]
    applied = apply_payment(payment(amount), balances)
    assert [tuple(each) for each in applied.applications] == list(went.items())
    assert applied.overpayment == over
    # In the order given.
    assert [(each.invoice, each.paid) for each in applied.balances] == [
        (name, went.get(name, 0)) for name in ("b", "a", "early")
    ]


def test_a_payment_adds_to_what_was_paid() -> None:
    (after,) = apply_payment(payment(300), [invoice("a", 1, paid=400, used=100)]).balances
    assert (after.paid, after.open) == (700, 200)


@pytest.mark.parametrize(
    "closed",
    [
        {"voided": True, "credited": 1000},
        {"paid": 1000},
        {"written_off": 1000},
        {"finalised": False},
        {"total": -10},
    ],
)
def test_money_for_an_invoice_that_is_not_open_is_over(closed: dict[str, Any]) -> None:
    # A late success never changes a void or paid invoice; the money is the customer's.
    old = invoice("closed", 1, **closed)
    applied = apply_payment(payment(1200), [old, invoice("open", 2)])
    assert applied == (
        (old, invoice("open", 2, paid=1000)),
        (Application("open", 1000),),
        200,
    )


def test_a_payment_without_an_invoice_is_all_over() -> None:
    assert apply_payment(payment(5), []) == ((), (), 5)


@pytest.mark.parametrize("status", [each for each in PaymentStatus if each is not PaymentStatus.SUCCEEDED])
def test_only_money_that_came_settles(status: PaymentStatus) -> None:
    # Unknown is not paid.
    with pytest.raises(ReceivableError, match=f"payment pay-1 is {status} with 0.00 USD refunded"):
        apply_payment(payment(1, status), [balance()])


def test_a_payment_that_was_refunded_in_part_does_not_settle() -> None:
    with pytest.raises(ReceivableError, match=r"succeeded with 0\.01 USD refunded"):
        apply_payment(payment(5, refunded=1), [balance()])


def test_an_invoice_named_twice_is_refused() -> None:
    with pytest.raises(ReceivableError, match="names an invoice twice"):
        apply_payment(payment(5), [balance(), balance()])


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ReceivableError, match="pay-1 is in USD and invoice invoice-1 in EUR"):
        apply_payment(payment(5), [balance(currency="EUR")])


@pytest.mark.parametrize(("amount", "refunded"), [(0, 0), (-1, 0), (5, 6), (5, -1)])
def test_payments_that_cannot_be(amount: int, refunded: int) -> None:
    with pytest.raises(ReceivableError, match="payment pay-1 cannot be"):
        payment(amount, refunded=refunded)


def test_what_remains_of_a_payment() -> None:
    assert (payment(5, refunded=2).remaining, payment(1).remaining, payment(5, refunded=5).remaining) == (
        3,
        1,
        0,
    )


@given(
    st.integers(1, 400),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 100)), max_size=5),
)
def test_no_unit_is_lost_and_a_later_invoice_waits_for_the_earlier(
    amount: int, dues: list[tuple[int, int]]
) -> None:
    balances = [invoice(f"i{n}", due, total) for n, (due, total) in enumerate(dues)]
    applied = apply_payment(payment(amount), balances)
    assert sum(each.amount for each in applied.applications) + applied.overpayment == amount
    assert sum(each.paid for each in applied.balances) == amount - applied.overpayment
    assert not applied.overpayment or not any(each.open for each in applied.balances)
    latest = max((each.due_on for each in applied.balances if each.paid), default=date.min)
    assert all(not each.open for each in applied.balances if each.due_on < latest)
