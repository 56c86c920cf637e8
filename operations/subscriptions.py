"""What a subscription's episode asks of the books: where it stands, and to record what its dates made true."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from contracts.subscription import Standing
from domain.periods import local_date
from domain.subscriptions import State, next_change, state_on
from operations.accounts.unit import build, changing
from operations.follow_ups.carrying import ProvisionerOf, carry_out_follow_ups, first_due, nobody
from operations.follow_ups.writing import note_follow_ups
from operations.fulfilment.noting import delivers, note_fulfilment
from operations.fulfilment.sending import FulfilledBy, ask, nothing_connected
from operations.tariffs import Tariff
from storage.database import PgConnection, transaction
from storage.events import NewEvent, append_events
from storage.whole.reading import read_whole


class _Row(NamedTuple):
    account_id: str
    zone: str
    status: str
    starts_on: date
    trial_ends_on: date | None
    ends_on: date | None
    next_due: datetime | None
    version: int
    clock_at: datetime | None
    clock_ended: bool
    of_whole: bool

    def standing(self, follow_up_due: datetime | None, *, changed: bool = False) -> Standing:
        # By a clock that has ended, no date ever comes.
        return Standing(
            account_id=self.account_id,
            status=self.status,
            next_due=None if self.clock_ended else self.next_due,
            version=self.version,
            changed=changed,
            follow_up_due=None if self.clock_ended else follow_up_due,
            clock_at=self.clock_at,
        )


def read_standing(
    engine: Engine, subscription_id: str, now: datetime | None = None, tariff: Tariff | None = None
) -> Standing:
    """Where the subscription stands. With `now` and `tariff`, what it demands by then is written down first. Raises
    LookupError when there is none of that id."""
    with transaction(engine) as connection:
        row = _row(connection, subscription_id)
        overdue = row.next_due is not None and now is not None and row.next_due <= now
        if tariff is not None and now is not None and not overdue:
            # What is overdue is recorded first, and noted then.
            _note(connection, tariff, row.account_id, subscription_id, now, None)
        return row.standing(first_due(connection, subscription_id))


def settle_subscription(
    engine: Engine, subscription_id: str, now: datetime, tariff: Tariff | None = None
) -> Standing:
    """Record the state that the subscription's dates have brought about by `now`, in one transaction: status, next
    date, version and the event. Nothing is written while its next date lies ahead of `now`, so that a late
    repetition can never take a newer state back.

    With `tariff` all that was dated for the account is recorded where more than a status hangs on its dates: pauses
    end, changes that waited come. Raises LookupError when there is none of that id.
    """
    with transaction(engine) as connection:
        row = _row(connection, subscription_id)
        if row.next_due is None or now < row.next_due:
            return row.standing(first_due(connection, subscription_id))
        if tariff is not None and row.of_whole:
            with changing(connection, tariff, row.account_id, now) as unit:
                pass
            after = _row(connection, subscription_id)
            changed = subscription_id in unit.written.versions
        else:
            if tariff is not None:  # the account before its subscriptions, as everybody locks them
                connection.execute("select 1 from account where id = %s for update", (row.account_id,))
            after, changed = _record(connection, subscription_id, now)
            if tariff is not None:
                since = local_date(row.next_due, ZoneInfo(row.zone))
                _note(connection, tariff, row.account_id, subscription_id, now, since)
        return after.standing(first_due(connection, subscription_id), changed=changed)


def follow_up_subscription(
    engine: Engine,
    subscription_id: str,
    now: datetime,
    provisioner: ProvisionerOf = nobody,
    fulfilled_by: FulfilledBy = nothing_connected,
) -> Standing:
    """Carry out what the subscription demands by `now`, with licences and parcels of its account, and say where it
    stands then, and which calls that brought. Raises LookupError when there is none of that id."""
    carried = carry_out_follow_ups(engine, subscription_id, now, provisioner)
    standing = read_standing(engine, subscription_id)
    with transaction(engine) as connection:
        asked = ask(connection, fulfilled_by, now, standing.account_id)
    return standing.model_copy(update={"changed": carried.done > 0, "calls": [*carried.calls, *asked]})


def _record(connection: PgConnection, subscription_id: str, now: datetime) -> tuple[_Row, bool]:
    """The light way, for rows of which the dates bring about a status and nothing else; whether it wrote."""
    row = _row(connection, subscription_id, lock=True)
    if row.next_due is None or now < row.next_due:
        return row, False
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
    return after, True


def _note(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str,
    subscription_id: str,
    now: datetime,
    since: date | None,
) -> None:
    """Write down what the subscription demands as it stands, of what happened from the local day `since` on (default:
    the day of `now`)."""
    rows = read_whole(connection, account_id, tariff.book)
    now = rows.head.clock_at or now
    account, _ = build(rows, tariff, now)
    account.today = max(account.today, local_date(now, account.zone))
    names = [name for name, each in account.subscriptions.items() if each.terms.id == subscription_id]
    granted = [each.grant for each in rows.access]
    note_follow_ups(connection, account, names, since or account.today, now, rows.follow_ups, granted)
    if delivers(account, tariff, rows.purchases):
        note_fulfilment(connection, tariff, account, now, granted, rows.purchases)


def _row(connection: PgConnection, subscription_id: str, *, lock: bool = False) -> _Row:
    row = connection.execute(
        b"""
        select s.account_id::text, a.time_zone, s.status, s.starts_on, s.trial_ends_on, s.ends_on, s.next_due,
               s.version, a.clock_at,
               exists (select 1 from test_clock c where c.id = a.test_clock_id and c.status = 'ended'),
               a.known_whole or a.billed_whole or s.resumes_on is not null or s.later_on is not null or exists (
                   select 1 from subscription_item i where i.subscription_id = s.id and i.starts_on > s.starts_on)
        from subscription s join account a on a.id = s.account_id where s.id = %s
        """
        + (b" for update of s" if lock else b""),
        (subscription_id,),
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no subscription {subscription_id}")
    return _Row(*row)
