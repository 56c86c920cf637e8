"""The case of an account, kept true in the transaction of whatever changes the account."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from domain.account import collecting
from domain.account.state import AccountState
from domain.periods import start_of_day
from domain.receivables import InvoiceStatus
from domain.retries import retry_at
from storage.dunning import CaseRow, change_case, insert_case
from storage.events import NewEvent
from storage.round_trip import TakesStatements

OPENED, CHANGED, CLOSED = "dunning.opened", "dunning.changed", "dunning.closed"


def note_case(
    connection: TakesStatements,
    account: AccountState,
    case: CaseRow | None,
    now: datetime,
    *,
    own: dict[str, Any] | None = None,
) -> list[NewEvent]:
    """Write how the account's case stands now. A live account whose charge failed gets one; one that owes nothing more
    that counts is rid of it. `own`: columns that whoever looks at the case sets with it; its process then hears
    nothing, for it is the one who looks. Answers the events to append."""
    if account.collected:
        return []
    events: list[NewEvent] = []
    if case is None:
        if account.collecting is None or account.collecting.given_up:
            return []
        clear = account.policy.dunning.clear.name
        case = insert_case(connection, account.id, "failed_payment", clear, account.currency, now)
        if case is None:
            return []
        account.dunned = True
        events.append(NewEvent(OPENED, account.id, case.id, case.version))
    standing = _standing(account, case, now, own)
    changes = {name: value for name, value in standing.items() if getattr(case, name) != value}
    if not changes:
        return events
    version = case.version + 1
    change_case(connection, case.id, {**changes, "version": version})
    if "closed_at" in changes:
        account.dunned = False
        events.append(NewEvent(CLOSED, account.id, case.id, version))
    elif own is None and not events:
        events.append(NewEvent(CHANGED, account.id, case.id, version))
    return events


def _standing(
    account: AccountState, case: CaseRow, now: datetime, own: dict[str, Any] | None
) -> dict[str, Any]:
    open_invoices = account.open_invoices()
    closes = _closes(account)
    look = collecting.next_look(account)
    again = collecting.retry_on(account)
    values: dict[str, Any] = {
        "state": account.dunning[-1][1],
        "amount": sum(each.balance.open for each in open_invoices),
        "invoices": len(open_invoices),
        "oldest_due_on": min((each.balance.due_on for each in open_invoices), default=None),
        "next_at": None if look is None or closes else start_of_day(look, account.zone),
        "retry_at": None
        if again is None or closes
        else retry_at(account.policy.dunning.retry, again, account.zone),
        "holds": _holds(account, case),
    }
    if closes:
        values |= {"closed_at": now, "outcome": _outcome(account, case)}
    elif case.looked_on is None and own is None:
        values["next_at"] = case.next_at  # it was never looked at, and is to be at once
    return values | (own or {})


def _closes(account: AccountState) -> bool:
    """Whether nothing is left to dun for: the state is clear, no charge waits for its next try, and nothing that counts
    is past due."""
    if account.dunning[-1][1] != account.policy.dunning.clear.name:
        return False
    if account.collecting is not None and account.open_invoices():
        return False
    return all(each.due_on >= account.today for each in collecting.unpaid(account))


def _outcome(account: AccountState, case: CaseRow) -> str:
    """How what was owed came to its end: paid, written_off or voided."""
    since = case.oldest_due_on or account.today
    ends = {each.balance.status for each in account.invoices if each.balance.due_on >= since}
    if InvoiceStatus.UNCOLLECTIBLE in ends:
        return "written_off"
    return "voided" if ends == {InvoiceStatus.VOID} else "paid"


def _holds(account: AccountState, case: CaseRow) -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = {}
    for why, hold in account.holds.items():
        value: dict[str, str | None] = {
            "state": hold.state,
            "until": None if hold.until is None else str(hold.until),
        }
        known = case.holds.get(why, {})
        same = all(known.get(name) == each for name, each in value.items())
        found[why] = {**value, "by": known.get("by"), "reason": known.get("reason")} if same else value
    return found
