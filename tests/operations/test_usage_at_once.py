"""Usage that is recorded in the moment in which its subscription changes: on the last bill, or refused; never lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from operations.accounts.transfers import hand_over
from operations.catalog import load_catalog
from operations.tariffs import Tariffs
from operations.usage import Recorded, UsageOrder, UsageOutcome, record_usage
from storage.database import PgConnection, make_engine, transaction
from storage.sight import Sight
from tests.conftest import PostgresForTests, wait_until
from tests.domain.publisher import CATALOG
from tests.faults.conftest import waiting_for_locks
from tests.operations.beside import Beside, do, opened

FIRST = datetime(2026, 1, 15, 12, tzinfo=UTC)
READ = datetime(2026, 1, 19, 9, tzinfo=UTC)
CANCELED = datetime(2026, 1, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("usage_at_once")


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[Engine]:
    found = make_engine(url)
    load_catalog(found, CATALOG)
    yield found
    found.dispose()


def reading(engine: Engine, account: str) -> str:
    """A subscription of `account` by meter, billed once; its id."""
    name = str(uuid4())
    for step in ({"do": "subscribe", "name": name, "plan": "metered"}, {"do": "bill"}):
        with transaction(engine) as connection:
            do(connection, engine, account, FIRST, **step)
    with transaction(engine) as connection:
        row = connection.execute(
            "select id::text from subscription where external_key = %s", (name,)
        ).fetchone()
    assert row is not None
    return str(row[0])


def name_of(connection: PgConnection, subscription: str) -> str:
    row = connection.execute(
        "select external_key from subscription where id = %s", (subscription,)
    ).fetchone()
    assert row is not None
    return str(row[0])


def record(connection: PgConnection, engine: Engine, *subscriptions: str) -> list[UsageOutcome]:
    orders = [UsageOrder(each, "articles", READ, Decimal(13), str(uuid4())) for each in subscriptions]
    return record_usage(connection, Tariffs(engine).current().book, Sight("live"), orders, CANCELED)


def cancel(engine: Engine, account: str, subscription: str) -> None:
    with transaction(engine) as connection:
        name = name_of(connection, subscription)
        do(connection, engine, account, CANCELED, do="cancel", subscription=name, when="now")


def charged(engine: Engine, account: str) -> list[int]:
    """What the account is charged for usage by the bill that its cancel left."""
    with transaction(engine) as connection:
        do(connection, engine, account, CANCELED, do="bill")
        return [
            row[0]
            for row in connection.execute(
                "select l.amount from invoice_line l join invoice i on i.id = l.invoice_id"
                " where i.account_id = %s and l.kind = 'usage' and l.quantity > 0",
                (account,),
            )
        ]


def test_a_cancel_waits_for_usage_that_is_being_recorded_and_bills_it(url: str, engine: Engine) -> None:
    account = opened(engine)
    subscription = reading(engine, account)
    with transaction(engine) as connection:
        [outcome] = record(connection, engine, subscription)
        canceling = Beside(lambda: cancel(engine, account, subscription))
        canceling.start()
        wait_until("the cancel waits for the usage", lambda: waiting_for_locks(url) == 1)
    canceling.result()
    assert outcome.result is Recorded.RECORDED
    assert charged(engine, account) == [250]  # 13 articles, of which 3 are free, at 0.25


def test_usage_waits_for_a_cancel_and_is_refused_after_it(url: str, engine: Engine) -> None:
    account = opened(engine)
    subscription = reading(engine, account)

    def use() -> list[UsageOutcome]:
        with transaction(engine) as connection:
            return record(connection, engine, subscription)

    using = Beside(use)
    with transaction(engine) as connection:
        name = name_of(connection, subscription)
        do(connection, engine, account, CANCELED, do="cancel", subscription=name, when="now")
        using.start()
        wait_until("the usage waits for the cancel", lambda: waiting_for_locks(url) == 1)
    [outcome] = using.result()
    assert (outcome.result, outcome.kind) == (Recorded.REFUSED, "too_late")
    assert charged(engine, account) == []


def test_two_batches_of_usage_of_one_subscription_do_not_wait_for_each_other(engine: Engine) -> None:
    subscription = reading(engine, opened(engine))
    with transaction(engine) as one, transaction(engine) as other:
        other.execute("set local lock_timeout = '1s'")
        found = [*record(one, engine, subscription), *record(other, engine, subscription)]
    assert [each.result for each in found] == [Recorded.RECORDED] * 2


def test_a_transfer_and_usage_of_both_accounts_do_not_block_each_other(url: str, engine: Engine) -> None:
    """The giver comes first by its id, the taker's subscription by its own: whoever locks by account meets whoever
    locks by subscription."""
    giver, taker = opened(engine), opened(engine)
    of_taker, of_giver = reading(engine, taker), reading(engine, giver)
    assert giver < taker
    assert of_taker < of_giver

    def transfer() -> None:
        with transaction(engine) as connection:
            hand_over(
                connection,
                Tariffs(engine).current(),
                name_of(connection, of_giver),
                giver,
                taker,
                str(uuid4()),
                CANCELED,
            )

    def use() -> list[UsageOutcome]:
        with transaction(engine) as connection:
            return record(connection, engine, of_taker, of_giver)

    transferring, using = Beside(transfer), Beside(use)
    with transaction(engine) as connection:
        connection.execute("select from account where id = %s for update", (taker,))
        transferring.start()
        wait_until("the transfer waits for the taker", lambda: waiting_for_locks(url) == 1)
        using.start()
        wait_until(
            "the usage is recorded, or waits", lambda: not using.is_alive() or waiting_for_locks(url) == 2
        )
    transferring.result()
    assert [each.result for each in using.result()] == [Recorded.RECORDED] * 2
