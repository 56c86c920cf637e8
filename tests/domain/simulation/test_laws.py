"""Each kind of damage to the books is found by the laws; sound books break none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from domain.account.laws import broken_laws
from domain.account.state import AccountState
from domain.credits import CreditLine
from domain.ledger import ACCOUNT_CREDIT, REFUNDS_PAYABLE, Posting
from domain.ledger_events import Entry
from tests.domain.simulation.playing import SUBSCRIBED, played, step

STEPS = (*SUBSCRIBED, step("2026-05-01", "bill"), step("2026-05-02", "credit_note", invoice=1, amount="3.00"))


def world() -> AccountState:
    """Two paid invoices of 33.00 and a credit note of 3.00 on the first."""
    found = played(*STEPS, region="XX").account
    assert broken_laws(found) == []
    return found


def _post(books: AccountState, *postings: tuple[str, int, int]) -> None:
    entry = replace(
        books.journal[-1], document="by hand", postings=tuple(Posting(*each) for each in postings)
    )
    books.journal.append(entry)


def an_entry_that_does_not_balance(books: AccountState) -> None:
    first: Entry = books.journal[0]
    books.journal[0] = replace(first, postings=(*first.postings, Posting("revenue", 0, 1)))


def a_receivable_that_no_invoice_has(books: AccountState) -> None:
    _post(books, ("accounts_receivable", 5, 0), ("cash", 0, 5))


def account_credit_that_nobody_granted(books: AccountState) -> None:
    _post(books, (ACCOUNT_CREDIT, 0, 7), ("cash", 7, 0))


def a_refund_that_is_not_paid(books: AccountState) -> None:
    _post(books, (REFUNDS_PAYABLE, 0, 9), ("cash", 9, 0))


def revenue_recognised_twice(books: AccountState) -> None:
    _post(books, ("deferred_revenue", 4, 0), ("revenue", 0, 4))


def a_schedule_that_lost_a_credit(books: AccountState) -> None:
    line = next(iter(books.revenue.values()))
    line.schedule = replace(line.schedule, credits=())


def a_number_left_out(books: AccountState) -> None:
    books.invoices[1].number = 3


def a_line_changed(books: AccountState) -> None:
    invoice = books.invoices[0]
    invoice.lines[0] = replace(invoice.lines[0], amount=2999)


def a_total_changed(books: AccountState) -> None:
    invoice = books.invoices[0]
    invoice.balance = replace(invoice.balance, total=3400, paid=3400)


def a_charge_twice(books: AccountState) -> None:
    one, other = books.invoices
    other.lines[0] = replace(other.lines[0], charge_key=one.lines[0].charge_key)


def more_credited_than_billed(books: AccountState) -> None:
    books.credits.append(CreditLine(books.invoices[0].billed[0].key, "adjustment", None, None, -3000))


def a_credit_above_zero(books: AccountState) -> None:
    books.credits.append(CreditLine(books.invoices[1].billed[0].key, "adjustment", None, None, 1))


def a_day_that_nobody_charged(books: AccountState) -> None:
    subscription = books.subscriptions["main"]
    subscription.terms = replace(subscription.terms, charged_through=date(2026, 6, 2))


def days_charged_twice(books: AccountState) -> None:
    invoice = books.invoices[1]
    invoice.billed[0] = replace(invoice.billed[0], start=date(2026, 4, 30))


def days_in_a_pause_that_were_charged(books: AccountState) -> None:
    books.subscriptions["main"].pauses.append((date(2026, 5, 3), date(2026, 5, 4)))


@pytest.mark.parametrize(
    ("damage", "law"),
    [
        (an_entry_that_does_not_balance, "I1: the entry of invoice 1 does not balance"),
        (a_receivable_that_no_invoice_has, "I2: accounts_receivable stands at 5, and its documents at 0"),
        (account_credit_that_nobody_granted, "I2: account_credit stands at -307, and its documents at -300"),
        (a_refund_that_is_not_paid, "I2: refunds_payable stands at -9, and its documents at 0"),
        # 30.00 of May are deferred
        (revenue_recognised_twice, "I2: deferred_revenue stands at -2996, and its documents at -3000"),
        (a_schedule_that_lost_a_credit, "I2: deferred_revenue"),
        (a_number_left_out, "I4: invoice 3 stands in place 2"),
        (a_line_changed, "I9: the lines of invoice 1 come to 3299, not 3300"),
        (a_total_changed, "I9: the lines of invoice 1 come to 3300, not 3300"),
        (a_charge_twice, "I3: invoice 2 charges"),
        (more_credited_than_billed, "law 5: -273 is left of 3000 billed on invoice 1"),
        (a_credit_above_zero, "law 5: 3001 is left of 3000 billed on invoice 2"),
        (
            a_day_that_nobody_charged,
            "I13: 2026-06-01 to 2026-06-02 of news in subscription 'main' is not covered",
        ),
        (
            days_charged_twice,
            "I13: 2026-04-30 to 2026-05-01 of news in subscription 'main' is covered twice",
        ),
        (
            days_in_a_pause_that_were_charged,
            "I13: 2026-05-03 to 2026-05-04 of news in subscription 'main' is covered twice",
        ),
    ],
)
def test_damage_is_found(damage: Callable[[AccountState], None], law: str) -> None:
    books = world()
    damage(books)
    assert [each for each in broken_laws(books) if law in each]


def test_an_invoice_settled_by_more_than_its_total() -> None:
    books = world()
    # A balance refuses this by itself: it takes a row that nobody could have written.
    balance = books.invoices[0].balance
    object.__setattr__(balance, "paid", 3301)
    assert "invoice 1 is settled by more than its total" in broken_laws(books)


def test_a_voided_charge_may_be_billed_again() -> None:
    books = played(
        *SUBSCRIBED,
        step("2026-04-02", "void", invoice=1),
        step("2026-04-02", "bill"),
        account={"auto_pay": False},
    ).account
    assert broken_laws(books) == []
    books.invoices[1].lines[0] = replace(
        books.invoices[1].lines[0], charge_key=books.invoices[0].lines[0].charge_key
    )
    assert not [each for each in broken_laws(books) if "I3" in each]


@pytest.mark.parametrize(
    "steps",
    [
        (step("2026-04-01", "subscribe", plan="trial"), step("2026-04-20", "bill")),
        (*SUBSCRIBED, step("2026-04-11", "pause"), step("2026-04-12", "bill")),
        (*SUBSCRIBED, step("2026-04-11", "change_plan", to="plus"), step("2026-04-16", "cancel")),
        (
            step("2026-04-01", "subscribe", plan="term"),
            step("2026-04-01", "bill"),
            step("2026-04-11", "pause"),
            step("2026-04-21", "resume"),
            step("2026-04-21", "bill", to="2026-07-20"),
        ),
    ],
)
@pytest.mark.parametrize("paid_time", ["credit", "extend"])
def test_trials_pauses_and_credits_cover_their_days(
    steps: tuple[dict[str, object], ...], paid_time: str
) -> None:
    assert broken_laws(played(*steps, policy={"pause": {"paid_time": paid_time}}).account) == []
