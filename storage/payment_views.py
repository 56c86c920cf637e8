"""Payments as they are shown."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from storage.database import PgConnection
from storage.sight import Sight

_SELECT = """
    select p.id::text, p.mode, p.account_id::text, p.no, p.made_on, p.currency, p.amount, p.status, p.refunded, p.code,
           m.reference, m.received_on, m.returned_on,
           coalesce((select jsonb_agg(jsonb_build_object('invoice_id', x.invoice_id, 'amount', x.amount)
                                      order by v.due_on, v.number)
                     from payment_application x join invoice v on v.id = x.invoice_id
                     where x.payment_id = p.id), '[]') as applied
    from payment p join account a on a.id = p.account_id left join manual_payment m on m.payment_id = p.id
"""


def find_payment(connection: PgConnection, sight: Sight, payment_id: str) -> dict[str, Any] | None:
    """The payment, if `sight` has its account."""
    found = _rows(
        connection,
        f"{_SELECT} where {sight.within} and p.id = %(id)s",
        {"id": payment_id, **sight.parameters},
    )
    return found[0] if found else None


def list_payments(
    connection: PgConnection, sight: Sight, account_id: str, *, after: int | None, limit: int
) -> list[dict[str, Any]]:
    """The account's payments, the latest first, before the number `after`."""
    before = "" if after is None else " and p.no < %(after)s"
    return _rows(
        connection,
        f"{_SELECT} where {sight.within} and p.account_id = %(account)s{before} order by p.no desc limit %(limit)s",
        {"account": account_id, "after": after, "limit": limit, **sight.parameters},
    )


def _rows(connection: PgConnection, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()
