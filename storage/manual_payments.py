"""The rows of payments that came in beside the gateways."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from storage.database import PgConnection


class ManualPayment(NamedTuple):
    """A payment under its reference, and the command that recorded it."""

    payment_id: str
    payment_no: int
    command_id: str


def manual_payment_of(connection: PgConnection, account_id: str, reference: str) -> ManualPayment | None:
    """The account's payment with that reference."""
    row = connection.execute(
        "select p.id::text, p.no, m.command_id from manual_payment m join payment p on p.id = m.payment_id"
        " where m.account_id = %s and m.reference = %s",
        (account_id, reference),
    ).fetchone()
    return ManualPayment(*row) if row else None


def payment_of_command(connection: PgConnection, account_id: str, command_id: str) -> str | None:
    """The id of the payment that a command recorded."""
    row = connection.execute(
        "select payment_id::text from manual_payment where account_id = %s and command_id = %s",
        (account_id, command_id),
    ).fetchone()
    return row[0] if row else None


def insert_manual_payment(
    connection: PgConnection,
    payment_id: str,
    account_id: str,
    reference: str | None,
    received_on: date,
    command_id: str,
) -> None:
    """Keep what came with a payment. Raises psycopg.errors.UniqueViolation for a reference that the account has."""
    connection.execute(
        "insert into manual_payment (payment_id, account_id, reference, received_on, command_id)"
        " values (%s, %s, %s, %s, %s)",
        (payment_id, account_id, reference, received_on, command_id),
    )


def note_returned(connection: PgConnection, payment_id: str, on: date) -> None:
    """It bounced, on that day."""
    connection.execute(
        "update manual_payment set returned_on = %s where payment_id = %s and returned_on is null",
        (on, payment_id),
    )


def charged_meanwhile(
    connection: PgConnection, account_id: str, invoices: Sequence[str]
) -> list[tuple[str, str]]:
    """(number, gateway) of the account's invoices, those of `invoices` or all, with a charge whose end is not known."""
    rows = connection.execute(
        """
        select v.series || '-' || v.number, c.connection
        from charge c join charge_part p on p.charge_id = c.id and p.open join invoice v on v.id = p.invoice_id
        where c.account_id = %(account)s and c.ended_at is null
          and (%(invoices)s::uuid[] = '{}' or v.id = any(%(invoices)s::uuid[]))
        order by v.number
        """,
        {"account": account_id, "invoices": list(invoices)},
    )
    return [(row[0], row[1]) for row in rows]
