"""Invoices and credit notes of accounts that paid and were refunded, from their rows: three currencies (of two, none
and three decimals) in two locales, with the totals of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from babel import Locale
from sqlalchemy import Engine
from uuid_utils import uuid7

from documents.formats import Formats
from documents.invoice_page import InvoicePages
from documents.shelf import Shelf
from domain.account.commands import Pay, Subscribe
from domain.catalog import Catalog
from operations.accounts.commands import accepted, carry_out
from operations.catalog import load_catalog
from operations.refunds.asking import refund_payment
from operations.tariffs import Tariffs
from operations.verify import verify
from storage.database import make_engine, transaction
from storage.invoice_documents import read_credit_note, read_invoice
from tests.api.world import CATALOG
from tests.conftest import PostgresForTests
from tests.documents.shown import text_of

PAGES = InvoicePages(Shelf(None))
NOW = datetime(2026, 12, 1, 15, tzinfo=UTC)
PRICES = {"USD": ("1234.50", "100.25"), "JPY": ("123456", "5000"), "KWD": ("1234.505", "99.125")}


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    engine = make_engine(pg_server.fresh_database("refunded_documents"))
    load_catalog(engine, _catalog())
    yield engine
    assert [law for law in verify(engine) if not law.ok] == []
    engine.dispose()


def _catalog() -> Catalog:
    found = CATALOG.model_dump(mode="json", by_alias=True, exclude_unset=True)
    found["currencies"] = list(PRICES)
    found["meters"] = []
    price = {
        "code": "base",
        "type": "recurring",
        "amounts": {name: each for name, (each, _) in PRICES.items()},
    }
    version = {
        "version": 1,
        "effective": "2020-01-01",
        "interval": {"unit": "month"},
        "phases": [{"kind": "evergreen", "prices": [price]}],
    }
    found["plans"] = [{"code": "paper", "name": "Paper", "product": "digital", "versions": [version]}]
    return Catalog.model_validate(found)


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
@pytest.mark.parametrize("currency", PRICES)
def test_the_totals_of_a_refunded_invoice_are_those_of_its_rows(
    engine: Engine, currency: str, locale: str
) -> None:
    account = str(uuid7())
    with transaction(engine) as connection:
        connection.execute(
            "insert into account (id, external_key, currency, time_zone, locale, tax_region)"
            " values (%s, %s, %s, 'America/New_York', 'en', 'US-XX')",
            (account, account, currency),
        )
        tariff = Tariffs(engine).current(connection)
        bought = Subscribe(at=NOW, do="subscribe", plan="paper", name=account)
        accepted(carry_out(connection, tariff, account, "buy", bought, NOW, invoice_now=True))
        accepted(carry_out(connection, tariff, account, "pay", Pay(at=NOW, do="pay"), NOW))
        refund_payment(
            connection,
            tariff,
            account,
            1,
            "back",
            amount=PRICES[currency][1],
            reason="late delivery",
            now=NOW,
        )
        (invoice,) = connection.execute(
            "select id::text, subtotal, tax, total from invoice where account_id = %s", (account,)
        ).fetchall()
        (note,) = connection.execute(
            "select id::text, -subtotal, -tax, -total from credit_note where account_id = %s", (account,)
        ).fetchall()
        documents = read_invoice(connection, invoice[0]), read_credit_note(connection, note[0])
    assert note[3] > 0
    for document, (_, *amounts), sign in zip(documents, (invoice, note), (1, -1), strict=True):
        assert document is not None
        text = _plain(text_of(PAGES.pdf(replace(document, locale=locale))))
        formats = Formats(Locale.parse(locale, sep="-"))
        for amount in amounts:
            assert _plain(formats.money(sign * amount, currency)) in text, amount


def _plain(text: str) -> str:
    """With plain spaces and minus signs."""
    return " ".join(text.replace("\u2212", "-").split())
