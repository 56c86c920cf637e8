"""What an account's access depends on beside its subscriptions: first payments that have not come in, and purchases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from domain.entitlements import Given, SourceKind
from storage.database import PgConnection

_AWAITING = (
    "select w.subscription_id::text from awaiting_payment w join subscription s on s.id = w.subscription_id"
    " where s.account_id = %s"
)
_PURCHASES = (
    "select id::text, plan_code, plan_version, bought_on from purchase"
    " where account_id = %s and paid_at is not null order by id"
)


def awaiting_payment(connection: PgConnection, account_id: str) -> frozenset[str]:
    """The account's subscriptions whose first payment has not come in."""
    return _awaiting(connection.execute(_AWAITING, (account_id,)))


def access_beside(connection: PgConnection, account_id: str) -> tuple[frozenset[str], tuple[Given, ...]]:
    """`awaiting_payment`; and what the account bought once and has paid for, which is there for ever."""
    with connection.pipeline():
        awaiting = connection.execute(_AWAITING, (account_id,))
        purchases = connection.execute(_PURCHASES, (account_id,))
    return _awaiting(awaiting), _given(purchases)


def _awaiting(rows: Iterable[tuple[Any, ...]]) -> frozenset[str]:
    return frozenset(row[0] for row in rows)


def _given(rows: Iterable[tuple[Any, ...]]) -> tuple[Given, ...]:
    return tuple(
        Given(SourceKind.PURCHASE, own, plan, version, bought_on) for own, plan, version, bought_on in rows
    )
