"""A command that invoices takes the number when all else is written: others who invoice wait as little as can be."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
from uuid_utils import uuid7

from operations.catalog import load_catalog
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests, wait_until
from tests.domain.publisher import CATALOG
from tests.faults.books import value
from tests.faults.conftest import waiting_for_locks
from tests.operations.beside import Beside, do, opened

FIRST = datetime(2026, 1, 15, 9, tzinfo=UTC)
LATER = datetime(2026, 1, 20, 9, tzinfo=UTC)


def test_the_series_is_free_until_grants_and_follow_ups_are_written(pg_server: PostgresForTests) -> None:
    url = pg_server.fresh_database("numbers")
    engine = make_engine(url)
    load_catalog(engine, CATALOG)
    account, name = opened(engine), str(uuid4())
    with transaction(engine) as connection:
        do(connection, engine, account, FIRST, invoice_now=True, do="subscribe", name=name, plan="basic")
    with transaction(engine) as connection:
        do(connection, engine, account, LATER, do="change_plan", subscription=name, to="plus")

    def cancel() -> None:
        asked = {"do": "cancel", "subscription": name, "when": "end_of_period"}
        with transaction(engine) as connection:
            do(connection, engine, account, LATER, invoice_now=True, **asked)

    canceling = Beside(cancel)
    with psycopg.connect(url) as connection:
        # The notice that the cancel brings, which the command so has to wait for.
        connection.execute(
            "insert into follow_up (id, mode, subscription_id, account_id, kind, key, due_at, about)"
            " select %s, mode, id, account_id, 'notice', 'canceled/2026-01-20/2026-02-15', now(), '{}'"
            " from subscription",
            (str(uuid7()),),
        )
        canceling.start()
        wait_until("the cancel waits for the notice", lambda: waiting_for_locks(url) == 1)
        with psycopg.connect(url) as other:
            other.execute("select from number_series where mode = 'live' for update nowait")
        connection.rollback()
    canceling.result()
    assert value(url, "select count(*) from invoice") == 2
    engine.dispose()
