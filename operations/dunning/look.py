"""Dunning one live account: what its day has for it, in one transaction with all that follows from it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from contracts.dunning import CaseStanding
from domain.account import collecting
from operations.accounts.unit import changing
from operations.dunning.case import OPENED
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.dunning import CaseRow, insert_case, last_case, overdue_accounts
from storage.events import NewEvent, append_events

_DAY = timedelta(days=1)


def dun(connection: PgConnection, tariff: Tariff, account_id: str, now: datetime) -> CaseStanding:
    """Dun the account at `now`, if it has a case: the state that its debts have brought it to, what entering that asks
    for (mails, measures, access), reminders, and giving a payment up. A day that was looked at already has nothing
    more. In the caller's transaction. Raises LookupError for an unknown account."""
    with changing(connection, tariff, account_id, now) as unit:
        case, account = unit.rows.case, unit.account
        if case is not None:
            before = len(account.dunning)
            collecting.dun(account, case.looked_on or account.today - _DAY)
            unit.of_case = {"looked_on": account.today}
    after = last_case(connection, account_id)
    if case is None or after is None:
        clear = account.policy.dunning.clear.name
        return CaseStanding(open=False, state=clear, outcome=after.outcome if after else None)
    return _standing(after, len(account.in_doubt), changed=len(account.dunning) > before)


def _standing(case: CaseRow, in_flight: int, *, changed: bool) -> CaseStanding:
    return CaseStanding(
        open=case.closed_at is None,
        state=case.state,
        amount=case.amount,
        currency=case.currency,
        invoices=case.invoices,
        in_flight=in_flight,
        next_at=case.next_at,
        retry_at=case.retry_at,
        holds={why: _day(hold.get("until")) for why, hold in case.holds.items()},
        outcome=case.outcome,
        changed=changed,
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def open_overdue_cases(connection: PgConnection, tariff: Tariff, as_of: datetime, limit: int) -> int:
    """Open a case for up to `limit` live accounts that have none and owe something past due at `as_of`; how many were
    found. Nothing is judged yet: that is for the workflow of each."""
    accounts = overdue_accounts(connection, as_of, limit)
    events = []
    for account_id, currency, rule_book in accounts:
        clear = tariff.rules(rule_book).policy.dunning.clear.name
        case = insert_case(connection, account_id, "sweep", clear, currency, as_of)
        if case is not None:
            events.append(NewEvent(OPENED, account_id, case.id, case.version))
    append_events(connection, events)
    return len(accounts)
