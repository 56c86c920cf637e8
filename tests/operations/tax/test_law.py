"""Verification reads off the rows that each invoice an engine taxed has its document, and names what breaks it."""

from __future__ import annotations

import pytest

from operations.tax.documents import void_tax_document
from operations.verify import LawResult, verify
from storage.database import transaction
from tests.single_invoices import Shop


def law(shop: Shop) -> LawResult:
    (found,) = [result for result in verify(shop.engine) if result.law == "tax"]
    return found


async def test_what_was_recorded_and_what_waits_keep_the_law(shop: Shop) -> None:
    sold = await shop.sell(shop.account())
    assert (law(shop).checked, law(shop).broken) == (1, 0)
    await shop.turn()
    assert law(shop).ok
    with transaction(shop.engine) as connection:
        connection.execute("update invoice set status = 'void' where id = %s", (sold.invoice_id,))
        void_tax_document(connection, sold.invoice_id)
    assert law(shop).ok
    await shop.turn()
    assert law(shop).ok


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("delete from tax_document", "INV-1 at taxes (live): the engine is told of it, and it is not there"),
        ("update tax_document set code = 'INV-9'", "its invoice is INV-1 (live), of account"),
        ("update tax_document set invoice_id = gen_random_uuid()", "its invoice is missing"),
        ("update tax_document set total = 88", "says 0.88 USD of tax, and the invoice 0.89 USD"),
        (
            "update tax_document set recorded_total = 88",
            "counts as recorded with 0.89 USD, and 0.88 USD was recorded",
        ),
        ("update invoice set status = 'void'", "its invoice is void, and it is committed"),
        ("update tax_document set void_requested_at = now()", "its invoice is open, and it is committed"),
        ("delete from connector_call", "the call to commit it is missing"),
    ],
)
async def test_each_damage_is_named(shop: Shop, damage: str, told: str) -> None:
    await shop.sell(shop.account())
    await shop.turn()
    with transaction(shop.engine) as connection:
        connection.execute(damage.encode())
    assert told in "\n".join(f"{found.where}: {found.what}" for found in law(shop).violations)


async def test_no_invoice_has_two(shop: Shop) -> None:
    await shop.sell(shop.account())
    with pytest.raises(Exception, match="tax_document_invoice_key"), transaction(shop.engine) as connection:
        connection.execute(
            "insert into tax_document select gen_random_uuid(), mode, invoice_id, null, account_id, connection, 'X',"
            " source, currency, total, untold, tax_date, null, status, step, call_id from tax_document"
        )
