"""Accounts of one shape are rated once, so a shape must hold everything that a bill depends on, and no id."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import Engine

from bench.fleet import DUE, build_fleet
from operations.billrun.rate import RatedChunk, rate_chunk, table_tax, tax_chunk
from operations.billrun.shapes import ShapeMemo
from operations.tariffs import Tariffs
from storage.billable import DueAccount, Target, load_due
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests

TARGET = Target(DUE, None)


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    engine = make_engine(pg_server.fresh_database("shapes"))
    build_fleet(engine, 400)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def due(engine: Engine) -> list[DueAccount]:
    with transaction(engine, read_only_snapshot=True) as connection:
        accounts = [row[0] for row in connection.execute("select id::text from account order by id")]
        return load_due(connection, accounts, TARGET)


def test_every_column_but_the_ids_and_the_version_is_part_of_the_shape(due: list[DueAccount]) -> None:
    account = next(each for each in due if len(each.rows) == 1 and each.rows[0][1] not in each.discounts)
    row = account.rows[0]
    shape = account.shape()
    for place in range(len(row)):
        other = (*row[:place], "something else", *row[place + 1 :])
        same = DueAccount(account.id, [other], account.discounts).shape() == shape
        assert same == (place < 4), f"column {place}"


def test_a_discount_changes_the_shape(due: list[DueAccount]) -> None:
    account = next(each for each in due if each.discounts.get(each.rows[0][1]))
    assert account.shape() != DueAccount(account.id, account.rows, {}).shape()


def test_repeats_say_what_rating_each_account_alone_says(engine: Engine, due: list[DueAccount]) -> None:
    def rated(accounts: list[str], memo: ShapeMemo) -> RatedChunk:
        with transaction(engine, read_only_snapshot=True) as connection:
            chunk = rate_chunk(connection, tariff.book, accounts, TARGET, memo)
        tax_chunk(chunk, table_tax(tariff.taxes), memo)
        return chunk

    def said(chunk: RatedChunk) -> dict[str, list[bytes]]:
        """Head, lines and postings without the invoice's own id, which is new each time."""
        found = {}
        for each in chunk.prepared:
            assert each.document is not None
            rows = [each.document.template.head, each.document.lines, each.document.postings]
            found[each.account_id] = [row.replace(each.document.invoice_id, b"") for row in rows]
        return found

    tariff = Tariffs(engine).current()
    ids = [account.id for account in due]
    together = rated(ids, ShapeMemo())
    assert len(together.repeats) > 50
    alone: dict[str, list[bytes]] = {}
    for account_id in ids:
        alone |= said(rated([account_id], ShapeMemo()))
    assert said(together) == alone


def test_a_new_day_is_a_new_shape(engine: Engine, due: list[DueAccount]) -> None:
    with transaction(engine, read_only_snapshot=True) as connection:
        later = load_due(connection, [due[0].id], Target(date(2026, 12, 2), None))
    assert later[0].shape() != due[0].shape()
