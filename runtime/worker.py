"""One worker process: workflows and activities of the registry, and its background loops."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from activities.checkout import CheckoutActivities, by_engine
from activities.tax_orders import TaxUse
from activities.tax_quotes import TaxQuotes
from contracts.names import CALL_QUEUE, TASK_QUEUE
from documents.shelf import Shelf
from runtime import registry
from runtime.charge_looks import running_looks
from runtime.collector import calm_collector
from runtime.connections import Connections
from runtime.fulfilment_keeper import running_fulfilment
from runtime.mails import running_mails
from runtime.provisioners import provisioner_of
from runtime.sellers import fulfilled_by, gateway_for, told_by
from runtime.settings import Settings
from runtime.stack.home import Home, write_private
from runtime.syncs import load_flows, running_syncs
from runtime.taxing import bill_run_taxes, running_taxing, tax_uses
from runtime.telemetry.process import Telemetry
from runtime.telemetry.readiness import database_answers, temporal_answers
from runtime.temporal import connect
from storage.database import make_engine

log = logging.getLogger("masthead.worker")

GRACEFUL_SHUTDOWN = timedelta(seconds=10)
# A call to another system is waiting: so many may be under way before one waits for another.
CALLS_AT_ONCE = 100
# The SDK's 10 s are how long a workflow stalls whose worker was killed.
STICKY_TIMEOUT = timedelta(seconds=2)
# A cancellation comes back with a heartbeat; by default the SDK sends one every 8 s of our 10 s timeouts.
HEARTBEAT_AT_LEAST_EVERY = timedelta(seconds=2)
LOOP_PAUSE_SECONDS = 1.0


async def run_worker(settings: Settings, telemetry: Telemetry | None = None) -> None:
    """Run until SIGTERM or SIGINT, then let running activities end (10 s) and close all in order.

    Once it polls it creates `run/worker-<pid>.ready` in MASTHEAD_HOME, for which the supervisor waits. telemetry: that
    of the process, whose endpoint then says whether the worker is ready.
    Raises FlowErrors, DocumentError and DefinitionError when flows or connections cannot be used as they are,
    TemporalUnavailable when there is no server, ValueError without a database.
    """
    if settings.database_url is None:
        raise ValueError("DATABASE_URL is not set")
    shelf = load_flows(settings)
    connections = Connections.of(settings, flows=shelf.names_for)
    uses = tax_uses(settings)
    calm_collector()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = await connect(
        settings.temporal_address,
        settings.temporal_namespace,
        deadline_seconds=60,
        runtime=telemetry.runtime if telemetry else None,
        interceptors=telemetry.interceptors if telemetry else (),
    )
    engine = make_engine(settings.database_url)
    fatal: list[BaseException] = []
    polling = threading.Event()
    checks = {
        "database": database_answers(engine),
        "temporal": temporal_answers(client, loop),
        "worker": lambda: (
            None if polling.is_set() else "the worker does not poll: it starts, or is about to end"
        ),
    }

    async def end(error: BaseException) -> None:
        fatal.append(error)
        stop.set()

    try:
        connections.note_started(engine)
        with telemetry.listening(checks) if telemetry else nullcontext():
            async with (
                _running_worker(client, engine, connections, settings, uses, end),
                running_syncs(client, engine, connections, shelf, end),
                running_taxing(client, engine, connections, uses),
                running_mails(engine, connections, Shelf(settings.templates)),
                running_looks(engine, connections.open),
                running_fulfilment(client, engine, fulfilled_by(connections)),
                _running_loops(client, engine),
            ):
                mark = _mark_ready(Home(settings.home))
                polling.set()
                log.info("polling %s in namespace %s", TASK_QUEUE, settings.temporal_namespace)
                try:
                    await stop.wait()
                finally:
                    polling.clear()
                    mark.unlink(missing_ok=True)
    finally:
        await connections.aclose()
        engine.dispose()
    if fatal:
        raise fatal[0]
    log.info("stopped")


@asynccontextmanager
async def _running_worker(
    client: Client,
    engine: Engine,
    connections: Connections,
    settings: Settings,
    uses: Mapping[str, TaxUse],
    end: Callable[[BaseException], Awaitable[None]],
) -> AsyncIterator[None]:
    if not registry.WORKFLOWS:
        yield
        return
    quotes = TaxQuotes(engine, connections.open, uses)
    checkouts = CheckoutActivities(
        engine, gateway_for(connections), fulfilled_by(connections), by_engine(quotes), told_by(connections)
    )
    with ThreadPoolExecutor(settings.worker_activities, thread_name_prefix="activity") as executor:
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=registry.WORKFLOWS,
            activities=registry.build_activities(
                engine,
                client,
                checkouts,
                connections.open,
                bill_run_taxes(quotes),
                provisioner_of(connections),
                fulfilled_by(connections),
            ),
            activity_executor=executor,
            max_concurrent_activities=settings.worker_activities,
            graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
            max_heartbeat_throttle_interval=HEARTBEAT_AT_LEAST_EVERY,
            interceptors=_interceptors(),
            on_fatal_error=end,
        )
        calls = Worker(
            client,
            task_queue=CALL_QUEUE,
            activities=registry.build_calls(engine, connections.open),
            max_concurrent_activities=CALLS_AT_ONCE,
            graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
            on_fatal_error=end,
        )
        async with worker, calls:
            yield


def _interceptors() -> list[Interceptor]:
    if not os.environ.get("MASTHEAD_FAIL_POINT", "").startswith("in-parent:"):
        return []
    from runtime.failpoints import InParent

    return [InParent()]


@asynccontextmanager
async def _running_loops(client: Client, engine: Engine) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(_keep_running(loop, client, engine), name=getattr(loop, "__name__", "loop"))
        for loop in registry.background
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_running(loop: registry.BackgroundLoop, client: Client, engine: Engine) -> None:
    while True:
        try:
            await loop(engine, client)
        except Exception:
            log.exception("background loop %s failed; it is started again", getattr(loop, "__name__", loop))
        await asyncio.sleep(LOOP_PAUSE_SECONDS)


def _mark_ready(home: Home) -> Path:
    home.prepare()
    mark = home.ready_mark(os.getpid())
    write_private(mark, "")
    return mark
