"""Seeds through Temporal: payment runs and refunds as workflows, carried by worker processes that may be killed."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.call_attempt import OpenConnector, Patience
from activities.charges import ChargeSender
from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from activities.payment_run import PaymentRunActivities
from activities.refund import RefundActivities
from bench.fleet import DUE
from contracts.names import CALL_QUEUE, TASK_QUEUE
from contracts.payment_run import PaymentRunRequest
from contracts.refund import RefundInput
from operations.webhooks_in.handlers import Signal
from runtime.stack import launch, ports
from runtime.stack.temporal_server import server_command, server_environment
from runtime.temporal import connect
from storage.refunds import RefundRow
from workflows.payment_run import PaymentRunWorkflow
from workflows.refund import RefundWorkflow
from workflows.refund_starts import start_refund
from workflows.starts import start_payment_run

HEARTBEAT_SECONDS = 1.0
LOOK = timedelta(seconds=1)
ENDS_WITHIN = 120.0  # seconds of a run, or of a refund
KEEPS_UNTIL = 30.0


class Server:
    """A Temporal server at `address`, with a namespace of its own. One seed at a time has it."""

    def __init__(self, address: str) -> None:
        self.place = (address, f"seeds-{uuid4().hex[:8]}")
        self.taken = threading.Lock()
        launch.prepare_temporal(*self.place, 30, deadline_seconds=30)


@contextmanager
def temporal_server(folder: Path) -> Iterator[str]:
    """The address of a Temporal server for the block."""
    port = ports.choose_port(0)
    command = server_command(
        folder / "temporal.db",
        port=port,
        ui_port=ports.choose_port(0, frozenset({port})),
        namespace="masthead",
    )
    with (folder / "temporal.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=server_environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + KEEPS_UNTIL
        while not ports.answers(port) and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


async def serve(
    place: tuple[str, str],
    engine: Engine,
    open_connector: OpenConnector,
    sender: ChargeSender,
    patience: Patience,
) -> None:
    """Work for the namespace until killed."""
    client = await connect(*place)
    with ThreadPoolExecutor(4) as threads:
        async with (
            Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=[PaymentRunWorkflow, RefundWorkflow],
                activities=[
                    *PaymentRunActivities(engine, open_connector, sender).all(),
                    *RefundActivities(engine).all(),
                    *ParkedActivities(engine).all(),
                ],
                activity_executor=threads,
                sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
            ),
            Worker(
                client,
                task_queue=CALL_QUEUE,
                activities=ConnectorActivities(engine, open_connector, patience).all(),
            ),
        ):
            await asyncio.Event().wait()


class Through:
    """Starts a seed's workflows and keeps one worker process at work; a thread of its own talks with Temporal."""

    def __init__(self, server: Server, start: Callable[[str], Any]) -> None:
        self._start = start
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="temporal", daemon=True)
        self._thread.start()
        self._client: Client = self._do(connect(*server.place))
        self._worker: Any = None
        self._handles: dict[str, WorkflowHandle[Any, Any]] = {}
        self._over = False

    def close(self) -> None:
        """End all that goes on; nobody is woken any more."""
        self._over = True
        self._end_worker()
        for handle in self._handles.values():
            with suppress(RPCError):
                self._do(handle.terminate("the seed is over"))
        self._do(self._stop())
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._loop.call_soon(self._loop.stop)

    def run(self, chunk_size: int, dies: str) -> None:
        """Start a payment run with a worker that dies at the place `dies`."""
        self._end_worker()
        self._worker = self._start(dies)
        request = PaymentRunRequest(
            as_of=DUE, chunk_size=chunk_size, concurrency=1, heartbeat_seconds=HEARTBEAT_SECONDS
        )
        handle = self._do(start_payment_run(self._client, request))
        self._handles[handle.id] = handle

    def refund(self, rows: Sequence[RefundRow]) -> None:
        """Start what was promised; what goes on already is joined."""
        for row in rows:
            order = RefundInput(refund_id=row.id, account_id=row.account_id, look=LOOK)
            handle = self._do(start_refund(self._client, order))
            self._handles[handle.id] = handle

    def wake(self, signals: Sequence[Signal]) -> None:
        """Tell workflows, those that are still open."""
        for signal in () if self._over else signals:
            with suppress(RPCError):
                handle = self._client.get_workflow_handle(signal.workflow_id)
                self._do(handle.signal(signal.name, signal.argument))

    def until_ended(self, kind: str, meanwhile: Callable[[], None] = lambda: None) -> str:
        """Wait until all workflows of `kind` have ended, with a new worker for each that dies; what did not end."""
        deadline = time.monotonic() + ENDS_WITHIN
        waiting = {own: each for own, each in self._handles.items() if own.startswith(kind)}
        while waiting:
            if time.monotonic() > deadline:
                return f"did not end within {ENDS_WITHIN:g} s: {sorted(waiting)}"
            if self._worker.exitcode is not None:
                self._worker = self._start("")
            meanwhile()
            for own in list(waiting):
                if self._do(self._has_ended(waiting[own])):
                    del waiting[own], self._handles[own]
        return ""

    async def _has_ended(self, handle: WorkflowHandle[Any, Any]) -> bool:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(handle.result(), 0.2)
            return True
        return False

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.join()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
