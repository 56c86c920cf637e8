"""What an account's access depends on beside its subscriptions: first payments that have not come in, and purchases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from domain.entitlements import Given, SourceKind
from storage.database import PgConnection
from storage.round_trip import RoundTrip

ACCOUNT_AWAITING = (
    "select w.subscription_id::text from awaiting_payment w join subscription s on s.id = w.subscription_id"
    " where s.account_id = %(account)s"
)
ACCOUNT_PURCHASES = (
    "select id::text, plan_code, plan_version, bought_on from purchase"
    " where account_id = %(account)s and paid_at is not null order by id"
)


def awaiting_payment(connection: PgConnection, account_id: str) -> frozenset[str]:
    """The account's subscriptions whose first payment has not come in."""
    return awaiting(connection.execute(ACCOUNT_AWAITING, {"account": account_id}))


def access_beside(trip: RoundTrip, account_id: str) -> tuple[frozenset[str], tuple[Given, ...]]:
    """`awaiting` and `purchases` as they are after what was collected in `trip`, which is sent with it."""
    asked = [trip.execute(sql, {"account": account_id}) for sql in (ACCOUNT_AWAITING, ACCOUNT_PURCHASES)]
    return awaiting(asked[0]), purchases(asked[1])


def awaiting(rows: Iterable[tuple[Any, ...]]) -> frozenset[str]:
    """What ACCOUNT_AWAITING answered."""
    return frozenset(row[0] for row in rows)


def purchases(rows: Iterable[tuple[Any, ...]]) -> tuple[Given, ...]:
    """What the account bought once and has paid for, which is there for ever: what ACCOUNT_PURCHASES answered."""
    return tuple(
        Given(SourceKind.PURCHASE, own, plan, version, bought_on) for own, plan, version, bought_on in rows
    )
