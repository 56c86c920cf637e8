"""Voids: an open invoice as if it had not been; a paid one needs a credit note (law 9)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from domain.account_credit import AccountCredit, Grant, Source, add_grant, balance_on, return_uses, use
from domain.credits import CreditLine, left_of
from domain.receivables import InvoiceStatus, ReceivableError, take_back, use_credit
from domain.voids import void
from tests.domain.billed import INVOICE, amounts, balance, billed, taxes

DAY = date(2026, 2, 3)
LINES = [billed(1000, "new", State=80), billed(-300, "unused", State=-24)]
TOTAL = 1080 - 324
NOTE = CreditLine("new", "adjustment", None, None, -100, taxes(State=-8))


def test_a_void_reverses_every_line_credits_too() -> None:
    # laws 9, I9: it reaches tax and ledger
    voided = void(balance(TOTAL), LINES, [], DAY, "wrong account")
    assert [(line.corrects, amounts(line)) for line in voided.lines] == [
        ("new", (-1000, -80)),
        ("unused", (300, 24)),
    ]
    assert (voided.invoice, voided.voided_on, voided.reason, voided.used) == (
        INVOICE,
        DAY,
        "wrong account",
        0,
    )
    assert voided.balance == balance(TOTAL, credited=TOTAL, voided=True)
    assert (voided.balance.status, voided.balance.open) == (InvoiceStatus.VOID, 0)


def test_a_void_after_a_credit_note_reverses_what_that_left() -> None:
    voided = void(balance(TOTAL, credited=108), LINES, [NOTE], DAY, "wrong account")
    assert sum(line.gross for line in voided.lines) == -(TOTAL - 108)
    assert all(left_of(line, [NOTE, *voided.lines]).gross == 0 for line in LINES)
    assert voided.balance.credited == TOTAL


def test_a_void_gives_account_credit_back_and_takes_a_write_off_with_it() -> None:
    held = add_grant(AccountCredit("USD"), Grant("g", date(2026, 1, 1), 500, Source.GIFT))
    held, covered = use(held, INVOICE, 200, DAY)
    opened = use_credit(balance(TOTAL, written_off=50), covered)
    voided = void(opened, LINES, [], DAY, "wrong account")
    assert (voided.used, voided.balance) == (200, balance(TOTAL, credited=TOTAL, voided=True))
    held, returned = return_uses(held, INVOICE, DAY)
    assert (returned, balance_on(held, DAY)) == (voided.used, 500)


@pytest.mark.parametrize(
    ("settled", "says"),
    [
        ({"paid": 1}, "is open and paid in part"),
        ({"paid": TOTAL}, "is paid and paid in part"),
        ({"credited": TOTAL}, "is paid:"),
        ({"written_off": TOTAL}, "is uncollectible:"),
        ({"credited": TOTAL, "voided": True}, "is void:"),
        ({"finalised": False}, "is draft:"),
    ],
)
def test_only_an_open_invoice_on_which_nothing_is_paid_is_voided(settled: dict[str, Any], says: str) -> None:
    with pytest.raises(ReceivableError, match=says):
        void(balance(TOTAL, **settled), LINES, [], DAY, "wrong account")


def test_a_void_needs_a_reason() -> None:
    with pytest.raises(ReceivableError, match="give the reason for voiding invoice invoice-1"):
        void(balance(TOTAL), LINES, [], DAY, " ")


def test_a_credit_that_went_to_the_customer_stands_against_a_void() -> None:
    # Paid, 108 credited to the account, then the payment was lost: the customer still has the 108.
    lost = take_back(balance(TOTAL, paid=TOTAL), TOTAL)
    with pytest.raises(
        ReceivableError, match=r"648 minor units are left of its lines and 756 of its balance"
    ):
        void(lost, LINES, [NOTE], DAY, "wrong account")


def test_lines_that_are_missing_stand_against_a_void() -> None:
    with pytest.raises(ReceivableError, match="cannot be voided"):
        void(balance(TOTAL), LINES[:1], [], DAY, "wrong account")
