"""Writing down what an account's subscriptions demand, in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from domain.account.follow_ups import Known, decide
from domain.account.state import AccountState
from domain.periods import start_of_day
from storage.database import PgConnection
from storage.follow_ups import (
    FollowUpRow,
    NewFollowUp,
    finish_follow_ups,
    follow_ups_of,
    write_follow_ups,
)

WITHDRAWN = "withdrawn"


def note_follow_ups(
    connection: PgConnection,
    account: AccountState,
    names: Collection[str],
    since: date,
    written: Sequence[FollowUpRow] | None = None,
) -> None:
    """Write down what the subscriptions called `names` demand on the account's day, and withdraw what they demand no
    more. What happened before the local day `since` is left alone. The account's row has to be locked.
    `written`: what is written down, where that was read already under the lock."""
    ids = {account.subscriptions[name].terms.id: name for name in names}
    if not ids:
        return
    known: dict[str, list[FollowUpRow]] = {}
    for row in follow_ups_of(connection, list(ids)) if written is None else written:
        known.setdefault(row.subscription_id, []).append(row)
    new: list[NewFollowUp] = []
    gone: list[tuple[str, str]] = []
    for own, name in ids.items():
        rows = known.get(own, [])
        decision = decide(
            account,
            account.subscriptions[name],
            [Known(row.kind, row.key, row.outcome is None, row.about) for row in rows],
            since,
        )
        new += [
            NewFollowUp(own, each.kind.value, each.key, start_of_day(each.due_on, account.zone), each.about)
            for each in decision.new
        ]
        gone += [(row.id, WITHDRAWN) for row in rows if row.key in decision.withdrawn]
    if new:
        write_follow_ups(connection, account.mode, account.id, new)
    if gone:
        finish_follow_ups(connection, gone)
