"""Writing down what an account's subscriptions demand, in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from domain.account.follow_ups import Access, Known, decide
from domain.account.state import AccountState
from domain.entitlements import Grant, SourceKind
from domain.periods import local_date, start_of_day
from storage.follow_ups import (
    FollowUpRow,
    NewFollowUp,
    finish_follow_ups,
    reopen_follow_ups,
    write_follow_ups,
)
from storage.round_trip import TakesStatements

WITHDRAWN = "withdrawn"


def note_follow_ups(
    connection: TakesStatements,
    account: AccountState,
    names: Collection[str],
    since: date,
    at: datetime,
    written: Iterable[FollowUpRow],
    granted: Iterable[Grant],
) -> None:
    """Write down what the subscriptions called `names` demand on the account's day, at the instant `at` of it, and
    withdraw what they demand no more. What happened before the local day `since` is left alone. The account's row has
    to be locked; `written` is what is written down for its subscriptions, `granted` are its grants as they are now."""
    ids = {account.subscriptions[name].terms.id: name for name in names}
    if not ids:
        return
    known: dict[str, list[FollowUpRow]] = {}
    for row in written:
        known.setdefault(row.subscription_id, []).append(row)
    access = _access(account, granted, max(at, start_of_day(account.today, account.zone)))
    new: list[NewFollowUp] = []
    gone: list[tuple[str, str]] = []
    again: list[str] = []
    for own, name in ids.items():
        rows = known.get(own, [])
        decision = decide(
            account,
            account.subscriptions[name],
            access.get(own, Access()),
            [_known(row, account.zone) for row in rows],
            since,
        )
        new += [
            NewFollowUp(own, each.kind.value, each.key, start_of_day(each.due_on, account.zone), each.about)
            for each in decision.new
        ]
        gone += [(row.id, WITHDRAWN) for row in rows if row.key in decision.withdrawn]
        again += [row.id for row in rows if row.key in decision.again]
    if new:
        write_follow_ups(connection, account.mode, account.id, new)
    if gone:
        finish_follow_ups(connection, gone)
    if again:
        reopen_follow_ups(connection, again, WITHDRAWN)


def _known(row: FollowUpRow, zone: ZoneInfo) -> Known:
    withdrawn = row.outcome == WITHDRAWN
    return Known(row.kind, row.key, local_date(row.due_at, zone), row.outcome is None, row.about, withdrawn)


def _access(account: AccountState, granted: Iterable[Grant], at: datetime) -> dict[str, Access]:
    """What each subscription's grants entitle to at the instant `at`, and when that changes next."""
    spans: dict[str, list[tuple[str, datetime, datetime | None]]] = {}
    for grant in granted:
        if grant.source_kind is SourceKind.SUBSCRIPTION and (grant.ends_at is None or grant.ends_at > at):
            spans.setdefault(grant.source_id, []).append((grant.feature, grant.starts_at, grant.ends_at))
    found = {}
    for source, each in spans.items():
        ahead = sorted({edge for _, *edges in each for edge in edges if edge is not None and edge > at})
        then = ahead[0] if ahead else None
        found[source] = Access(
            _open(each, at),
            local_date(then, account.zone) if then else None,
            _open(each, then) if then else (),
        )
    return found


def _open(spans: Sequence[tuple[str, datetime, datetime | None]], at: datetime) -> tuple[str, ...]:
    return tuple(
        sorted({feature for feature, since, until in spans if since <= at and (until is None or at < until)})
    )
