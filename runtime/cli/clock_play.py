"""What a scenario on a test clock looks like to whoever watches: one line a step, then what it came to."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine
from temporalio.client import Client

from domain.account import commands as verbs
from domain.money import format_minor
from domain.simulation.scenario import MisplacedStep
from operations.test_clocks.clocks import ClockRefused
from runtime.cli.errors import CommandFailed, UserError
from runtime.clock_play import ClockFailed, ClockPlay, PlayedOnClock
from runtime.scenario_source import read_scenario_file
from runtime.yaml_source import DocumentError
from storage.database import transaction


async def play_scenario(
    console: Console, engine: Engine, client: Client, file: Path, name: str | None = None
) -> bool:
    """Play the scenario in `file` on a clock called `name`, print what happened, and answer whether it is equal to the
    simulation. Raises UserError and CommandFailed."""
    try:
        source = read_scenario_file(file)
    except DocumentError as error:
        raise UserError(str(error)) from None
    began = time.monotonic()
    try:
        played = await ClockPlay(engine, client, source, name or file.stem).play()
    except (MisplacedStep, ClockRefused) as error:
        raise UserError(str(error)) from None
    except ClockFailed as error:
        raise CommandFailed(str(error)) from None
    console.print(_story(engine, played, source.scenario.title or file.stem))
    seconds = time.monotonic() - began
    told = "yes" if played.equal else f"NO, they differ in: {', '.join(played.differing)}"
    console.print(
        f"Played on the clock {played.clock.name!r} in {seconds:.1f} s. Equal to simulate: {told}",
        soft_wrap=True,
    )
    return played.equal


def _story(engine: Engine, played: PlayedOnClock, title: str) -> Table:
    """What happened, day by day: commands, invoices, payments that failed, credit notes, notices."""
    account = played.account
    rows: list[tuple[str, int, str, str]] = []
    for step in played.scenario.steps:
        if not isinstance(step, verbs.Bill):
            fields = step.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"at", "do"})
            what = ", ".join(f"{key} {value}" for key, value in fields.items())
            rows.append((str(step.at)[:10], 0, f"{step.do.replace('_', ' ')}: {what}".rstrip(": "), ""))
    for invoice in account.invoices:
        total = format_minor(invoice.total, account.currency)
        rows.append(
            (str(invoice.issued_on), 2, f"invoice {invoice.number}, {invoice.balance.status.value}", total)
        )
    for receipt in account.receipts:
        if receipt.code is not None:
            amount = format_minor(receipt.payment.amount, account.currency)
            rows.append((str(receipt.on), 3, f"charge failed: {receipt.code}", amount))
    credited: dict[str, list[int]] = {}
    for note in account.credit_notes:
        credited.setdefault(str(note.issued_on)[:7], []).append(note.gross)
    for month, amounts in credited.items():
        days = [str(note.issued_on) for note in account.credit_notes if str(note.issued_on)[:7] == month]
        some = f"{len(amounts)} credit notes" if len(amounts) > 1 else "credit note"
        rows.append((min(days), 4, some, format_minor(sum(amounts), account.currency)))
    rows += _notices(engine, played)
    for day, state in account.dunning[1:]:
        rows.append((str(day), 5, f"dunning: {state}", ""))
    table = Table("day", "what happened", title=title, title_justify="left")
    table.add_column("", justify="right")
    before = ""
    for shown, _, what, amount in sorted(rows, key=lambda row: row[:2]):
        table.add_row("" if shown == before else shown, what, amount)
        before = shown
    return table


def _notices(engine: Engine, played: PlayedOnClock) -> list[tuple[str, int, str, str]]:
    with transaction(engine) as connection:
        found = connection.execute(
            "select (f.due_at at time zone a.time_zone)::date::text, f.kind, f.about, f.outcome"
            " from follow_up f join account a on a.id = f.account_id"
            " where f.account_id = %s and f.outcome <> 'withdrawn' order by f.due_at, f.id",
            (played.account_id,),
        ).fetchall()
    rows = []
    for day, kind, about, outcome in found:
        if kind == "provisioning":
            what = f"access to {about['plan'] or 'nothing'} ({outcome})"
        elif kind == "shipment":
            what = f"delivery {about['delivery']} ({outcome})"
        else:
            what = f"notice: {about['notice'].replace('-', ' ')}"
        rows.append((day, 1, what, ""))
    return rows
