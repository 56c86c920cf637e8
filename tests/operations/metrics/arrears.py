"""Invoices with refused charges, straight into the tables."""

from __future__ import annotations

from datetime import date

import psycopg
import uuid_utils


def new_id() -> str:
    """An id as the hub makes them."""
    return str(uuid_utils.uuid7())


class Book:
    """Accounts of one invoice each, over a connection that is committed when it is closed."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._numbers = 0

    def invoice(
        self,
        amount: int,
        *,
        currency: str = "EUR",
        status: str = "open",
        balance: int | None = None,
        mode: str = "live",
        written_off: int = 0,
    ) -> tuple[str, str]:
        """An invoice of `amount` that stands so; answers its account's id and its own."""
        account, invoice = new_id(), new_id()
        self._numbers += 1
        self.connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale)"
            " values (%s, %s, %s, %s, 'Europe/Berlin', 'de')",
            (account, mode, account, currency),
        )
        if balance is None:
            balance = amount if status == "open" else 0
        self.connection.execute(
            "insert into invoice (id, mode, account_id, series, number, currency, issued_on, due_on, status, subtotal,"
            " tax, total, balance, chain_hash)"
            " values (%s, %s, %s, 'INV', %s, %s, '2026-10-01', '2026-10-01', %s, %s, 0, %s, %s, '')",
            (invoice, mode, account, self._numbers, currency, status, amount, amount, balance),
        )
        if written_off:
            self.connection.execute(
                "insert into invoice_settlement (invoice_id, written_off) values (%s, %s)",
                (invoice, written_off),
            )
        return account, invoice

    def charge(
        self,
        of: tuple[str, str],
        amount: int,
        made_on: date,
        *,
        code: str | None = None,
        status: str = "failed",
        technical: bool = False,
    ) -> str:
        """A charge of an account for its invoice; answers its id. One that succeeded is paid on its day."""
        account, invoice = of
        charge, payment = new_id(), None
        if status == "succeeded":
            payment = self.payment(of, amount, made_on)
        ended = None if status in ("intent", "processing", "requires_action", "unknown") else made_on
        self.connection.execute(
            "insert into charge (id, mode, account_id, no, collection_id, made_on, currency, amount, connection,"
            " method, status, code, technical, payment_id, ended_at)"
            " select %s, a.mode, a.id, (select count(*) + 1 from charge where account_id = a.id), %s, %s, a.currency,"
            " %s, 'cards', 'pm_1', %s, %s, %s, %s, %s from account a where a.id = %s",
            (charge, charge, made_on, amount, status, code, technical, payment, ended, account),
        )
        self.connection.execute(
            "insert into charge_part (charge_id, invoice_id, amount, open) values (%s, %s, %s, %s)",
            (charge, invoice, amount, ended is None),
        )
        return charge

    def payment(self, of: tuple[str, str], amount: int, made_on: date) -> str:
        """Money that came in for an invoice; answers the payment's id."""
        account, invoice = of
        payment = new_id()
        self.connection.execute(
            "insert into payment (id, mode, account_id, no, made_on, currency, amount, status)"
            " select %s, a.mode, a.id, (select count(*) + 1 from payment where account_id = a.id), %s, a.currency, %s,"
            " 'succeeded' from account a where a.id = %s",
            (payment, made_on, amount, account),
        )
        self.connection.execute(
            "insert into payment_application (payment_id, invoice_id, amount) values (%s, %s, %s)",
            (payment, invoice, amount),
        )
        return payment
