"""Sales written into the books step by step, without a gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from domain.account import collecting
from domain.account.days import bill_only
from operations.accounts.unit import changing
from operations.checkout.begin import begin
from operations.checkout.books import post, settle, take_back
from operations.checkout.quote import Gateway, write_quote
from operations.tariffs import Tariffs
from storage.checkouts import CheckoutRow, read_checkout
from storage.database import transaction
from tests.workflows.selling import BACK, order

SOLD = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
DEBIT = {"method": "pm_debit", "return_url": BACK, "charge": "last"}


class Ledger:
    """One database, and the steps of sales in it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tariff = Tariffs(engine).current()

    def sold(self, key: str, **changes: Any) -> CheckoutRow:
        """A sale in the books whose money is on its way."""
        with transaction(self.engine) as connection:
            row, _ = begin(connection, order(payment=DEBIT, **changes), key)
            write_quote(connection, self.tariff, row.id, SOLD, lambda _: Gateway("cards", True))
            posted = post(connection, self.tariff, row.id)
            assert posted.problem is None
            return read_checkout(connection, row.id)

    def bill(self, row: CheckoutRow, after: timedelta, *, pay: bool = False) -> None:
        """Bill the account, which may pay what that brings."""
        with (
            transaction(self.engine) as connection,
            changing(connection, self.tariff, row.account_id, SOLD + after) as unit,
        ):
            invoice = bill_only(unit.account)
            assert invoice is not None
            if pay:
                collecting.pay(unit.account, invoice.balance.open, [invoice])

    def returned(self, row: CheckoutRow, after: timedelta) -> None:
        """The debit comes back, which is told twice."""
        for _ in range(2):
            with transaction(self.engine) as connection:
                take_back(connection, self.tariff, row.id, SOLD + after)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with transaction(self.engine) as connection:
            return connection.execute(query.encode()).fetchall()

    def settled(self, row: CheckoutRow, **fulfilled_by: str | None) -> None:
        """The money has come in, which is told twice."""
        for _ in range(2):
            with transaction(self.engine) as connection:
                settle(connection, self.tariff, row.id, SOLD, fulfilled_by)
