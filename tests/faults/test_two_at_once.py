"""Work that meets other work: two runs, two attempts of one chunk, a command between rating and posting."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg

from contracts.bill_run import BillRunRequest, RunStatus
from operations.billrun.run import BillRuns
from storage.database import make_engine
from tests.conftest import wait_until
from tests.faults.books import check_books, dump, rows, value
from tests.faults.conftest import (
    ACCOUNTS,
    Chunks,
    Fleets,
    Runs,
    Workers,
    posting_held,
    until,
    waiting_for_locks,
)
from tests.faults.fleet import DUE, GROUP, owing, selected
from workflows.starts import start_bill_run

Books = list[str]


async def test_two_runs_over_the_same_accounts(
    fleets: Fleets, workers: Workers, runs: Runs, undisturbed: Books
) -> None:
    url = fleets.fresh()
    for _ in range(2):
        workers.start(url)
    with posting_held(url):
        everybody = await runs.start()
        dollars = await runs.start("currency:USD")
        both = "select count(*) = 2 from bill_run where status = 'running'"
        await until("both have selected", lambda: value(url, both))
        await until("chunks wait to be posted", lambda: waiting_for_locks(url) > 1)
    results = [await runs.result(everybody), await runs.result(dollars)]
    assert [result.status for result in results] == [RunStatus.COMPLETED] * 2
    assert results[0].selected == selected(ACCOUNTS)
    assert results[1].selected > ACCOUNTS / 2
    assert sum(result.invoices for result in results) == owing(ACCOUNTS)
    assert all(result.invoices + result.nothing_due == result.selected for result in results)
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


async def test_what_others_hold_while_a_run_passes_is_billed_before_it_ends(
    fleets: Fleets, workers: Workers, runs: Runs, undisturbed: Books
) -> None:
    url = fleets.fresh()
    with psycopg.connect(url) as holder:
        due = "select from subscription where next_bill_on <= %s order by id limit 3 for update"
        assert holder.execute(due, (DUE,)).rowcount == 3
        workers.start(url)
        run = await runs.start()
        # A chunk passes over them; only what looks after what is left waits.
        await until("the run waits for what is held", lambda: waiting_for_locks(url) == 1)
    result = await runs.result(run)
    assert (result.status, result.invoices) == (RunStatus.COMPLETED, owing(ACCOUNTS))
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


async def test_a_run_started_twice_is_one_and_repeated_finds_nothing(
    fleets: Fleets, workers: Workers, runs: Runs, undisturbed: Books
) -> None:
    url = fleets.fresh()
    workers.start(url)
    order = BillRunRequest(as_of=DUE, chunk_size=50)
    first, second = await asyncio.gather(*(start_bill_run(runs.client, order) for _ in range(2)))
    assert first.result_run_id == second.result_run_id
    assert await runs.result(first) == await runs.result(second)
    assert value(url, "select count(*) from bill_run") == 1
    again = await runs.result(await start_bill_run(runs.client, order))
    assert (again.status, again.selected, again.invoices, again.totals) == (RunStatus.COMPLETED, 0, 0, {})
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


def test_two_attempts_of_one_chunk_count_once(fleets: Fleets, undisturbed: Books) -> None:
    """A worker that was given up for dead goes on beside its replacement."""
    url = fleets.fresh()
    chunks = Chunks(url)
    other = make_engine(url)
    with ThreadPoolExecutor(2) as pool:
        with posting_held(url):
            zombie = pool.submit(chunks.bill, wait=False, by=BillRuns(other))
            wait_until("the first is ready to commit", lambda: waiting_for_locks(url) == 1)
            second = pool.submit(chunks.bill, wait=False)
            wait_until("the second wants the same chunk", lambda: waiting_for_locks(url) == 2)
        reports = [zombie.result(60), second.result(60)]
    assert sorted(report.billed for report in reports) == [0, owing(ACCOUNTS)]
    summary = chunks.finish()
    assert (summary["invoices"], summary["pending"]) == (owing(ACCOUNTS), 0)
    totals = dict(rows(url, "select currency, sum(total)::bigint from invoice group by currency"))
    assert summary["totals"] == totals
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


CHANGE = """
    with changed as (update subscription set version = version + 1 where external_key = %s returning id)
    update subscription_item i set price_override = 777 from changed where i.subscription_id = changed.id
"""
CHANGED_LINES = """
    select l.amount from invoice_line l join invoice i on i.id = l.invoice_id join account a on a.id = i.account_id
    where a.external_key = %s and l.kind = 'recurring'
"""


def test_terms_that_change_between_rating_and_posting(fleets: Fleets) -> None:
    url = fleets.fresh(GROUP)
    chunks = Chunks(url)
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(url) as chunk:
            chunk.execute("select 1 from bill_run_chunk for update")
            attempt = pool.submit(chunks.bill, wait=False)
            wait_until("the chunk is rated and waits to be posted", lambda: waiting_for_locks(url) == 1)
            with psycopg.connect(url) as command:
                command.execute(CHANGE, ("acct-0000004",))
        report = attempt.result(60)
    assert (report.rated, report.billed, report.left) == (selected(GROUP) + 1, owing(GROUP), 0)
    assert rows(url, CHANGED_LINES, "acct-0000004") == [(777,)]
    chunks.finish()
    check_books(url, invoices=owing(GROUP))


def test_terms_that_a_command_is_just_changing(fleets: Fleets) -> None:
    """First the run passes over what a command holds; then it waits, and bills by what the command wrote."""
    url = fleets.fresh(GROUP)
    chunks = Chunks(url)
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(url) as command:
            command.execute(CHANGE, ("acct-0000004",))
            report = chunks.bill(wait=False)
            assert (report.billed, report.left) == (owing(GROUP) - 1, 1)
            assert chunks.bill_runs.unfinished(chunks.run_id) == [0]
            sweep = pool.submit(chunks.bill, wait=True)
            wait_until("the run waits for the command", lambda: waiting_for_locks(url) == 1)
        assert sweep.result(60).billed == 1
    assert rows(url, CHANGED_LINES, "acct-0000004") == [(777,)]
    chunks.finish()
    check_books(url, invoices=owing(GROUP))


async def test_a_preview_of_nothing_says_so(fleets: Fleets, workers: Workers, runs: Runs) -> None:
    url = fleets.fresh()
    workers.start(url)
    handle = await start_bill_run(runs.client, BillRunRequest(as_of=date(2000, 1, 1), preview=True))
    result = await asyncio.wait_for(handle.result(), 60)
    assert (result.status, result.selected, result.invoices, result.totals) == (RunStatus.COMPLETED, 0, 0, {})
