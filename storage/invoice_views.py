"""Invoices as callers see them: heads for lists, and one with its lines and taxes."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from storage.database import PgConnection
from storage.sight import Sight

Row = dict[str, Any]

_HEAD = """
    v.id::text, v.series || '-' || v.number as reference, v.mode, v.account_id::text, v.currency, v.issued_on, v.due_on,
    v.status, v.subtotal, v.tax, v.total, v.balance, v.bill_run_id::text, v.posted_at
"""
_FROM = "from invoice v join account a on a.id = v.account_id"

_LINES = """
    select l.no, l.kind, l.parent_no, i.subscription_id::text, l.item_id::text, i.plan_code as plan,
           n.name as plan_name, p.code as price, l.part, l.period_start, l.period_end,
           trim_scale(l.quantity)::text as quantity, l.amount, l.reference, trim_scale(l.rate)::text as rate,
           l.voided_at
    from invoice_line l
    left join subscription_item i on i.id = l.item_id left join plan n on n.code = i.plan_code
    left join price p on p.id = l.price_id
    where l.invoice_id = %s order by l.no
"""


def list_invoices(
    connection: PgConnection,
    sight: Sight,
    *,
    account_id: str | None,
    status: str | None,
    after: str | None,
    limit: int,
) -> list[Row]:
    """Heads of up to `limit` invoices, newest first, behind the id `after`."""
    conditions = ""
    if account_id is not None:
        conditions += " and v.account_id = %(account_id)s"
    if status is not None:
        conditions += " and v.status = %(status)s"
    if after is not None:
        conditions += " and v.id < %(after)s"
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"select {_HEAD} {_FROM} where {sight.within}{conditions} order by v.id desc limit %(limit)s".encode(),
            {"account_id": account_id, "status": status, "after": after, "limit": limit, **sight.parameters},
        )
        return cursor.fetchall()


def find_invoice(connection: PgConnection, sight: Sight, invoice_id: str) -> Row | None:
    """An invoice with all its `lines` in their order, if `sight` has its account."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"select {_HEAD} {_FROM} where {sight.within} and v.id = %(id)s".encode(),
            {"id": invoice_id, **sight.parameters},
        )
        head = cursor.fetchone()
        if head is None:
            return None
        cursor.execute(_LINES.encode(), (invoice_id,))
        return head | {"lines": cursor.fetchall()}
