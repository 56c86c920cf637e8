"""The business state of accounts, read in batches by external key and without any id, number or instant in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from storage.copying import id_array
from storage.database import PgConnection
from storage.packing import IdArray

Row = dict[str, Any]


class AccountState(NamedTuple):
    """An account with its subscriptions, its invoices as (head, lines, postings), and by name what else it has:
    credit notes, payments, charges that wait. Days are ISO texts, amounts minor units, quantities and rates decimal
    texts without trailing zeros."""

    mode: str
    key: str
    currency: str
    subscriptions: list[Row]
    invoices: list[tuple[Row, list[Row], list[Row]]]
    beside: dict[str, list[Row]]


def account_states(connection: PgConnection, batch: int) -> Iterator[AccountState]:
    """Every account in the order of mode and external key, `batch` at a time. Call it in a snapshot."""
    after = ("", "")
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                select id::text, mode, external_key, currency from account
                where (mode, external_key collate "C") > (%s, %s) order by mode, external_key collate "C" limit %s
                """,
                (*after, batch),
            )
            accounts = cursor.fetchall()
        if not accounts:
            return
        ids = id_array(row[0] for row in accounts)
        subscriptions = _by(
            connection,
            """
            select account_id::text as owner, external_key as key, status, charged_through::text, arrears_through::text,
                   next_bill_on::text, ends_on::text, resumes_on::text, later_on::text, canceled_on::text, i.items
            from subscription s left join lateral (
                select jsonb_agg(jsonb_build_array(plan_code, plan_version, trim_scale(quantity)::text, starts_on,
                                                   ends_on) order by starts_on, ends_on, plan_code) as items
                from subscription_item where subscription_id = s.id) i on true
            where account_id = any(%s::uuid[]) order by external_key collate "C"
            """,
            ids,
        )
        beside = {name: _by(connection, query, ids) for name, query in _BESIDE.items()}
        invoices = _by(
            connection,
            """
            select account_id::text as owner, id::text, issued_on::text, due_on::text, currency, status, subtotal, tax,
                   total, balance
            from invoice where account_id = any(%s::uuid[])
            """,
            ids,
        )
        posted = id_array(row["id"] for rows in invoices.values() for row in rows)
        lines = _by(connection, _LINES, posted)
        postings = _by(
            connection,
            """
            select entry_id::text as owner, ledger_account as account, debit, credit from journal_line
            where entry_id = any(%s::uuid[]) order by ledger_account, debit, credit
            """,
            posted,
        )
        for account, mode, key, currency in accounts:
            yield AccountState(
                mode,
                key,
                currency,
                subscriptions.get(account, []),
                [
                    (row, lines.get(number, []), postings.get(number, []))
                    for row in invoices.get(account, [])
                    for number in [row.pop("id")]
                ],
                {name: found[account] for name, found in beside.items() if account in found},
            )
        after = (accounts[-1][1], accounts[-1][2])


_BESIDE = {
    "credit_notes": """
        select account_id::text as owner, issued_on::text, reason, subtotal, tax, total from credit_note
        where account_id = any(%s::uuid[]) order by issued_on, total, reason
    """,
    "payments": """
        select account_id::text as owner, made_on::text, amount, status, refunded, code from payment
        where account_id = any(%s::uuid[]) order by no
    """,
    "pending": """
        select account_id::text as owner, l ->> 'kind' as kind, (l ->> 'amount')::bigint as amount
        from pending_charge, jsonb_array_elements(lines) l where account_id = any(%s::uuid[]) order by 2, 3
    """,
}
_LINES = """
    select l.invoice_id::text as owner, l.no, l.parent_no, l.kind, s.external_key as subscription,
           v.plan_code as plan, v.version, p.phase, p.code as price, l.part, l.period_start::text, l.period_end::text,
           trim_scale(l.quantity)::text as quantity, l.amount,
           case when l.kind in ('discount', 'tax') then l.reference end as reference, trim_scale(l.rate)::text as rate,
           l.voided_at is not null as voided
    from invoice_line l
    left join subscription_item i on i.id = l.item_id left join subscription s on s.id = i.subscription_id
    left join price p on p.id = l.price_id left join plan_version v on v.id = p.plan_version_id
    where l.invoice_id = any(%s::uuid[]) order by l.invoice_id, l.no
"""


def _by(connection: PgConnection, query: str, ids: IdArray) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query.encode(), (ids,))
        for row in cursor:
            found.setdefault(row.pop("owner"), []).append(row)
    return found


def number_ranges(connection: PgConnection) -> Iterator[tuple[str, str, str]]:
    """(mode, series, its invoices' numbers as ranges): `1..40` where no number is missing or double, else every run of
    numbers, like `1..7 9..40`."""
    yield from connection.execute(
        """
        with island as (
            select mode, series, min(number) as first, max(number) as last
            from (select mode, series, number,
                         number - row_number() over (partition by mode, series order by number) as shift from invoice) n
            group by mode, series, shift)
        select s.mode, s.code, coalesce((
            select string_agg(first || '..' || last, ' ' order by first, last) from island i
            where i.mode = s.mode and i.series = s.code), 'none')
        from (select mode, code from number_series union select distinct mode, series from island) s order by 1, 2
        """
    )
