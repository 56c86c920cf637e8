"""Refunds: never more than remains of the payment, nor than was paid on the invoices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.receivables import InvoiceStatus
from domain.received_payments import Payment, PaymentStatus
from domain.refunds import RefundRefused, refund, refund_limit
from tests.domain.billed import balance

SUCCEEDED, REFUNDED, DISPUTED = PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED, PaymentStatus.DISPUTED


def payment(
    amount: int = 10000, refunded: int = 0, status: PaymentStatus = SUCCEEDED, currency: str = "USD"
) -> Payment:
    return Payment("pay-1", currency, amount, status, refunded)


@pytest.mark.parametrize(
    ("amount", "refunded", "invoices", "limit"),
    [
        (10000, 0, [(10000, 0)], 10000),
        (10000, 2500, [(10000, 2500)], 7500),
        (10000, 2500, [(10000, 2499)], 7500),  # the payment is the limit
        (10000, 2499, [(10000, 2500)], 7500),  # the invoice is the limit
        (12000, 0, [(10000, 0)], 10000),  # an overpayment is account credit
        (10000, 0, [(4000, 0), (5000, 1000)], 8000),
        (10000, 0, [(0, 0)], 0),
        (10000, 0, [], 0),
    ],
)
def test_the_most_that_may_be_refunded(
    amount: int, refunded: int, invoices: list[tuple[int, int]], limit: int
) -> None:
    balances = [balance(paid=paid, refunded=back) for paid, back in invoices]
    assert refund_limit(payment(amount, refunded), balances) == limit


def test_a_disputed_payment_is_not_refunded() -> None:
    with pytest.raises(RefundRefused, match="pay-1 cannot be refunded: it is disputed, and the bank may"):
        refund(payment(status=DISPUTED), [balance(paid=10000)], 1)


def test_a_refunded_payment_is_not_refunded_again() -> None:
    with pytest.raises(RefundRefused, match="it was refunded whole already"):
        refund_limit(payment(100, 100, REFUNDED), [balance(paid=10000)])


@pytest.mark.parametrize(
    "status", [each for each in PaymentStatus if each not in (SUCCEEDED, REFUNDED, DISPUTED)]
)
def test_money_that_did_not_come_does_not_go_back(status: PaymentStatus) -> None:
    with pytest.raises(RefundRefused, match=f"it is {status}, and only what succeeded can go back"):
        refund_limit(payment(status=status), [balance(paid=10000)])


def test_currencies_do_not_mix() -> None:
    with pytest.raises(RefundRefused, match="is in EUR: refund it for invoices in that currency"):
        refund_limit(payment(currency="EUR"), [balance(paid=10000)])


def test_a_refund_opens_nothing_and_counts_on_payment_and_invoice() -> None:
    after = refund(payment(), [balance(paid=10000)], 2500)
    assert after.payment == payment(refunded=2500)
    assert after.balances == (balance(paid=10000, refunded=2500),)
    assert after.balances[0].status is InvoiceStatus.PAID
    # The rest, and not a unit more.
    last = refund(*after, 7500)
    assert (last.payment.status, last.payment.remaining) == (REFUNDED, 0)
    assert last.balances[0].kept == 0


def test_a_refund_goes_over_the_invoices_in_the_order_given() -> None:
    balances = [balance(paid=300, refunded=100), balance(paid=500), balance(paid=900)]
    after = refund(payment(), balances, 201)
    assert [each.refunded for each in after.balances] == [300, 1, 0]
    assert after.payment.status is SUCCEEDED


@pytest.mark.parametrize("amount", [0, -1, 7501])
def test_a_refund_is_above_zero_and_within_the_limit(amount: int) -> None:
    with pytest.raises(RefundRefused, match=r"give an amount above zero and at most 75\.00 USD"):
        refund(payment(refunded=2500), [balance(paid=10000)], amount)


@given(
    st.integers(1, 100), st.lists(st.integers(0, 60), max_size=3), st.lists(st.integers(1, 60), max_size=6)
)
def test_no_sequence_of_refunds_gives_back_more_than_came(
    amount: int, paid: list[int], refunds: list[int]
) -> None:
    at, balances = payment(amount), tuple(balance(paid=each) for each in paid)
    given_back = 0
    for each in refunds:
        try:
            at, balances = refund(at, balances, each)
        except RefundRefused:
            assert each > min(amount, sum(paid)) - given_back or given_back == amount
            continue
        given_back += each
        assert given_back == at.refunded == sum(one.refunded for one in balances) <= min(amount, sum(paid))
