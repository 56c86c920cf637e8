"""A debit that comes back after weeks, when bills have gone on: nothing is owed for what nobody could read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from contracts.checkout import CheckoutStatus
from domain.account import collecting
from domain.account.days import bill_only
from operations.accounts.unit import changing
from operations.catalog import load_catalog
from operations.checkout.begin import begin
from operations.checkout.books import post, settle, take_back
from operations.checkout.quote import Gateway, write_quote
from operations.tariffs import Tariffs
from operations.verify import verify
from runtime.catalog_source import read_catalog_file
from storage.checkouts import CheckoutRow, read_checkout
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.workflows.selling import BACK, CATALOG, order

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


@pytest.fixture
def ledger(pg_server: PostgresForTests) -> Iterator[Ledger]:
    """Afterwards the laws of the books hold."""
    engine = make_engine(pg_server.fresh_database("late_debit"))
    load_catalog(engine, read_catalog_file(CATALOG).catalog)
    yield Ledger(engine)
    assert [law for law in verify(engine) if not law.ok] == []
    engine.dispose()


INVOICES = "select status, balance from invoice order by number"
LIVE = "select count(*) from subscription where status <> 'canceled'"
READ = "select count(*) from entitlement_grant"


def test_what_was_billed_meanwhile_is_void_too(ledger: Ledger) -> None:
    row = ledger.sold("a")
    ledger.bill(row, timedelta(days=31))
    ledger.bill(row, timedelta(days=62))
    assert [status for status, _ in ledger.rows(INVOICES)] == ["open"] * 3
    ledger.returned(row, timedelta(days=70))
    assert ledger.rows(INVOICES) == [("void", 0)] * 3
    assert (ledger.rows(LIVE), ledger.rows(READ)) == ([(0,)], [(0,)])


def test_what_was_paid_meanwhile_is_credited(ledger: Ledger) -> None:
    row = ledger.sold("a")
    ledger.bill(row, timedelta(days=31), pay=True)
    ledger.returned(row, timedelta(days=40))
    assert ledger.rows(INVOICES) == [("void", 0), ("paid", 0)]
    paid = "select total from invoice where status = 'paid'"
    assert ledger.rows("select sum(amount) from credit_grant") == ledger.rows(paid)
    assert ledger.rows(LIVE) == [(0,)]


def test_what_else_the_account_has_goes_on(ledger: Ledger) -> None:
    kept = ledger.sold("a")
    with transaction(ledger.engine) as connection:
        settle(connection, ledger.tariff, kept.id, SOLD, {})
    lost = ledger.sold("b", account_id=kept.account_id, opens=None, buyer=None)
    ledger.bill(lost, timedelta(days=31))
    ((_, before),) = ledger.rows(INVOICES)[2:]
    ledger.returned(lost, timedelta(days=40))
    first, second, third = ledger.rows(INVOICES)
    assert (first, second) == (("paid", 0), ("void", 0))
    # One invoice charged both: what it charged for the sale is credited, and the rest stays open.
    assert third == ("open", before // 2)
    assert ledger.rows(LIVE) == [(1,)]
    assert ledger.rows("select status from checkout where key = 'b'") == [(CheckoutStatus.POSTING.value,)]
