"""Single invoices, as a checkout posts them, beside a run: both get on, and the numbers have no gap."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from bench.checkout_wait import checkouts, quoted_checkouts
from contracts.bill_run import RunStatus
from operations.tariffs import Tariffs
from storage.database import make_engine
from tests.faults.books import check_books, rows
from tests.faults.conftest import Fleets, Runs, Workers, posting_held, until, waiting_for_locks
from tests.faults.fleet import owing

ACCOUNTS = 1_600
READY = 100
NUMBERS = "select number from invoice where (bill_run_id is null) = %s order by number"


async def test_single_invoices_are_posted_between_those_of_a_run(
    fleets: Fleets, workers: Workers, runs: Runs
) -> None:
    url = fleets.fresh(ACCOUNTS)
    engine = make_engine(url)
    stop = threading.Event()
    tariffs = Tariffs(engine)
    ready = deque(quoted_checkouts(engine, tariffs, READY))
    workers.start(url)
    with posting_held(url):
        handle = await runs.start(chunk_size=50)
        await until("four chunks wait to be posted", lambda: waiting_for_locks(url) == 4)
        single = asyncio.create_task(asyncio.to_thread(checkouts, engine, tariffs, ready, stop))
        await until("a checkout waits behind them", lambda: waiting_for_locks(url) == 5)
    result = await runs.result(handle)
    stop.set()
    posted = len(await single)
    engine.dispose()
    assert (result.status, result.invoices) == (RunStatus.COMPLETED, owing(ACCOUNTS))
    of_checkouts = [row[0] for row in rows(url, NUMBERS, True)]
    of_run = [row[0] for row in rows(url, NUMBERS, False)]
    assert (len(of_checkouts), len(of_run)) == (posted, owing(ACCOUNTS))
    between = [number for number in of_checkouts if of_run[0] < number < of_run[-1]]
    assert len(between) > 3
    check_books(url, invoices=owing(ACCOUNTS) + posted)
