"""Accounts of one shape are rated once, so a shape must hold everything that a bill depends on, and no id."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date
from struct import unpack
from threading import Event

import pytest
from sqlalchemy import Engine

from bench.fleet import DUE, build_fleet
from operations.billrun.rate import RatedChunk, rate_chunk, table_tax, tax_chunk
from operations.billrun.shapes import ShapeMemo
from operations.tariffs import Tariffs
from storage.billable import Due, Target, load_due, load_terms
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
def due(engine: Engine) -> list[Due]:
    with transaction(engine, read_only_snapshot=True) as connection:
        accounts = [row[0] for row in connection.execute("select id::text from account order by id")]
        return load_due(connection, accounts, TARGET)


def test_every_column_but_the_ids_and_the_version_is_part_of_the_shape(
    engine: Engine, due: list[Due]
) -> None:
    with transaction(engine, read_only_snapshot=True) as connection:
        terms = {each.id: each for each in load_terms(connection, [account.id for account in due], TARGET)}
    assert list(terms) == [account.id for account in due]
    plain = [each for each in due if each.subscriptions[0][0] not in terms[each.id].discounts]
    told: dict[object, set[bytes | None]] = {}
    for account in plain:
        told.setdefault(tuple(row[4:] for row in terms[account.id].rows), set()).add(account.shape)
    assert 1 < len(told) < len(plain)
    assert all(len(shapes) == 1 for shapes in told.values())
    assert len(set[bytes | None]().union(*told.values())) == len(told)
    one = next(each for each in plain if len(each.item_ids) == 1)
    assert one.shape is not None
    assert unpack(">i", one.shape[:4]) == (len(terms[one.id].rows[0]) - 4,)


@pytest.mark.parametrize(
    "change",
    [
        "update account set time_zone = 'Asia/Tokyo'",
        "update account set tax_exempt = not tax_exempt",
        "update subscription set charged_through = charged_through + 1",
        "update subscription_item set price_override = 17",
        "update subscription_item set phase_shift = 1",
        "update subscription_discount set percent = 16",
        "delete from subscription_discount",
    ],
)
def test_what_a_bill_depends_on_changes_the_shape(engine: Engine, due: list[Due], change: str) -> None:
    account = next(each for each in due if b"LOYAL15" in (each.shape or b""))
    with transaction(engine) as connection:
        connection.execute(change.encode())
        (changed,) = load_due(connection, [account.id], TARGET)
        connection.rollback()
    assert (changed.id, changed.item_ids) == (account.id, account.item_ids)
    assert changed.shape != account.shape


def test_an_account_of_two_subscriptions_has_no_shape(engine: Engine, due: list[Due]) -> None:
    with transaction(engine) as connection:
        connection.execute(
            "update subscription set account_id = %s where id = %s",
            (due[0].id, due[1].subscriptions[0][0]),
        )
        (both,) = load_due(connection, [due[0].id], TARGET)
        connection.rollback()
    assert both.subscriptions == due[0].subscriptions + due[1].subscriptions
    assert both.item_ids == due[0].item_ids + due[1].item_ids
    assert both.shape is None


def test_repeats_say_what_rating_each_account_alone_says(engine: Engine, due: list[Due]) -> None:
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


def test_a_new_day_is_a_new_shape(engine: Engine, due: list[Due]) -> None:
    with transaction(engine, read_only_snapshot=True) as connection:
        later = load_due(connection, [due[0].id], Target(date(2026, 12, 2), None))
    assert later[0].shape != due[0].shape


def test_who_comes_while_the_first_of_a_run_learns_waits_for_it() -> None:
    memo = ShapeMemo()
    learned: list[str] = []
    inside, go_on = Event(), Event()

    def first() -> None:
        with memo.first_alone("run"):
            inside.set()
            go_on.wait(10)
            learned.append("first")

    def second() -> None:
        with memo.first_alone("run"):
            learned.append("second")

    with ThreadPoolExecutor(2) as threads:
        begun = threads.submit(first)
        assert inside.wait(10)
        follows = threads.submit(second)
        assert wait([follows], timeout=0.1).not_done
        go_on.set()
        begun.result(10)
        follows.result(10)
    assert learned == ["first", "second"]
    with memo.first_alone("run"), memo.first_alone("run"):
        learned.append("nobody waits any more")


def test_a_first_one_that_fails_holds_nobody_up() -> None:
    memo = ShapeMemo()
    with pytest.raises(LookupError), memo.first_alone("run"):
        raise LookupError
    with memo.first_alone("run"), memo.first_alone("run"):
        pass
