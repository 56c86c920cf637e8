"""The days of an account pass: what is dated for a day happens at its beginning, in one order, everywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from domain.account import billing, changing, collecting, corrections, media, pausing
from domain.account.state import AccountState, Invoice, snapshot
from domain.ledger_events import Event
from domain.revenue import to_recognise

_DAY = timedelta(days=1)


def advance(account: AccountState, day: date, *, fleet: bool = True) -> None:
    """Let the days pass until `day` begins: what is dated for a day happens at its beginning. Without `fleet`, what
    runs over all accounts do on those days (recognition of revenue, dunning, payment retries) is left to them."""
    while account.today < day:
        account.today += _DAY
        pausing.resume_what_waited(account)
        changing.change_what_waited(account)
        corrections.expire_credit(account)
        media.expire_gifts(account)
        if not fleet:
            continue
        if account.today.day == 1:
            recognise(account)
        collecting.judge(account)
        collecting.retry(account)


def recognise(account: AccountState) -> None:
    """The journal run of a month's first day: what was delivered until now is revenue."""
    total = 0
    for books in account.revenue.values():
        due = to_recognise(books.schedule, account.today, books.recognised)
        books.recognised += due
        total += due
    if total > 0:
        account.post(Event.REVENUE_RECOGNISED, {"amount": total}, f"revenue through {account.today}")
    account.recognised_through = account.today


def run_bill(account: AccountState) -> None:
    """One bill run as of today, and the charge of what it made."""
    invoice = bill_only(account)
    waits = account.collecting is not None and not account.collecting.given_up
    if invoice is not None and account.terms.auto_pay and not waits:
        collecting.charge(account)
    collecting.judge(account)


def bill_by(account: AccountState, day: date) -> tuple[AccountState, Invoice | None]:
    """The account after a bill run dated `day`, and what the run made. One dated ahead bills what is due by then, with
    its date; the days until then have not passed, so what is dated for them (a pause that ends, a change of interval)
    is left to its own day, with what follows from it. Nothing is given back ahead: where more would be credited than
    charged, the account is left as it is."""
    if day <= account.today:
        return account, bill_only(account, day)
    ahead = replace(snapshot(account), bills_on=day)
    invoice = bill_only(ahead, day)
    if len(ahead.credit_notes) > len(account.credit_notes):
        return account, None
    ahead.bills_on = None
    return ahead, invoice


def bill_only(account: AccountState, day: date | None = None) -> Invoice | None:
    """One bill run as of `day` (today): the credits of missed issues, what is due and what waits. The money is for
    others."""
    day = day or account.today
    media.credit_missed_issues(account, day)
    return billing.bill(account, day)
