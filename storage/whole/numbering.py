"""The numbers by which an account's rules call its documents: their places in the order of posting."""

from __future__ import annotations

from storage.database import PgConnection


def invoice_place(connection: PgConnection, account_id: str, invoice_id: str) -> int | None:
    """The place of an invoice among those of its account, from 1; None when the account has no such invoice."""
    row = connection.execute(
        "select count(*) from invoice i join invoice own on own.account_id = i.account_id and i.number <= own.number"
        " where own.id = %s and own.account_id = %s",
        (invoice_id, account_id),
    ).fetchone()
    return int(row[0]) if row and row[0] else None
