"""The payment methods of an account: tokens of gateways, one default at each."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple

from uuid_utils import uuid7

from storage.database import PgConnection
from storage.events import NewEvent, append_events

_COLUMNS = (
    "id::text, connection, method, customer, kind, brand, last4, expires_on, is_default, added_at, retired_at"
)


class NewMethod(NamedTuple):
    """A payment method to keep. method, customer: the gateway's tokens, never a card's number. expires_on: the first
    day on which it is of no use any more. last4: the last four digits of a card."""

    connection: str
    method: str
    customer: str | None = None
    kind: str = "card"
    brand: str | None = None
    expires_on: date | None = None
    last4: str | None = None


class MethodRow(NamedTuple):
    """A payment method as it is kept."""

    id: str
    connection: str
    method: str
    customer: str | None
    kind: str
    brand: str | None
    last4: str | None
    expires_on: date | None
    is_default: bool
    added_at: datetime
    retired_at: datetime | None


def keep_method(
    connection: PgConnection, account_id: str, mode: str, new: NewMethod, *, pays_by_itself: bool = True
) -> MethodRow:
    """Keep `new` as the account's default, also at its gateway; the one before it stays, and is charged no more. With
    `pays_by_itself` the account pays so from now on. One that was kept before is taken up again."""
    connection.execute("select from account where id = %s for update", (account_id,))
    connection.execute(
        "update payment_method set is_default = false where account_id = %s and connection = %s and is_default"
        " and method <> %s",
        (account_id, new.connection, new.method),
    )
    row = connection.execute(
        f"""
        insert into payment_method (id, mode, account_id, connection, method, customer, kind, brand, expires_on, last4)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (account_id, connection, method) do update
        set is_default = true, retired_at = null, added_at = now(), customer = coalesce(excluded.customer,
            payment_method.customer), kind = excluded.kind, brand = coalesce(excluded.brand, payment_method.brand),
            expires_on = coalesce(excluded.expires_on, payment_method.expires_on),
            last4 = coalesce(excluded.last4, payment_method.last4)
        returning {_COLUMNS}
        """.encode(),
        (str(uuid7()), mode, account_id, *new[:3], new.kind, new.brand, new.expires_on, new.last4),
    ).fetchone()
    if row is None:
        raise RuntimeError("the payment method just written cannot be read")
    kept = MethodRow(*row)
    connection.execute(
        "update account set payment_method = %s, auto_pay = auto_pay or %s where id = %s",
        (new.method, pays_by_itself, account_id),
    )
    append_events(connection, [NewEvent("payment_method.added", account_id, kept.id, 1)])
    return kept


def retire_method(connection: PgConnection, account_id: str, gateway: str, method: str) -> MethodRow | None:
    """Charge a method no more; None where the account has none such in use."""
    row = connection.execute(
        f"update payment_method set retired_at = now() where account_id = %s and connection = %s and method = %s"
        f" and retired_at is null returning {_COLUMNS}".encode(),
        (account_id, gateway, method),
    ).fetchone()
    if row is None:
        return None
    gone = MethodRow(*row)
    append_events(connection, [NewEvent("payment_method.retired", account_id, gone.id, 1)])
    return gone


def methods_of(
    connection: PgConnection, account_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[MethodRow]:
    """The account's methods, the newest first, those that are retired too; behind the one that was added at that
    instant and has that id."""
    behind = "" if after is None else "and (added_at, id) < (%(at)s, %(id)s::uuid)"
    at, own = after or (None, None)
    rows: list[Any] = connection.execute(
        f"select {_COLUMNS} from payment_method where account_id = %(account)s {behind}"
        " order by added_at desc, id desc limit %(limit)s".encode(),
        {"account": account_id, "at": at, "id": own, "limit": limit},
    ).fetchall()
    return [MethodRow(*row) for row in rows]
