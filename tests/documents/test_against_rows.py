"""What is printed is what is in the rows: every amount of every document of billed fleets and of played accounts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from documents.invoice_page import InvoicePages
from documents.shelf import Shelf
from runtime.scenario_source import read_scenario_file
from storage.database import make_engine
from storage.invoice_documents import find_document, read_credit_note, read_invoice
from tests.conftest import PostgresForTests
from tests.documents.shown import figures_in, text_of
from tests.operations.billed import EXAMPLES, example_fleet
from tests.whole.mirror import Mirror

PAGES = InvoicePages(Shelf())
ACCOUNTS = 25


@pytest.fixture(scope="module")
def fleet(pg_server: PostgresForTests) -> str:
    return example_fleet(pg_server, [date(2026, 12, 1), date(2027, 1, 1)])


def of_rows(connection: psycopg.Connection[Any], invoice: str) -> list[int]:
    """Every amount that has to stand on an invoice, without its sign, by statements of their own."""
    rows = connection.execute(
        "select abs(amount) from invoice_line where invoice_id = %(id)s and kind <> 'tax' union all"
        " select abs(sum(amount)) from invoice_line where invoice_id = %(id)s and kind = 'tax' group by reference, rate"
        " union all select abs(unnest(array[subtotal, total])) from invoice where id = %(id)s"
        " union all select abs(unnest(array[paid, credited, used, written_off])) from invoice_settlement"
        " where invoice_id = %(id)s",
        {"id": invoice},
    )
    return [int(amount) for (amount,) in rows]


def assert_printed(pdf: bytes, amounts: list[int], where: str = "") -> None:
    figures = figures_in(pdf)
    for amount in amounts:
        if amount:
            assert amount in figures, f"{amount} {where}: {text_of(pdf)}"
            figures.remove(amount)


def test_random_accounts_of_a_fleet(fleet: str) -> None:
    seed = random.SystemRandom().randrange(10**6)
    with psycopg.connect(fleet) as connection:
        accounts = [row[0] for row in connection.execute("select id::text from account order by id")]
        currencies = set()
        for account in random.Random(seed).sample(accounts, ACCOUNTS):
            for own, number in connection.execute(
                "select id::text, number from invoice where account_id = %s", (account,)
            ).fetchall():
                document = read_invoice(connection, own)
                assert document is not None
                assert document == find_document(connection, "INV", number)
                currencies.add(document.currency)
                assert_printed(PAGES.pdf(document), of_rows(connection, own), f"seed {seed}, INV-{number}")
        assert len(currencies) > 1, f"seed {seed}"


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    engine = make_engine(pg_server.fresh_database("documents"))
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    "name",
    ["void-and-credit-note", "coupon-bundle-vat", "yen", "upgrade-mid-month", "card-fails-and-recovers"],
)
def test_accounts_with_credits_payments_and_notes(engine: Engine, name: str) -> None:
    scenario = read_scenario_file(EXAMPLES / "scenarios" / f"{name}.yaml")
    Mirror(engine, scenario.scenario, scenario.catalog).play()
    with engine.connect() as held:
        connection: Any = held.connection.driver_connection
        invoices = connection.execute("select id::text from invoice order by number").fetchall()
        assert invoices
        for (own,) in invoices:
            document = read_invoice(connection, own)
            assert document is not None
            assert document.mode == "test"
            assert_printed(PAGES.pdf(document), of_rows(connection, own))
        for own, net, tax, total in connection.execute(
            "select id::text, -subtotal, -tax, -total from credit_note"
        ).fetchall():
            note = read_credit_note(connection, own)
            assert note is not None
            assert note.corrects
            assert_printed(PAGES.pdf(note), [net, total, *([tax] if len(note.taxes) == 1 else [])])
        if name == "void-and-credit-note":
            assert connection.execute("select count(*) from credit_note").fetchone()[0]
