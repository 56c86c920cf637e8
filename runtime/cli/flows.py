"""`masthead flows`: which flows there are, whether they are sound, how they stand, and how to begin them anew."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uuid_utils
from rich.table import Table
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.sync_flow import ConnectionFlows, Flow, OutboundFlow
from contracts.names import sync_id
from contracts.sync import SyncControl
from operations.audit import record_action
from operations.sync.batch import Plan, behind
from operations.sync.lanes import TellsNoHistory, backfill_flow, reset_flow
from runtime.bill_runs import root_cause
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.connections import configured
from runtime.flow_source import FlowErrors, FlowShelf, read_flow
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.syncs import flows_of, load_flows
from runtime.temporal import connect
from runtime.yaml_source import DocumentError
from storage.database import PgConnection, make_engine, transaction
from storage.sync import BACKFILL, INBOUND, LIVE, read_lane
from workflows.connector_sync import ConnectorSyncWorkflow

flows_app = typer.Typer(no_args_is_help=True, help="What is told to other systems, and taken from them.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[
    str, typer.Argument(metavar="FLOW", help="The flow's name, as `masthead flows list` prints it.")
]
Connection = Annotated[str, typer.Option("--connection", "-c", help="Which connection, as in masthead.yaml.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit table.")]
Actor = Annotated[str, typer.Option(help="Who; your login name by default.")]

T = TypeVar("T")


@flows_app.command("list")
def list_flows(as_json: AsJson = False) -> None:
    """The flows of the house and those in flows/ beside masthead.yaml, and which connections carry them out."""
    shelf, connections = _configured()
    rows = [_facts(name, flow, shelf, connections) for name, flow in shelf.flows.items()]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("flow", "what", "connections", "file")
    for row in rows:
        table.add_row(row["flow"], row["what"], ", ".join(row["connections"]) or "-", row["file"])
    wide_console().print(table)


@flows_app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Flow documents (YAML).")],
    as_json: AsJson = False,
) -> None:
    """Read flows and report everything that is wrong with them. Needs no database and no configuration."""
    read, errors = [], []
    for file in files:
        try:
            read.append(read_flow(file))
        except DocumentError as error:
            errors.append(error)
    if errors:
        found = FlowErrors(errors)
        raise UserError(str(found), remedy=f"{found.count} problems. Correct them and check again.")
    if as_json:
        print(json.dumps([{"flow": flow.document.name, "what": _what(flow)} for flow in read]))
        return
    for flow in read:
        print(f"{flow.document.name} is sound: {_what(flow)}")


@flows_app.command()
def status(as_json: AsJson = False) -> None:
    """How each flow of each connection stands: events before it, records by outcome, and what holds it up."""
    _, connections = _configured()
    rows = _on_database(
        lambda connection: [row for each in connections for row in _standing(connection, each)]
    )
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print("No connection lists flows. Name some under `flows:` of a connection in masthead.yaml.")
        return
    table = Table("connection", "flow", "lane")
    for name in ("behind", "written", "unchanged", "parked"):
        table.add_column(name, justify="right")
    table.add_column("trouble", overflow="fold")
    for row in rows:
        counts = (f"{row[name]:,}" for name in ("behind", "written", "unchanged", "parked"))
        table.add_row(row["connection"], row["flow"], row["lane"], *counts, row["trouble"] or "")
    wide_console().print(table)


@flows_app.command()
def reset(flow: Name, connection: Connection, reason: Reason, actor: Actor = "") -> None:
    """Sync anew: read the whole log again and write every record again, as after the other system has lost data."""
    plan = _plan(flow, connection)
    forgotten = _on_database(
        lambda opened: reset_flow(opened, plan), actor, f"reset {flow}", connection, reason
    )
    print(f"{flow} of {connection} begins anew; {forgotten:,} records are written again")


@flows_app.command()
def backfill(flow: Name, connection: Connection, reason: Reason, actor: Actor = "") -> None:
    """Read the whole log a second time, behind everything that is new, and write what differs from what was written:
    as after a change of the map."""
    plan = _plan(flow, connection)
    _on_database(lambda opened: backfill_flow(opened, plan), actor, f"backfill {flow}", connection, reason)
    print(f"{flow} of {connection} is filled from the beginning, behind what is new")


@flows_app.command()
def pause(connection: Connection, reason: Reason, actor: Actor = "") -> None:
    """Stop telling a connection's system. What changes meanwhile is told when it goes on."""
    _control(connection, "pause", actor, reason)
    print(f"{connection} is paused; `masthead flows resume` lets it go on")


@flows_app.command()
def resume(connection: Connection, reason: Reason, actor: Actor = "") -> None:
    """Let a connection go on from where it stands."""
    _control(connection, "resume", actor, reason)
    print(f"{connection} goes on")


def _configured() -> tuple[FlowShelf, list[ConnectionFlows]]:
    settings = load_settings()
    try:
        shelf = load_flows(settings)
        specs = configured(settings, flows=shelf.names_for)
    except FlowErrors as error:
        raise UserError(str(error), remedy="Correct the flows; nothing of them is used.") from None
    except DocumentError as error:
        raise UserError(str(error), remedy="Correct masthead.yaml.") from None
    of = flows_of(specs.values(), shelf)
    return shelf, [flows for name in specs if (flows := of(name)) is not None]


def _plan(name: str, connection: str) -> Plan:
    """The outbound flow of a connection. Raises UserError naming what there is."""
    _, connections = _configured()
    for each in connections:
        for flow in each.outbound:
            if (each.connection, flow.document.name) == (connection, name):
                return each.plan(flow)
    there = [f"{flow.document.name} of {each.connection}" for each in connections for flow in each.outbound]
    raise UserError(
        f"{connection} carries out no flow {name} that tells it something",
        remedy=f"There are: {', '.join(there) or 'none'}.",
    )


def _facts(name: str, flow: Flow, shelf: FlowShelf, connections: list[ConnectionFlows]) -> dict[str, Any]:
    used = [each.connection for each in connections if flow in each.flows]
    return {
        "flow": name,
        "title": flow.document.title,
        "what": _what(flow),
        "connections": used,
        "file": str(shelf.files[name]),
    }


def _what(flow: Flow) -> str:
    document = flow.document
    if isinstance(flow, OutboundFlow):
        return f"{', '.join(document.on or ())} → {document.state} → {document.to}"
    return f"{document.source} → {document.command}"


def _standing(connection: PgConnection, flows: ConnectionFlows) -> list[dict[str, Any]]:
    found = []
    for flow in flows.flows:
        plan = flows.plan(flow)
        for lane in (LIVE, BACKFILL) if isinstance(flow, OutboundFlow) else (INBOUND,):
            row = read_lane(connection, plan.lane(lane))
            if row is None or (lane == BACKFILL and row.until is None):
                continue
            found.append(
                {
                    "connection": plan.connection,
                    "flow": plan.flow.name,
                    "lane": lane,
                    "behind": behind(connection, plan, lane) if lane != INBOUND else 0,
                    "written": row.written,
                    "unchanged": row.unchanged,
                    "parked": row.parked,
                    "trouble": row.trouble,
                }
            )
    return found


def _on_database(
    work: Callable[[PgConnection], T],
    actor: str = "",
    action: str = "",
    connection: str = "",
    reason: str = "",
) -> T:
    """`work` in one transaction; an action of an operator is written down after it."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            try:
                with transaction(engine) as opened:
                    done = work(opened)
            except TellsNoHistory as error:
                what, _, remedy = str(error).partition(". ")
                raise UserError(what, remedy=f"{remedy}.") from None
            if action:
                record_action(
                    engine,
                    key=str(uuid_utils.uuid7()),
                    actor=actor or getpass.getuser(),
                    action=action,
                    subject=sync_id(connection),
                    reason=reason,
                )
            return done
        finally:
            engine.dispose()


def _control(connection: str, action: str, actor: str, reason: str) -> None:
    control = SyncControl(actor=actor or getpass.getuser(), reason=reason)

    async def send(handle: WorkflowHandle[Any, Any]) -> None:
        update = ConnectorSyncWorkflow.pause if action == "pause" else ConnectorSyncWorkflow.resume
        await handle.execute_update(update, control)

    with ensure_stack(load_settings(), workers=False) as stack:
        asyncio.run(_on_workflow(stack, connection, send))


async def _on_workflow(
    stack: Stack, connection: str, work: Callable[[WorkflowHandle[Any, Any]], Awaitable[None]]
) -> None:
    client: Client = await connect(stack.temporal_address, stack.namespace)
    try:
        await work(client.get_workflow_handle(sync_id(connection)))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise UserError(
                f"nothing keeps {connection} in step",
                remedy="It runs while `masthead up` does, for connections with flows.",
            ) from None
        raise
    except WorkflowUpdateFailedError as error:
        raise CommandFailed(
            str(root_cause(error)), remedy="`masthead flows status` shows how it stands."
        ) from None
