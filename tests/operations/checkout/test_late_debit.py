"""A debit that comes back after weeks, when bills have gone on: nothing is owed for what nobody could read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from contracts.checkout import CheckoutStatus
from operations.catalog import load_catalog
from operations.verify import verify
from runtime.catalog_source import read_catalog_file
from storage.charges import open_invoices
from storage.database import make_engine, transaction
from storage.dunning import overdue_accounts
from tests.conftest import PostgresForTests
from tests.operations.checkout.ledger import SOLD, Ledger
from tests.workflows.selling import CATALOG


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
    assert ledger.rows("select sum(amount) from account_credit_grant") == ledger.rows(paid)
    assert ledger.rows(LIVE) == [(0,)]


def test_what_else_the_account_has_goes_on(ledger: Ledger) -> None:
    kept = ledger.sold("a")
    ledger.settled(kept)
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


def test_a_debit_on_its_way_is_neither_charged_again_nor_dunned(ledger: Ledger) -> None:
    row = ledger.sold("a")
    later = SOLD + timedelta(days=20)
    with transaction(ledger.engine) as connection:
        ((invoice,),) = open_invoices(connection, [row.account_id]).values()
        assert invoice.charging
        assert overdue_accounts(connection, later, 9) == []
        # Where the checkout has ended and it is open still, it is owed like any other.
        connection.execute("update checkout set ended_at = now() where id = %s", (row.id,))
        ((invoice,),) = open_invoices(connection, [row.account_id]).values()
        assert not invoice.charging
        assert [each[0] for each in overdue_accounts(connection, later, 9)] == [row.account_id]
        connection.rollback()
