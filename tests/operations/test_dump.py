"""The canonical dump: the same bytes for the same business state, other bytes for any other."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from bench.fleet import build_fleet
from operations.dump import BATCH, dump
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.billed import bench_fleet, bill, copied, example_fleet, tamper

DECEMBER, JANUARY = date(2026, 12, 1), date(2027, 1, 1)


@pytest.fixture(scope="module")
def good(pg_server: PostgresForTests) -> str:
    return bench_fleet(pg_server, [DECEMBER, JANUARY])


def dumped(url: str) -> list[str]:
    engine = make_engine(url)
    try:
        return list(dump(engine))
    finally:
        engine.dispose()


def invoices(url: str, account: str) -> list[dict[str, Any]]:
    for line in dumped(url):
        found = json.loads(line)
        if found.get("account") == account:
            return list(found["invoices"])
    raise LookupError(account)


def test_another_database_billed_in_another_order_dumps_alike(pg_server: PostgresForTests, good: str) -> None:
    other = pg_server.fresh_database("other")
    engine = make_engine(other)
    try:
        build_fleet(engine, 200)
        for day in (DECEMBER, JANUARY):
            bill(engine, day, chunk_size=7, backwards=True)
    finally:
        engine.dispose()
    assert dumped(other) == dumped(good)


def test_the_dump_says_what_was_billed(good: str) -> None:
    [december, january] = invoices(good, "bench-000000001")
    assert (december["issued_on"], january["issued_on"]) == ("2026-12-01", "2027-01-01")
    charge, discount, tax = december["lines"]
    assert charge == {
        "kind": "recurring", "subscription": "bench-000000001", "plan": charge["plan"], "version": 1,
        "phase": "evergreen", "price": "base", "part": "news", "period_start": "2026-12-01",
        "period_end": "2027-01-01", "quantity": "1", "amount": charge["amount"],
    }  # fmt: skip
    assert (discount["kind"], discount["reference"], discount["rate"], discount["parent"]) == (
        "discount",
        "LOYAL15",
        "15",
        0,
    )
    assert (tax["kind"], tax["rate"], tax["parent"]) == ("tax", "0.0825", 0)
    assert december["total"] == charge["amount"] + discount["amount"] + tax["amount"]
    assert december["journal"][0] == {
        "account": "accounts_receivable",
        "debit": december["total"],
        "credit": 0,
    }


def test_the_dump_ends_with_the_ledger_and_the_numbers(good: str) -> None:
    lines = [json.loads(line) for line in dumped(good)]
    assert [line.get("ledger_account") for line in lines[-5:-2]] == [
        "accounts_receivable",
        "deferred_revenue",
        "tax_payable",
    ]
    assert lines[-2:] == [
        {"series": "INV", "mode": "live", "numbers": "1..400"},
        {"series": "TEST", "mode": "test", "numbers": "none"},
    ]


def test_the_example_subscribers_dump_in_batches_in_the_order_of_their_keys(
    pg_server: PostgresForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = example_fleet(pg_server, [DECEMBER])
    whole = dumped(url)
    keys = [json.loads(line)["account"] for line in whole if line.startswith('{"account"')]
    assert len(keys) == 500 < BATCH
    assert keys == sorted(keys)
    monkeypatch.setattr("operations.dump.BATCH", 33)
    assert dumped(url) == whole


@pytest.mark.parametrize(
    "change",
    [
        "update invoice set status = 'void' where number = 7",
        "update invoice set number = 401 where number = 7",
        "update invoice_line set amount = amount + 1 where no = 1",
        "update invoice_line set parent_no = null where no = 2 and kind = 'tax'",
        "update invoice_line set voided_at = now() where no = 1",
        "update invoice_line set quantity = 2 where no = 1",
        "update journal_line set ledger_account = 'revenue' where ledger_account = 'deferred_revenue'",
        "update subscription set charged_through = charged_through + 1 where external_key = 'bench-000000007'",
        "insert into journal_line values (uuidv7(), 1, 'revenue', 1, 0)",
        "delete from invoice where number = 7",
    ],
)
def test_any_other_business_state_dumps_otherwise(
    pg_server: PostgresForTests, good: str, change: str
) -> None:
    copy = copied(pg_server, good)
    tamper(copy, change)
    assert dumped(copy) != dumped(good)


def test_missing_numbers_show_as_runs(pg_server: PostgresForTests, good: str) -> None:
    copy = copied(pg_server, good)
    tamper(copy, "delete from invoice where number in (7, 8, 100)")
    assert '"numbers":"1..6 9..99 101..400"' in dumped(copy)[-2]


def test_ids_numbers_and_spelling_of_quantities_do_not_show(pg_server: PostgresForTests, good: str) -> None:
    copy = copied(pg_server, good)
    tamper(
        copy,
        "update invoice_line set quantity = 1.000",
        "update invoice set number = -number",
        "update invoice set number = number + 401",
        "update invoice set posted_at = now()",
        "update subscription set version = 9",
    )
    assert dumped(copy) == dumped(good)
