"""What a subscription's episode asks of the books: where it stands, and to record what its dates made true."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from contracts.subscription import Standing
from domain.periods import local_date
from domain.subscriptions import State, next_change, state_on
from storage.database import PgConnection, transaction
from storage.events import NewEvent, append_events


class _Row(NamedTuple):
    account_id: str
    zone: str
    status: str
    starts_on: date
    trial_ends_on: date | None
    ends_on: date | None
    next_due: datetime | None
    version: int

    def standing(self, *, changed: bool = False) -> Standing:
        return Standing(
            account_id=self.account_id,
            status=self.status,
            next_due=self.next_due,
            version=self.version,
            changed=changed,
        )


def read_standing(engine: Engine, subscription_id: str) -> Standing:
    """Where the subscription stands. Raises LookupError when there is none of that id."""
    with transaction(engine) as connection:
        return _row(connection, subscription_id, lock=False).standing()


def settle_subscription(engine: Engine, subscription_id: str, now: datetime) -> Standing:
    """Record the state that the subscription's dates have brought about by `now`, in one transaction: status, next
    date, version and the event. Nothing is written while its next date lies ahead of `now`, so that a late
    repetition can never take a newer state back. Raises LookupError when there is none of that id."""
    with transaction(engine) as connection:
        row = _row(connection, subscription_id, lock=True)
        if row.next_due is None or now < row.next_due:
            return row.standing()
        zone = ZoneInfo(row.zone)
        today = local_date(now, zone)
        state = state_on(
            State(row.status),
            starts_on=row.starts_on,
            trial_ends_on=row.trial_ends_on,
            ends_on=row.ends_on,
            day=today,
        )
        next_due = next_change(
            state,
            starts_on=row.starts_on,
            trial_ends_on=row.trial_ends_on,
            ends_on=row.ends_on,
            zone=zone,
            after=today,
        )
        after = row._replace(status=state.value, next_due=next_due, version=row.version + 1)
        connection.execute(
            "update subscription set status = %s, next_due = %s, version = %s where id = %s",
            (after.status, after.next_due, after.version, subscription_id),
        )
        append_events(
            connection, [NewEvent("subscription.changed", row.account_id, subscription_id, after.version)]
        )
        return after.standing(changed=True)


def _row(connection: PgConnection, subscription_id: str, *, lock: bool) -> _Row:
    row = connection.execute(
        b"""
        select s.account_id::text, a.time_zone, s.status, s.starts_on, s.trial_ends_on, s.ends_on, s.next_due, s.version
        from subscription s join account a on a.id = s.account_id where s.id = %s
        """
        + (b" for update of s" if lock else b""),
        (subscription_id,),
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no subscription {subscription_id}")
    return _Row(*row)
