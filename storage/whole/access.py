"""What an account's access depends on beside its subscriptions: first payments that have not come in, and purchases."""

from __future__ import annotations

from domain.entitlements import Given, SourceKind
from storage.database import PgConnection


def awaiting_payment(connection: PgConnection, account_id: str) -> frozenset[str]:
    """The account's subscriptions whose first payment has not come in."""
    rows = connection.execute(
        "select w.subscription_id::text from awaiting_payment w join subscription s on s.id = w.subscription_id"
        " where s.account_id = %s",
        (account_id,),
    )
    return frozenset(row[0] for row in rows)


def paid_purchases(connection: PgConnection, account_id: str) -> tuple[Given, ...]:
    """What the account bought once and has paid for: it is there for ever."""
    rows = connection.execute(
        "select id::text, plan_code, plan_version, bought_on from purchase"
        " where account_id = %s and paid_at is not null order by id",
        (account_id,),
    )
    return tuple(
        Given(SourceKind.PURCHASE, own, plan, version, bought_on) for own, plan, version, bought_on in rows
    )
