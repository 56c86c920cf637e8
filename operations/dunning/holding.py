"""Holding and releasing the dunning of an account, with who did it and why in the audit trail."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from contracts.dunning import Hold, Release
from domain.account.commands import HoldDunning, ReleaseDunning
from domain.periods import local_date
from operations.accounts.commands import Outcome, carry_out
from operations.audit import append_action
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.dunning import CaseRow, change_case, open_case


class NoSuchCase(LookupError):
    """The account is not being dunned."""


def hold(connection: PgConnection, tariff: Tariff, account_id: str, order: Hold, now: datetime) -> Outcome:
    """Let the account be dunned no further, once for each order's id. A refusal is in the outcome, for
    `operations.accounts.commands.accepted`. Raises NoSuchCase, and CommandReused for an id of another order."""
    case = _case(connection, account_id)
    step = HoldDunning(
        at=_today(connection, account_id, now), do="hold_dunning", why=order.why.value, until=order.until
    )
    outcome = carry_out(connection, tariff, account_id, f"dunning {order.id}", step, now)
    if outcome.repeated or "refused" in outcome.answer:
        return outcome
    after = open_case(connection, account_id)
    if after is not None:
        held = after.holds[order.why.value] | {"by": order.actor, "reason": order.reason}
        change_case(connection, after.id, {"holds": after.holds | {order.why.value: held}})
    until = f" through {order.until}" if order.until else ""
    _tell(connection, case, f"dunning.{order.why.value}", order, f"{order.reason}{until}")
    return outcome


def release(
    connection: PgConnection, tariff: Tariff, account_id: str, order: Release, now: datetime
) -> Outcome:
    """Let dunning go on, as in `hold`: what the debts' age says is entered at once."""
    case = _case(connection, account_id)
    why = order.why.value if order.why is not None else None
    step = ReleaseDunning(at=_today(connection, account_id, now), do="release_dunning", why=why)
    outcome = carry_out(connection, tariff, account_id, f"dunning {order.id}", step, now)
    if not outcome.repeated and "refused" not in outcome.answer:
        _tell(connection, case, "dunning.resume", order, order.reason)
    return outcome


def _case(connection: PgConnection, account_id: str) -> CaseRow:
    case = open_case(connection, account_id)
    if case is None:
        raise NoSuchCase(f"account {account_id} has no open dunning case: there is nothing to hold")
    return case


def _today(connection: PgConnection, account_id: str, now: datetime) -> date:
    row = connection.execute("select time_zone from account where id = %s", (account_id,)).fetchone()
    if row is None:
        raise NoSuchCase(f"there is no account {account_id}")
    return local_date(now, ZoneInfo(row[0]))


def _tell(connection: PgConnection, case: CaseRow, action: str, order: Hold | Release, reason: str) -> None:
    append_action(
        connection,
        key=f"dunning/{case.account_id}/{order.id}",
        actor=order.actor,
        action=action,
        subject=f"dunning/{case.account_id}",
        reason=reason,
    )
