"""`masthead refund` and `masthead disputes`: money that goes back, and what payers took back through their banks."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table
from sqlalchemy import Engine
from temporalio.service import RPCError
from uuid_utils import uuid7

from contracts.refund import RefundInput, RefundStatus
from domain.money import format_minor
from operations.accounts.commands import CommandRefused, CommandReused
from operations.refunds import by_hand
from operations.refunds.asking import refund_payment
from operations.refunds.by_hand import CannotDecide, Decision
from operations.refunds.disputes import note
from operations.tariffs import Tariff, Tariffs
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.temporal import TemporalUnavailable, connect
from storage.database import PgConnection, make_engine, transaction
from storage.disputes import DisputeRow, NoSuchDispute, list_disputes, read_dispute
from storage.payment_views import find_payment
from storage.refunds import NoSuchRefund, RefundRow, list_refunds, read_refund
from storage.sight import EVERYTHING
from workflows.refund_starts import start_refund

app = typer.Typer(no_args_is_help=True, help="Refunds: make one, see them, decide about those not paid.")
disputes_app = typer.Typer(no_args_is_help=True, help="Disputes of payers: see them, note evidence.")

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]
Actor = Annotated[str, typer.Option(help="Who; your login name by default.")]
Refund = Annotated[str, typer.Argument(metavar="REFUND", help="As `masthead refund list` shows it.")]
Dispute = Annotated[str, typer.Argument(metavar="DISPUTE", help="As `masthead disputes list` shows it.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]
AtGateway = Annotated[bool, typer.Option("--at-gateway", help="The gateway's own page says that it paid.")]
Decide = Callable[[PgConnection, Tariff, str, Decision, datetime], RefundRow]
LOOK_SECONDS = 0.1


@app.command("make")
def make(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's id.")],
    reason: Annotated[str, typer.Option(help="As it stands on the credit notes, for the customer.")],
    amount: Annotated[
        str | None, typer.Option(help="Major units, as 5.00; default: all that remains.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A name of your own for it: the same again is the same refund.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the gateway.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Refund PAYMENT: its invoices are credited, and the gateway is asked to pay."""
    own = _uuid(payment, "payment")
    with _stack() as (stack, engine):
        with transaction(engine) as connection:
            found = find_payment(connection, EVERYTHING, own)
            if found is None:
                raise UserError(f"there is no payment {payment}")
            try:
                row = refund_payment(
                    connection,
                    Tariffs(engine).current(connection),
                    found["account_id"],
                    found["no"],
                    f"cli/{key or uuid7()}",
                    amount=amount,
                    reason=reason,
                    now=datetime.now(UTC),
                )
            except (CommandRefused, CommandReused) as error:
                raise UserError(str(error)) from None
        _tell(_followed(stack, engine, row, wait), as_json)


@app.command("list")
def show_all(
    standing: Annotated[bool, typer.Option("--standing", help="Only what is promised and not paid.")] = False,
    status: Annotated[RefundStatus | None, typer.Option(help="Only those that stand so.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List refunds, newest first."""
    with _stack() as (_, engine), transaction(engine) as connection:
        rows = list_refunds(
            connection, status=None if status is None else status.value, standing=standing, limit=limit
        )
    if as_json:
        print(json.dumps([row._asdict() for row in rows], default=str))
        return
    table = Table("id", "amount", "status", "promise", "gateway", "why it failed", "since")
    for row in rows:
        since = f"{row.created_at:%Y-%m-%d %H:%M}"
        table.add_row(
            row.id,
            format_minor(row.amount, row.currency),
            row.status + (" (stuck)" if row.park_id else ""),
            row.promise,
            row.connection or "by hand",
            row.code or "",
            since,
        )
    wide_console().print(table)


@app.command("show")
def show(refund: Refund) -> None:
    """Show all of a refund, as JSON."""
    with _stack() as (_, engine), transaction(engine) as connection:
        _tell(_read(connection, refund), as_json=True)


@app.command("paid")
def paid(refund: Refund, reason: Reason, at_gateway: AtGateway = False, actor: Actor = "") -> None:
    """Record that it was paid: by hand, or as the gateway's own page says."""
    _decide(
        refund,
        reason,
        actor,
        lambda connection, tariff, own, decision, now: by_hand.paid(
            connection, tariff, own, decision, now, at_gateway=at_gateway
        ),
    )


@app.command("failed")
def failed(refund: Refund, reason: Reason, actor: Actor = "") -> None:
    """Record that the gateway did not pay it, as its own page says. What follows is by policy."""
    _decide(refund, reason, actor, by_hand.failed)


@app.command("credit")
def credit(refund: Refund, reason: Reason, actor: Actor = "") -> None:
    """Let the customer keep it as account credit."""
    _decide(refund, reason, actor, by_hand.credit)


@app.command("retry")
def retry(refund: Refund, reason: Reason, actor: Actor = "") -> None:
    """Ask the gateway anew, by another refund under a key of its own."""
    _decide(refund, reason, actor, by_hand.retry, follow=True)


@disputes_app.command("list")
def show_disputes(
    status: Annotated[str | None, typer.Option(help="open, won or lost.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List disputes, newest first."""
    if status not in (None, "open", "won", "lost"):
        raise UserError(f"--status: {status!r} is none", remedy="Write open, won or lost.")
    with _stack() as (_, engine), transaction(engine) as connection:
        rows = list_disputes(connection, status=status, limit=limit)
    if as_json:
        print(json.dumps([row._asdict() for row in rows], default=str))
        return
    table = Table("id", "amount", "status", "stage", "payment", "gateway", "notes", "since")
    for row in rows:
        table.add_row(
            row.id,
            format_minor(row.amount, row.currency),
            row.status,
            row.stage,
            row.payment_id or "not known here",
            row.connection,
            str(len(row.evidence)),
            f"{row.opened_at:%Y-%m-%d}",
        )
    wide_console().print(table)


@disputes_app.command("show")
def show_dispute(dispute: Dispute) -> None:
    """Show all of a dispute, as JSON."""
    with _stack() as (_, engine), transaction(engine) as connection:
        _tell(_read_dispute(connection, dispute), as_json=True)


@disputes_app.command("note")
def note_evidence(
    dispute: Dispute,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What speaks for us.")],
    actor: Actor = "",
) -> None:
    """Keep a note of evidence with a dispute, for whoever answers it at the gateway."""
    if not text.strip():
        raise UserError("the note is empty")
    with _stack() as (_, engine), transaction(engine) as connection:
        row = _read_dispute(connection, dispute)
        who = actor.strip() or getpass.getuser()
        key = f"dispute/{row.id}/cli/{uuid7()}"
        _tell(note(connection, row.id, who, text.strip(), key, datetime.now(UTC)), as_json=True)


@contextmanager
def _stack() -> Iterator[tuple[Stack, Engine]]:
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            yield stack, engine
        finally:
            engine.dispose()


def _decide(refund: str, reason: str, actor: str, act: Decide, *, follow: bool = False) -> None:
    if not reason.strip():
        raise UserError("--reason is empty", remedy="Say in a few words why.")
    decision = Decision(actor.strip() or getpass.getuser(), reason.strip())
    with _stack() as (stack, engine):
        with transaction(engine) as connection:
            row = _read(connection, refund)
            tariff = Tariffs(engine).current(connection)
            try:
                row = act(connection, tariff, row.id, decision, datetime.now(UTC))
            except CannotDecide as error:
                raise UserError(str(error)) from None
        _tell(_followed(stack, engine, row, 20.0) if follow else row, as_json=False)


def _followed(stack: Stack, engine: Engine, row: RefundRow, wait: float) -> RefundRow:
    """The refund once the gateway has answered, or when the time is over. Where Temporal is away it is begun later."""
    if row.status != RefundStatus.PENDING:
        return row
    try:
        asyncio.run(_start(stack, row))
    except (RPCError, TemporalUnavailable):
        return row
    until = time.monotonic() + wait
    while row.status == RefundStatus.PENDING and row.park_id is None and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
        with transaction(engine) as connection:
            row = read_refund(connection, row.id)
    return row


async def _start(stack: Stack, row: RefundRow) -> None:
    client = await connect(stack.temporal_address, stack.namespace, deadline_seconds=5)
    await start_refund(client, RefundInput(refund_id=row.id, account_id=row.account_id))


def _tell(row: RefundRow | DisputeRow, as_json: bool) -> None:
    fields: dict[str, Any] = row._asdict()
    if as_json or isinstance(row, DisputeRow):
        print(json.dumps(fields, default=str, indent=2, ensure_ascii=False))
        return
    stuck = f"; a person has to decide: masthead errors show {row.park_id}" if row.park_id else ""
    print(
        f"{row.id}: {format_minor(row.amount, row.currency)} {row.status}, the promise is {row.promise}{stuck}"
    )


def _read(connection: PgConnection, refund: str) -> RefundRow:
    try:
        return read_refund(connection, _uuid(refund, "refund"))
    except NoSuchRefund as error:
        raise UserError(str(error), remedy="`masthead refund list` shows them.") from None


def _read_dispute(connection: PgConnection, dispute: str) -> DisputeRow:
    try:
        return read_dispute(connection, _uuid(dispute, "dispute"))
    except NoSuchDispute as error:
        raise UserError(str(error), remedy="`masthead disputes list` shows them.") from None


def _uuid(text: str, what: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise UserError(f"{text!r} is not the id of a {what}") from None
