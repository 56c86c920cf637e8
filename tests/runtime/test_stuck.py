"""Law I15: what Temporal tries again for ever is told, on the terminal of whoever waits and by doctor."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.client import Client

from contracts.names import TASK_QUEUE
from runtime.stuck import find_stuck, innermost, troubles_of
from runtime.temporal import connect
from tests.conftest import wait_until
from tests.names import NAMESPACE
from tests.runtime.conftest import CHECKOUT, Up, masthead

_T = TypeVar("_T")


class Waiting:
    """A `masthead` command that is going on, with what it has said so far."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli.app", *arguments],
            env=env,
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def finish(self) -> str:
        """Its stdout, once it has ended by itself."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        assert self.process.wait(60) == 0, self.said
        return out

    def end(self) -> None:
        """End it if it goes on."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def on(up: Up, work: Callable[[Client], Awaitable[_T]]) -> _T:
    """Do `work` with a client of the stack."""

    async def run() -> _T:
        return await work(await connect(up.state.temporal_address, NAMESPACE))

    return asyncio.run(run())


@contextmanager
def unknown_to_workers(up: Up, workflow_id: str) -> Iterator[None]:
    """A workflow whose every task fails, because no worker has its code."""

    async def start(client: Client) -> None:
        await client.start_workflow("Nonesuch", id=workflow_id, task_queue=TASK_QUEUE)

    async def end(client: Client) -> None:
        await client.get_workflow_handle(workflow_id).terminate()

    on(up, start)
    try:
        yield
    finally:
        on(up, end)


def findings(up: Up) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of `masthead doctor --json`."""
    said = masthead(up.env, "doctor", "--json")
    return said.returncode, json.loads(said.stdout)["findings"]


def test_doctor_lists_workflows_whose_tasks_fail_and_fails_itself(up: Up) -> None:
    assert findings(up)[0] == 0
    with unknown_to_workers(up, "subscription/broken"):
        wait_until("it is seen", lambda: on(up, lambda client: troubles_of(client, "subscription/broken")))
        code, found = findings(up)
        assert code == 1
        (broken,) = [each for each in found if not each["ok"]]
        assert broken["item"] == "Workflow"
        assert "subscription/broken: its workflow task" in broken["seen"]
        assert "Nonesuch" in broken["seen"]
        assert "correct the code and restart the workers" in broken["remedy"]
        said = masthead(up.env, "doctor")
        assert said.returncode == 1
        assert said.stdout.count("correct the code and restart the workers") == 1
    code, found = findings(up)
    assert code == 0
    assert any(each["item"] == "Workflows" and "none stuck" in each["seen"] for each in found)


@pytest.mark.deep
def test_a_failing_task_is_found_among_more_than_are_looked_at(up: Up) -> None:
    """The server's own report leads to it; only what it does not report is bounded."""
    names = [f"idle/{number}" for number in range(3)]

    async def idle(client: Client) -> None:
        for name in names:
            await client.start_workflow("Nobody", id=name, task_queue="nobody-polls")

    async def end(client: Client) -> None:
        for name in names:
            await client.get_workflow_handle(name).terminate()

    with unknown_to_workers(up, "subscription/hidden"):
        on(up, idle)
        try:
            wait_until(
                "the server reports it",
                lambda: (
                    [t.workflow_id for t in on(up, lambda client: find_stuck(client, at_most=1)).troubles]
                    == ["subscription/hidden"]
                ),
                60,
            )
            survey = on(up, lambda client: find_stuck(client, at_most=1))
            assert survey.looked_at == 1
            assert survey.open >= 4
        finally:
            on(up, end)


def test_waiting_for_a_run_says_that_its_task_fails(up: Up) -> None:
    with unknown_to_workers(up, "bill-run/all/2027-01-01"):
        command = Waiting(up.env, "bill-run", "--as-of", "2027-01-01", "--json")
        try:
            wait_until("it is said", lambda: "Ctrl-C ends only this command" in command.said, 30)
            assert "stuck: bill-run/all/2027-01-01: its workflow task has been tried" in command.said
            assert "Nonesuch" in command.said
            assert command.process.poll() is None, "the run may go on, so the command waits"
        finally:
            command.end()
        assert command.said.count("stuck: ") == 1


@pytest.mark.deep
def test_waiting_for_a_run_says_which_step_fails_and_ends_well_once_it_is_repaired(up: Up) -> None:
    url = up.state.database_url
    assert url is not None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter table bill_run_chunk rename to hidden")
        command = Waiting(up.env, "bill-run", "--as-of", "2027-01-02", "--json")
        try:
            wait_until("it is said", lambda: "Ctrl-C ends only this command" in command.said, 40)
            assert "the step open_bill_run has been tried" in command.said
            assert 'relation "bill_run_chunk" does not exist' in command.said
            assert any("open_bill_run" in each["seen"] for each in findings(up)[1] if not each["ok"])
        finally:
            connection.execute("alter table hidden rename to bill_run_chunk")
            if "open_bill_run" not in command.said:
                command.end()
        assert json.loads(command.finish())["status"] == "completed"


def test_an_order_to_a_stuck_run_does_not_wait_for_ever(up: Up) -> None:
    url = up.state.database_url
    assert url is not None
    run = str(uuid.uuid4())
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into bill_run (id, mode, workflow_id, workflow_run_id, scope, target_date, preview, status)"
            " values (%s, 'live', 'bill-run/all/2027-01-03', %s, 'all', '2027-01-03', false, 'running')",
            (run, run),
        )
    with unknown_to_workers(up, "bill-run/all/2027-01-03"):
        said = masthead(up.env, "runs", "pause", run, "--reason", "a look")
    assert said.returncode == 1
    assert "the run does not take it now" in said.stderr
    assert "restart the workers" in said.stderr


async def test_a_workflow_that_nobody_takes_is_told(
    temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.stuck.UNTAKEN_AFTER", timedelta(0))
    client = await connect(temporal_address, NAMESPACE)
    handle = await client.start_workflow("Nobody", id="untaken", task_queue="nobody-polls")
    try:
        (trouble,) = await troubles_of(client, handle.id)
        assert str(trouble) == "untaken: its workflow task is waiting for a worker"
        assert "python worker.py" in trouble.remedy
    finally:
        await handle.terminate()
    assert await troubles_of(client, handle.id) == []
    assert await troubles_of(client, "never-there") == []


def test_of_a_chain_of_failures_the_innermost_is_told_in_one_line() -> None:
    kind = ApplicationFailureInfo(type="DiskFull")
    inner = Failure(message="disk full\nCONTEXT: COPY", application_failure_info=kind)
    assert innermost(Failure(message="Activity failed", cause=inner)) == "DiskFull: disk full"
    assert len(innermost(Failure(message="x" * 1000))) == 300
    assert innermost(Failure()) == ""
