"""Operators pause, resume and cancel a run; the workflow goes on in a new execution when its history is long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from temporalio.client import WorkflowUpdateFailedError

from contracts.bill_run import Control, Progress, RunStatus
from runtime.bill_runs import RunHandle, root_cause
from runtime.temporal import connect
from tests.faults.books import check_books, dump, rows, settled, value
from tests.faults.conftest import (
    ACCOUNTS,
    Fleets,
    Runs,
    TemporalServer,
    Workers,
    posting_held,
    until,
    until_it,
    until_under_way,
    waiting_for_locks,
)
from tests.faults.fleet import owing, selected
from tests.names import NAMESPACE
from workflows.bill_run import BillRunWorkflow

Books = list[str]
STATUS = "select status from bill_run"


async def pause(handle: RunHandle, reason: str = "bank holiday") -> Progress:
    return await handle.execute_update(BillRunWorkflow.pause, Control(actor="ann", reason=reason))


async def resume(handle: RunHandle, reason: str = "bank is open") -> Progress:
    return await handle.execute_update(BillRunWorkflow.resume, Control(actor="bob", reason=reason))


async def cancel(handle: RunHandle, reason: str = "wrong date") -> Progress:
    return await handle.execute_update(BillRunWorkflow.cancel, Control(actor="cyd", reason=reason))


async def refusal(update: Any) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await update
    return root_cause(refused.value)


async def until_at_rest(runs: Runs, handle: RunHandle) -> None:
    """Wait until the run has no activity under way and no workflow task to do."""

    async def at_rest() -> bool:
        here = runs.client.get_workflow_handle(handle.id)
        seen = (await here.describe()).raw_description
        return not seen.pending_activities and not seen.HasField("pending_workflow_task")

    await until_it("the run is at rest", at_rest)


async def test_pause_and_resume(fleets: Fleets, workers: Workers, runs: Runs, undisturbed: Books) -> None:
    url = fleets.fresh()
    workers.start(url)
    handle = await runs.start(concurrency=2)
    await until_under_way(url)
    with posting_held(url):
        await until("chunks wait to be posted", lambda: waiting_for_locks(url) > 0)
        assert await refusal(resume(handle)) == "the run is running; this needs it to be paused"
        assert (await pause(handle)).status is RunStatus.PAUSED
        assert await refusal(pause(handle)) == "the run is paused; this needs it to be running"
    await until_at_rest(runs, handle)
    done = settled(url)
    assert 0 < done < selected(ACCOUNTS)
    assert value(url, STATUS) == "paused"
    progress = await handle.query(BillRunWorkflow.progress)
    assert (progress.status, progress.chunks_done) == (RunStatus.PAUSED, done // 20)
    assert (await resume(handle)).status is RunStatus.RUNNING
    result = await runs.result(handle)
    assert (result.status, result.invoices) == (RunStatus.COMPLETED, owing(ACCOUNTS))
    audit = "select actor, action, reason, subject from audit order by at"
    subject = f"bill-run/{result.run_id}"
    assert rows(url, audit) == [
        ("ann", "pause", "bank holiday", subject),
        ("bob", "resume", "bank is open", subject),
    ]
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


@pytest.mark.parametrize("paused_first", [False, True])
async def test_cancel(
    paused_first: bool, fleets: Fleets, workers: Workers, runs: Runs, undisturbed: Books
) -> None:
    url = fleets.fresh()
    workers.start(url)
    handle = await runs.start(concurrency=2)
    await until_under_way(url)
    with posting_held(url):
        await until("chunks wait to be posted", lambda: waiting_for_locks(url) > 0)
        if paused_first:
            await pause(handle)
        await cancel(handle)
        for update in (pause, resume, cancel):
            assert await refusal(update(handle)) == "the run is being canceled already"
    result = await runs.result(handle)
    assert result.status is RunStatus.CANCELED
    assert result.invoices > 0
    assert result.canceled > 0
    assert result.invoices + result.nothing_due + result.canceled == result.selected == selected(ACCOUNTS)
    assert value(url, STATUS) == "canceled"
    assert rows(url, "select actor, reason from audit where action = 'cancel'") == [("cyd", "wrong date")]
    check_books(url, invoices=result.invoices)
    rest = await runs.result(await runs.start())
    assert (rest.status, rest.selected) == (RunStatus.COMPLETED, result.canceled)
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """A server that finds a history long after 30 events."""
    server = TemporalServer(
        tmp_path_factory.mktemp("forgetful-temporal"), "limit.historyCount.suggestContinueAsNew=30"
    )
    server.start()
    try:
        server.prepare()
        yield server
    finally:
        server.kill()


@pytest.fixture
async def short_runs(forgetful: TemporalServer) -> AsyncIterator[Runs]:
    mine = Runs(await connect(forgetful.address, NAMESPACE))
    try:
        yield mine
    finally:
        await mine.end_all()


@pytest.fixture
def short_workers(forgetful: TemporalServer, tmp_path: Any) -> Iterator[Workers]:
    mine = Workers(tmp_path, forgetful.address)
    try:
        yield mine
    finally:
        mine.kill_all()


async def executions(runs: Runs, handle: RunHandle) -> int:
    """How many executions the workflow's chain has."""
    count, run_id = 1, handle.result_run_id
    while True:
        closing = (await runs.client.get_workflow_handle(handle.id, run_id=run_id).fetch_history()).events[-1]
        run_id = closing.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        if not run_id:
            return count
        count += 1


@pytest.mark.deep
async def test_a_run_with_a_long_history_goes_on_in_new_executions(
    fleets: Fleets, short_workers: Workers, short_runs: Runs, undisturbed: Books
) -> None:
    url = fleets.fresh()
    short_workers.start(url)
    handle = await short_runs.start()
    result = await short_runs.result(handle)
    assert await executions(short_runs, handle) > 2
    assert (result.status, result.invoices) == (RunStatus.COMPLETED, owing(ACCOUNTS))
    # An account with nothing to pay is rated and taxed, and posted without an invoice.
    assert (result.steps.rated, result.steps.posted) == (selected(ACCOUNTS), owing(ACCOUNTS))
    assert value(url, "select count(*) from bill_run") == 1
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


@pytest.mark.deep
@pytest.mark.parametrize("order", [pause, cancel])
async def test_an_order_that_comes_while_the_run_wants_a_new_execution_is_kept(
    order: Any, fleets: Fleets, short_workers: Workers, short_runs: Runs, undisturbed: Books
) -> None:
    url = fleets.fresh()
    # Four chunks at once would fill all places of the default worker, and the order would wait behind them.
    short_workers.start(url, MASTHEAD_WORKER_ACTIVITIES="8")
    with psycopg.connect(url) as audit:
        # Held before the run begins: one that is under way may be waiting for its last chunks already.
        with posting_held(url):
            handle = await short_runs.start()
            here = short_runs.client.get_workflow_handle_for(BillRunWorkflow.run, handle.id)
            await until("four chunks wait to be posted", lambda: waiting_for_locks(url) == 4)
            audit.execute("lock table audit in exclusive mode")
            ordered = asyncio.create_task(order(here))
            await until("the order waits to be recorded", lambda: waiting_for_locks(url) == 5)
        # The chunks end now, and the run would go on in a new execution but for the order under way.
        await until("the chunks have ended", lambda: waiting_for_locks(url) == 1)
        first = (await here.describe()).run_id
    await ordered
    if order is pause:
        await until_at_rest(short_runs, handle)
        assert settled(url) < selected(ACCOUNTS)
        assert value(url, STATUS) == "paused"
        described = await here.describe()
        assert described.run_id == first
        await resume(here)
    result = await short_runs.result(handle)
    if order is cancel:
        assert (result.status, result.canceled > 0) == (RunStatus.CANCELED, True)
        result = await short_runs.result(await short_runs.start())
    assert result.status is RunStatus.COMPLETED
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed
