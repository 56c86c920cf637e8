"""Money that goes back or is taken back: refunds that are promised, disputes, payments that the bank returns."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest

from domain.account import corrections, refunding
from domain.account.disputing import Booked, Stage, follow, latest
from domain.account.returning import take_back, take_back_charge
from domain.account.state import AccountState
from domain.account_credit import balance_on, expire
from domain.amendments import Refused
from domain.received_payments import Application, PaymentStatus
from tests.domain.simulation.playing import played, step

PAID = (
    step("2026-04-01", "subscribe", plan="news", name="mine"),
    step("2026-04-01", "bill"),
)


def paid(*steps: dict[str, object], **policy: object) -> AccountState:
    """One whose only invoice, of 30.00, is paid by the first payment."""
    return by_hand(step("2026-04-01", "pay"), *steps, policy=policy)


def by_hand(*steps: dict[str, object], policy: object = None) -> AccountState:
    """One who is billed once, and pays by cheque."""
    more = {} if policy is None else {"policy": policy}
    return played(*PAID, *steps, account={"currency": "USD", "auto_pay": False}, **more).account


def balance(account: AccountState, ledger_account: str) -> int:
    """Debits less credits of a ledger account, minor units."""
    return sum(
        posting.debit - posting.credit
        for entry in account.journal
        for posting in entry.postings
        if posting.account == ledger_account
    )


def ledger(account: AccountState) -> dict[str, int]:
    names = {posting.account for entry in account.journal for posting in entry.postings}
    return {name: total for name in sorted(names) if (total := balance(account, name))}


def told(account: AccountState, stages: tuple[Stage, ...], amount: int = 3000) -> Booked:
    """The stages of one dispute as they are heard of, one after the other."""
    booked, stage = Booked(), stages[0]
    for each in stages:
        stage = latest(stage, each)
        booked = follow(account, account.receipts[0], stage, amount, booked, "dispute 1")
    return booked


@pytest.mark.parametrize("policy", ["loss", "open_invoice"])
@pytest.mark.parametrize("end", [Stage.TAKEN, Stage.WON, Stage.LOST])
def test_a_dispute_ends_the_same_in_whatever_order_it_is_told(end: Stage, policy: str) -> None:
    ends = set()
    for order in permutations((Stage.ANNOUNCED, Stage.TAKEN, end)):
        account = paid(refunds={"lost_dispute": policy})
        booked = told(account, order)
        ends.add((booked, account.receipts[0].payment.status, tuple(ledger(account).items())))
    assert len(ends) == 1


def test_what_is_announced_moves_no_money_and_is_not_refunded() -> None:
    account = paid()
    before = ledger(account)
    assert told(account, (Stage.ANNOUNCED,)) == Booked()
    assert ledger(account) == before
    assert account.receipts[0].payment.status is PaymentStatus.DISPUTED


def test_a_dispute_that_is_won_leaves_the_books_as_before() -> None:
    account = paid()
    before = ledger(account)
    assert told(account, (Stage.TAKEN,)) == Booked(3000, 0)
    assert ledger(account) != before
    assert follow(account, account.receipts[0], Stage.WON, 3000, Booked(3000, 0), "dispute 1") == Booked()
    assert ledger(account) == before
    assert account.receipts[0].payment.status is PaymentStatus.SUCCEEDED


def test_another_dispute_keeps_the_payment_disputed() -> None:
    account = paid()
    follow(account, account.receipts[0], Stage.WON, 3000, Booked(3000, 0), "dispute 1", others_open=True)
    assert account.receipts[0].payment.status is PaymentStatus.DISPUTED


def test_one_that_is_won_without_having_been_open_changes_nothing() -> None:
    account = paid()
    assert told(account, (Stage.WON,)) == Booked()
    assert account.receipts[0].payment.status is PaymentStatus.SUCCEEDED


def test_a_refunded_payment_is_refunded_again_once_its_dispute_is_won() -> None:
    account = paid(step("2026-04-02", "refund", payment=1, reason="sorry"))
    told(account, (Stage.TAKEN, Stage.WON))
    assert account.receipts[0].payment.status is PaymentStatus.REFUNDED


def test_what_is_lost_is_a_loss_or_is_owed_again_as_the_policy_says() -> None:
    account = paid()
    assert told(account, (Stage.LOST,)) == Booked(0, 3000)
    assert account.invoice(1).balance.open == 0
    account = paid(refunds={"lost_dispute": "open_invoice"})
    assert told(account, (Stage.LOST,)) == Booked(0, 3000)
    assert account.invoice(1).balance.open == 3000


def test_a_promised_refund_is_paid_comes_back_or_becomes_credit() -> None:
    account = paid()
    account.collected = False  # a live one: whoever pays it does so outside
    before = balance(account, "refunds_payable")
    corrections.refund_payment(account, 1, 1000, "late")
    assert balance(account, "refunds_payable") == before - 1000
    refunding.paid(account, 1000, "refund 1")
    assert balance(account, "refunds_payable") == before
    refunding.came_back(account, 1000, "refund 1")
    assert balance(account, "refunds_payable") == before - 1000
    refunding.release(account, account.receipts[0], 1000, [Application("1", 1000)], "refund 1")
    assert balance(account, "refunds_payable") == before
    assert balance_on(account.credit, account.today) == 1000
    assert (account.receipts[0].payment.refunded, account.invoice(1).balance.refunded) == (0, 0)


def test_a_whole_refund_that_fails_leaves_a_payment_that_succeeded() -> None:
    account = paid()
    account.collected = False
    corrections.refund_payment(account, 1, None, "late")
    assert account.receipts[0].payment.status is PaymentStatus.REFUNDED
    refunding.release(account, account.receipts[0], 3000, [Application("1", 3000)], "refund 1")
    assert account.receipts[0].payment.status is PaymentStatus.SUCCEEDED


def test_a_returned_payment_opens_its_invoice_again() -> None:
    account = paid()
    take_back(account, 1)
    assert account.invoice(1).balance.open == 3000
    assert (account.receipts[0].payment.status, account.receipts[0].code) == (
        PaymentStatus.FAILED,
        "returned",
    )
    assert balance(account, "accounts_receivable") == 3000
    with pytest.raises(Refused, match="only a whole payment that succeeded"):
        take_back(account, 1)
    with pytest.raises(Refused, match="no payment 2"):
        take_back(account, 2)


def test_a_refunded_payment_is_not_returned() -> None:
    account = paid(step("2026-04-02", "refund", payment=1, amount="5.00", reason="sorry"))
    with pytest.raises(Refused, match=r"5\.00 USD refunded"):
        take_back(account, 1)


def test_credit_that_a_returned_payment_had_made_is_gone_also_where_it_was_used() -> None:
    account = by_hand(
        step("2026-04-01", "pay", amount="40.00"),
        step("2026-04-02", "subscribe", plan="lite", name="other"),
        step("2026-04-02", "bill"),
    )
    assert (account.invoice(2).balance.used, balance_on(account.credit, account.today)) == (1000, 0)
    take_back(account, 1)
    assert [each.balance.open for each in account.invoices] == [3000, 1500]
    assert balance_on(account.credit, account.today) == 0
    assert balance(account, "accounts_receivable") == 4500


def test_a_bounced_cheque_whose_credit_has_expired_was_no_gain() -> None:
    account = by_hand(
        step("2026-04-01", "pay", amount="40.00"),
        step("2026-04-20", "move_time_zone", timezone="UTC"),
        policy={"credit_expires_after_days": 5},
    )
    assert balance(account, "breakage_revenue") == -1000
    take_back(account, 1)
    assert balance(account, "breakage_revenue") == 0, "the money never came, so none of it was left to us"
    assert balance(account, "account_credit") == 0
    assert account.invoice(1).balance.open == balance(account, "accounts_receivable") == 3000
    assert balance_on(account.credit, account.today) == 0
    assert expire(account.credit, account.today + timedelta(days=400))[1] == (), "nothing expires twice"


def test_the_fee_of_a_dispute_is_an_expense_and_given_back_as_the_gateway_says() -> None:
    account = paid()
    before = ledger(account)
    receipt = account.receipts[0]
    booked = follow(account, receipt, Stage.TAKEN, 3000, Booked(), "dispute 1", fee=1500)
    assert booked == Booked(3000, 0, 1500)
    assert (balance(account, "dispute_fees"), balance(account, "payments_in_dispute")) == (1500, 3000)
    assert follow(account, receipt, Stage.TAKEN, 3000, booked, "dispute 1", fee=1500) == booked
    won = follow(account, receipt, Stage.WON, 3000, booked, "dispute 1", fee=0)
    assert (won, ledger(account)) == (Booked(), before)
    lost = follow(account, receipt, Stage.LOST, 3000, booked, "dispute 2", fee=1500)
    assert lost.fee == 1500


@pytest.mark.parametrize(
    ("code", "tries"), [("insufficient_funds", 1), (None, 0), ("processing_error_unheard_of", 1)]
)
def test_a_charge_that_the_bank_took_back_is_collected_anew(code: str | None, tries: int) -> None:
    account = paid()
    take_back_charge(account, 1, code)
    assert account.invoice(1).balance.open == 3000
    assert (0 if account.collecting is None else len(account.collecting.failed)) == tries
