"""Subscriptions straight into the tables, for tests of what happens to them afterwards."""

from __future__ import annotations

from datetime import date, datetime

import psycopg
import uuid_utils

from storage.database import PgConnection
from storage.events import NewEvent, append_events


def add_subscription(
    connection: PgConnection,
    *,
    status: str = "active",
    zone: str = "America/New_York",
    starts_on: date = date(2026, 1, 1),
    trial_ends_on: date | None = None,
    ends_on: date | None = None,
    next_due: datetime | None = None,
    mode: str = "live",
    event: str | None = None,
) -> str:
    """Insert an account with one subscription, with an event if asked for; answers the subscription's id."""
    account, subscription = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
    connection.execute(
        "insert into account (id, mode, external_key, currency, time_zone, locale)"
        " values (%s, %s, %s, 'USD', %s, 'en')",
        (account, mode, account, zone),
    )
    connection.execute(
        "insert into subscription (id, mode, account_id, external_key, status, starts_on, trial_ends_on, anchor_on,"
        " anchor_day, interval_unit, interval_count, ends_on, opening_on, charged_through, arrears_through, next_due)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, 1, 'month', 1, %s, %s, %s, %s, %s)",
        (
            *(
                subscription,
                mode,
                account,
                subscription,
                status,
                starts_on,
                trial_ends_on,
                starts_on,
                ends_on,
            ),
            *(starts_on, starts_on, starts_on, next_due),
        ),
    )
    if event is not None:
        append_events(connection, [NewEvent(event, account, subscription, 1)])
    return subscription


def change_dates(url: str, subscription: str, **columns: object) -> None:
    """Change columns of a subscription and tell of it, as a command does."""
    assignments = ", ".join(f"{name} = %({name})s" for name in columns)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            f"update subscription set {assignments}, version = version + 1 where id = %(id)s"
            " returning account_id::text, version".encode(),
            {**columns, "id": subscription},
        ).fetchone()
        assert row is not None
        append_events(connection, [NewEvent("subscription.changed", row[0], subscription, row[1])])
