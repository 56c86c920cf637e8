"""A sale whose first payment never came: what was charged for it is taken back, whatever has been billed since."""

from __future__ import annotations

from datetime import date

import pytest

from domain.account import collecting
from domain.account.buying import CartItem, GiftFor, buy
from domain.account.days import advance, bill_by, bill_only
from domain.account.lifecycle import state
from domain.account.state import AccountState
from domain.account.unpaid_sales import take_back_sale
from domain.account_credit import balance_on
from domain.amendments import Refused
from domain.receivables import InvoiceStatus
from domain.subscriptions import State
from tests.domain.simulation.playing import played, step


def fresh() -> AccountState:
    return played(
        step("2026-04-01", "move_time_zone", timezone="UTC"), account={"currency": "USD", "auto_pay": False}
    ).account


def statuses(account: AccountState) -> list[InvoiceStatus]:
    return [invoice.balance.status for invoice in account.invoices]


def sold(account: AccountState, *plans: str) -> list[str]:
    """Plans bought in one cart; the ids of their subscriptions."""
    names = buy(account, [CartItem(plan=plan) for plan in plans], "cart").subscriptions
    return [account.subscription(name).terms.id for name in names]


def test_invoices_of_the_sale_alone_are_void() -> None:
    account = fresh()
    ids = sold(account, "news", "book")
    advance(account, date(2026, 5, 1), fleet=False)
    bill_only(account)
    assert statuses(account) == [InvoiceStatus.OPEN] * 2
    take_back_sale(account, ids, account.invoice(1), "the debit came back")
    assert statuses(account) == [InvoiceStatus.VOID] * 2
    assert {state(each, account.today) for each in account.subscriptions.values()} == {State.CANCELED}
    take_back_sale(account, ids, account.invoice(1), "the debit came back")
    assert statuses(account) == [InvoiceStatus.VOID] * 2
    assert account.credit_notes == []


def test_what_others_owe_on_the_same_invoice_stays() -> None:
    account = fresh()
    account.collected = False  # else dunning, a month later, would end what the other sale began
    [mine] = sold(account, "news")
    buy(account, [CartItem(plan="lite", name="other")], "other")
    advance(account, date(2026, 5, 1), fleet=False)
    bill_only(account)
    assert [invoice.total for invoice in account.invoices] == [3000, 1500, 4500]
    take_back_sale(account, [mine], account.invoice(1), "the debit came back")
    assert [invoice.balance.open for invoice in account.invoices] == [0, 1500, 1500]


def test_what_was_paid_another_way_becomes_credit() -> None:
    account = fresh()
    [mine] = sold(account, "news")
    collecting.sent(account, 1000, [1])
    take_back_sale(account, [mine], account.invoice(1), "the debit came back")
    assert account.invoice(1).balance.open == 0
    assert balance_on(account.credit, account.today) == 1000


def test_a_gift_that_was_not_paid_can_be_claimed_by_nobody() -> None:
    account = fresh()
    bought = buy(account, [CartItem(plan="news", gift=GiftFor(recipient="ann"))], "present")
    assert bought.invoice is not None
    assert (bought.subscriptions, bought.due) == ((), 3000)
    for _ in range(2):
        take_back_sale(account, [], bought.invoice, "the debit came back")
        assert account.gifts["present"].refunded_on == account.today
        assert account.invoice(1).balance.open == 0


@pytest.mark.parametrize(
    ("cart", "words"),
    [
        ([CartItem(plan="news", gift=GiftFor()), CartItem(plan="lite")], "buy it alone"),
        ([CartItem(plan="lite"), CartItem(plan="news", gift=GiftFor())], "buy it alone"),
        ([CartItem(plan="news", quantity=2, gift=GiftFor())], "one period of one plan"),
    ],
)
def test_a_gift_is_bought_alone(cart: list[CartItem], words: str) -> None:
    with pytest.raises(Refused, match=words):
        buy(fresh(), cart, "present")


def test_nothing_is_sold_to_an_account_that_is_not_billed_any_more() -> None:
    account = fresh()
    sold(account, "news")
    advance(account, date(2026, 5, 20))
    with pytest.raises(Refused, match="owes money"):
        buy(account, [CartItem(plan="lite")], "more")


def test_a_run_dated_ahead_takes_the_account_nowhere() -> None:
    account = fresh()
    sold(account, "news")
    after, invoice = bill_by(account, date(2026, 5, 1))
    assert invoice is not None
    assert (invoice.issued_on, invoice.total) == (date(2026, 5, 1), 3000)
    assert (after.today, len(after.invoices), len(account.invoices)) == (date(2026, 4, 1), 2, 1)


def test_a_run_of_today_is_the_account_s_own() -> None:
    account = fresh()
    sold(account, "news")
    advance(account, date(2026, 5, 1), fleet=False)
    after, invoice = bill_by(account, date(2026, 5, 1))
    assert after is account
    assert invoice is account.invoices[-1]


def test_nothing_is_given_back_ahead_of_its_day() -> None:
    account = fresh()
    sold(account, "year")
    name = next(iter(account.subscriptions))
    assert account.subscription(name).terms.charged_through > date(2026, 5, 1)
    after, invoice = bill_by(account, date(2026, 5, 1))
    assert (after.invoices, invoice) == (account.invoices, None)
