"""A worker frozen in a chunk of a payment run, and continued after another has taken the chunk over: each account is
charged once, by the gateway's own count."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest

from bench.fleet import DUE
from operations.charges.run import PaymentRuns
from operations.charges.scope import PaymentScope
from sandbox.stripe.stand_in import StripeStandIn
from storage.billable import Target
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.faults.conftest import until
from tests.faults.payment_life import Life, live
from tests.operations.charges.charged import NOW, Fleet
from tests.workflows.paying import CARDS, differences

# Written down and not sent; sent, and nobody knows what was answered; the payments written and not committed.
POINTS = ("after-begin-sends", "before-settle-charges", "before-settle-commit")
ACCOUNTS = 6


@pytest.mark.deep
@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_frozen_at(point: str, pg_server: PostgresForTests, tmp_path: Path) -> None:
    url = pg_server.fresh_database("frozen")
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set transaction_timeout = '2s'".encode())
    engine = make_engine(url)
    fleet = Fleet(engine, ACCOUNTS)
    processes = multiprocessing.get_context("spawn")
    with StripeStandIn() as gateway:
        runs = PaymentRuns(engine)
        run_id = runs.open(
            workflow_id=f"payment-run/all/{DUE}",
            workflow_run_id=str(uuid4()),
            mode="live",
            scope=PaymentScope.parse("all"),
            target=Target(DUE, None),
            chunk_size=ACCOUNTS,
        )
        spec = f"frozen/{point}:1:{tmp_path / 'frozen'}"
        urls = {CARDS: gateway.url}
        first, second = (
            processes.Process(target=live, args=(Life(url, urls, [(run_id, 1)], NOW, DUE, 2.0, dies),))
            for dies in (spec, "")
        )
        first.start()
        try:
            assert first.pid is not None
            pid = first.pid
            await until("it is frozen", lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
            second.start()
            await asyncio.to_thread(second.join, 60)
            assert second.exitcode == 0
            assert psutil.Process(pid).status() == psutil.STATUS_STOPPED, "another was to do it meanwhile"
            paid = fleet.rows("select count(*), sum(amount) from payment where status = 'succeeded'")
            assert paid[0][0] == ACCOUNTS
            os.kill(pid, signal.SIGCONT)
            await asyncio.to_thread(first.join, 60)
            assert first.exitcode is not None
        finally:
            first.kill()
            first.join()
        assert fleet.rows("select count(*), sum(amount) from payment where status = 'succeeded'") == paid
        assert gateway.count("charge") == ACCOUNTS
        assert differences(fleet, {CARDS: gateway}) == []
        fleet.lawful()
    engine.dispose()
