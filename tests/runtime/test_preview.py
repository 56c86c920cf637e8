"""Previews on the command line: what they tell, and that one which nobody waits for ends."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import psycopg
import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.service import RPCError

from bench.fleet import DUE, build_fleet
from contracts.bill_run import BillRunRequest, Control
from runtime.bill_runs import BillRunFailed, root_cause, wait_for_run
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import wait_until
from tests.names import NAMESPACE
from tests.runtime.conftest import CHECKOUT, Up, masthead
from workflows.bill_run import BillRunWorkflow
from workflows.starts import start_bill_run, workflow_id

ACCOUNTS = 300
PREVIEW = BillRunRequest(as_of=DUE, preview=True)


@pytest.fixture(scope="module")
def url(up: Up) -> str:
    url = up.state.database_url
    assert url is not None
    engine = make_engine(url)
    build_fleet(engine, ACCOUNTS)
    engine.dispose()
    return url


def status(up: Up) -> WorkflowExecutionStatus | None:
    """Of the newest preview; None before there is one."""

    async def look() -> WorkflowExecutionStatus | None:
        client = await connect(up.state.temporal_address, NAMESPACE)
        try:
            return (await client.get_workflow_handle(workflow_id(PREVIEW)).describe()).status
        except RPCError:
            return None

    return asyncio.run(look())


def bill_run(up: Up, *options: str) -> subprocess.Popen[str]:
    """The command in a shell's foreground: what runs in the background of a script ignores Ctrl-C by inheritance."""
    return subprocess.Popen(
        [sys.executable, "-m", "runtime.cli.app", "bill-run", "--as-of", str(DUE), *options],
        env=up.env,
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_preview_counts_its_steps_and_writes_nothing(up: Up, url: str) -> None:
    said = masthead(up.env, "bill-run", "--as-of", str(DUE), "--preview", "--json")
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert result["invoices"] == ACCOUNTS
    assert result["steps"] == {"rated": ACCOUNTS, "taxed": ACCOUNTS, "posted": 0}
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from invoice").fetchone() == (0,)
        assert connection.execute("select count(*) from bill_run").fetchone() == (0,)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        *(pytest.param(each, marks=pytest.mark.deep) for each in (signal.SIGTERM, signal.SIGHUP)),
    ],
    ids=lambda n: n.name,
)
def test_an_abandoned_preview_is_canceled(up: Up, url: str, number: signal.Signals) -> None:
    with psycopg.connect(url) as holder:
        holder.execute("lock table subscription in access exclusive mode")
        command = bill_run(up, "--preview")
        wait_until("the preview is going on", lambda: status(up) is WorkflowExecutionStatus.RUNNING)
        command.send_signal(number)
        _, said = command.communicate(timeout=30)
        assert command.returncode == 130, said
        assert said.strip().endswith("the preview was canceled")
        wait_until("the preview has ended", lambda: status(up) is WorkflowExecutionStatus.CANCELED)
    # The worker is free again: the next preview has its answer.
    assert masthead(up.env, "bill-run", "--as-of", str(DUE), "--preview").returncode == 0


def test_an_interrupted_run_goes_on_and_says_so(up: Up, url: str) -> None:
    with psycopg.connect(url) as holder:
        holder.execute("lock table subscription in access exclusive mode")
        command = bill_run(up)
        opened = "select count(*) from bill_run where status = 'selecting'"
        with psycopg.connect(url, autocommit=True) as seen:
            wait_until("the run is going on", lambda: seen.execute(opened).fetchone() == (1,))
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
        assert command.returncode == 130
        assert "the run goes on as long as workers run" in said
    again = masthead(up.env, "bill-run", "--as-of", str(DUE), "--json")
    assert json.loads(again.stdout)["status"] == "completed"
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from invoice").fetchone() == (ACCOUNTS,)


async def test_progress_is_told_and_a_cancellation_is_an_answer(up: Up, url: str) -> None:
    client = await connect(up.state.temporal_address, NAMESPACE)
    engine = make_engine(url)
    told: list[dict[str, object]] = []
    request = BillRunRequest(as_of=DUE, preview=True, scope="plan:premium", chunk_size=1)
    with psycopg.connect(url) as holder:
        holder.execute("lock table subscription in access exclusive mode")
        handle = await start_bill_run(client, request)
        order = Control(actor="ann", reason="a look")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(BillRunWorkflow.pause, order)
        assert "a preview writes nothing" in root_cause(refused.value)
        waiting = asyncio.create_task(wait_for_run(handle, engine, told.append, preview=True))
        async with asyncio.timeout(20):
            while True:
                if told:
                    break
                await asyncio.sleep(0.05)
        await handle.cancel()
        with pytest.raises(BillRunFailed, match=r"(?i)cancel"):
            await waiting
    assert told[0] == {"status": "previewing", "selected": 0, "pending": 0, "parked": 0}
    engine.dispose()
