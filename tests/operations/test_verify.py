"""Every law of the books holds for what was billed, and each kind of damage breaks just the laws it should, by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest

from operations.verify import LAWS, LawResult, verify
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.billed import bench_fleet, bill, copied, example_fleet, tamper
from tests.operations.damage import DAMAGE, FIRST_LINE, SEVENTH

DECEMBER, JANUARY, FEBRUARY = date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)


@pytest.fixture(scope="module")
def good(pg_server: PostgresForTests) -> str:
    return bench_fleet(pg_server, [DECEMBER, JANUARY])


@pytest.fixture
def copy(pg_server: PostgresForTests, good: str) -> str:
    return copied(pg_server, good)


def laws(url: str) -> dict[str, LawResult]:
    engine = make_engine(url)
    try:
        return {result.law: result for result in verify(engine)}
    finally:
        engine.dispose()


def broken(url: str) -> dict[str, LawResult]:
    return {law: result for law, result in laws(url).items() if not result.ok}


def told(result: LawResult) -> str:
    return "\n".join(f"{found.where}: {found.what}" for found in result.violations)


def test_a_billed_fleet_keeps_every_law(good: str) -> None:
    found = laws(good)
    assert list(found) == [law.id for law in LAWS]
    assert {law: told(result) for law, result in found.items() if not result.ok} == {}
    assert {law: result.checked for law, result in found.items() if law != "references"} == {
        "I1": 400, "I2": 400, "I3": 960, "I4": 400, "I5": 400, "I6": 0, "I7": 0, "I9": 400, "I12": 2, "I13": 220,
        "I14": 0, "tax": 0, "refunds": 0,
    }  # fmt: skip


def test_the_example_subscribers_keep_every_law_for_three_months(pg_server: PostgresForTests) -> None:
    url = example_fleet(pg_server, [DECEMBER, JANUARY, FEBRUARY])
    assert {law: told(result) for law, result in laws(url).items() if not result.ok} == {}

    # A bundle whose part was charged to the wrong product covers the days, but not with what was sold.
    tamper(
        url,
        "update invoice_line l set part = 'other' where (invoice_id, no) = ("
        " select invoice_id, min(no) from invoice_line where kind = 'recurring' group by invoice_id, price_id,"
        " period_start having count(*) > 1 order by invoice_id limit 1)",
    )
    found = broken(url)
    assert set(found) == {"I5", "I13"}
    assert "charged with other prices or parts than the plan's phase has (INV-" in told(found["I13"])


def test_empty_books_keep_every_law(pg_server: PostgresForTests) -> None:
    assert broken(pg_server.fresh_database("empty_books")) == {}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_breaks_just_its_laws_and_is_named(copy: str, damage: str) -> None:
    statements, expected, words = DAMAGE[damage]
    tamper(copy, *statements)
    found = broken(copy)
    assert set(found) == set(expected.split()), {law: told(result) for law, result in found.items()}
    first = told(found[expected.split()[0]])
    for word in words:
        assert word in first


def test_every_law_is_damaged_here() -> None:
    # Webhooks, tax documents and charges are damaged beside them (test_law.py in webhooks_in/, tax/, charges/).
    damaged = {law for _, expected, _ in DAMAGE.values() for law in expected.split()}
    assert damaged | {"I6", "I7", "I14", "tax", "refunds"} == {law.id for law in LAWS}


def test_many_violations_are_counted_and_the_first_are_named(copy: str) -> None:
    tamper(copy, "update invoice set due_on = due_on + 30")
    result = broken(copy)["I5"]
    assert result.broken == 400
    assert len(result.violations) == 20
    assert result.violations[0].where == "invoice INV-1 (live)"


def test_a_run_that_goes_on_is_noted_and_not_judged(copy: str) -> None:
    engine = make_engine(copy)
    try:
        run_id = bill(engine, FEBRUARY, end=False)
    finally:
        engine.dispose()
    tamper(copy, f"update bill_run_chunk set billed = billed + 1 where bill_run_id = '{run_id}' and no = 0")
    result = laws(copy)["I12"]
    assert result.ok
    assert result.notes == [f"bill run {run_id} (all, as of 2027-02-01) is running: not ended, so not judged"]


def test_progress_names_each_law(copy: str) -> None:
    told: list[tuple[str, int, int]] = []
    engine = make_engine(copy)
    try:
        verify(engine, lambda text, done, total: told.append((text, done, total)))
    finally:
        engine.dispose()
    assert [done for _, done, _ in told] == list(range(len(LAWS)))
    assert {total for *_, total in told} == {len(LAWS)}


@pytest.fixture(scope="module")
def session(pg_server: PostgresForTests, good: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(copied(pg_server, good), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "update invoice set total = total + 1, subtotal = subtotal + 1 where number = 7",
        "update invoice set number = 1000 where number = 7",
        "update invoice set status = 'void', due_on = due_on + 1 where number = 7",
        f"update invoice_line set amount = 1 where {FIRST_LINE}",
        f"update journal_line set debit = 1 where entry_id = {SEVENTH} and no = 1",
        f"update journal_entry set posted_on = posted_on + 1 where id = {SEVENTH}",
        "delete from invoice where number = 7",
        f"delete from invoice_line where {FIRST_LINE}",
        f"delete from journal_line where entry_id = {SEVENTH}",
        f"delete from journal_entry where id = {SEVENTH}",
        "truncate invoice",
        "truncate invoice_line",
        "truncate journal_entry",
        "truncate journal_line",
        "delete from account where external_key = 'bench-000000007'",
        "delete from subscription where external_key = 'bench-000000007'",
        "delete from subscription_item where plan_code = 'crossword'",
        "delete from price",
        "truncate account cascade",
    ],
)
def test_what_is_final_cannot_be_changed_or_removed(session: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match=r"never (changed once written|removed)"):
        session.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "update invoice set status = 'void', balance = 0 where number = 9",
        "update invoice_line set voided_at = now() where invoice_id = (select id from invoice where number = 9)",
        "update account set tax_exempt = true where external_key = 'bench-000000007'",
        "delete from subscription_discount",
    ],
)
def test_what_lives_on_can_be_changed(session: psycopg.Connection, statement: str) -> None:
    assert session.execute(statement.encode()).rowcount > 0
