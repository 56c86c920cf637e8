"""Write-offs: all or a part, and the money that comes after all."""

from __future__ import annotations

from typing import Any

import pytest

from domain.receivables import InvoiceStatus, ReceivableError
from domain.write_offs import recover, write_off
from tests.domain.billed import balance


def test_the_whole_balance_is_written_off() -> None:
    after, amount = write_off(balance(paid=4000))
    assert (after, amount) == (balance(paid=4000, written_off=6000), 6000)
    assert after.status is InvoiceStatus.UNCOLLECTIBLE


def test_an_amount_is_written_off_and_the_rest_stays_open() -> None:
    first, amount = write_off(balance(), 2500)
    assert (first.status, first.open, amount) == (InvoiceStatus.OPEN, 7500, 2500)
    second, amount = write_off(first, 7500)
    assert (second.status, second.written_off, amount) == (InvoiceStatus.UNCOLLECTIBLE, 10000, 7500)


@pytest.mark.parametrize("amount", [0, -1, 6001])
def test_at_most_what_is_open_is_written_off(amount: int) -> None:
    with pytest.raises(ReceivableError, match=r"^write-off: .*60\.00 USD is open"):
        write_off(balance(paid=4000), amount)


def test_nothing_open_is_no_write_off() -> None:
    with pytest.raises(ReceivableError, match="invoice-1 is paid, nothing is open"):
        write_off(balance(paid=10000))


@pytest.mark.parametrize(
    ("amount", "recovered", "over", "status"),
    [
        (1, 1, 0, InvoiceStatus.UNCOLLECTIBLE),
        (5999, 5999, 0, InvoiceStatus.UNCOLLECTIBLE),
        (6000, 6000, 0, InvoiceStatus.PAID),
        (6001, 6000, 1, InvoiceStatus.PAID),
    ],
)
def test_a_written_off_invoice_is_recovered(
    amount: int, recovered: int, over: int, status: InvoiceStatus
) -> None:
    result = recover(balance(paid=4000, written_off=6000), amount)
    assert (result.recovered, result.overpayment) == (recovered, over)
    assert result.balance == balance(paid=4000 + recovered, written_off=6000 - recovered)
    assert result.balance.status is status


@pytest.mark.parametrize("settled", [{}, {"paid": 10000}, {"written_off": 9999}])
def test_only_an_uncollectible_invoice_is_recovered(settled: dict[str, Any]) -> None:
    with pytest.raises(ReceivableError, match="nothing to recover: apply the payment to open invoices"):
        recover(balance(**settled), 1)


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_recovers_nothing(amount: int) -> None:
    with pytest.raises(ReceivableError, match="is nothing received for invoice invoice-1"):
        recover(balance(written_off=10000), amount)
