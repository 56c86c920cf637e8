"""`masthead simulate`: play a scenario in memory and show what it comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from domain.money import format_minor
from domain.simulation.play import play
from domain.simulation.report import report
from domain.simulation.scenario import Scenario
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.scenario_source import read_scenario_file
from runtime.yaml_source import DocumentError

File = Annotated[Path | None, typer.Argument(metavar="SCENARIO.yaml", help="A scenario document.")]


def simulate(
    file: File = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; money in minor units.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of a scenario, each key explained.")
    ] = False,
) -> None:
    """Play what would happen: a timeline of one account, in memory, without database or Temporal.

    A scenario has an account, a catalog (or the path of one), a policy, and steps in order of time, such as
    `{at: 2026-01-16, do: change_plan, to: plus}`. It is billed by the same rules as a bill run. Shown are all
    invoices with their lines, credit notes, payments, states, the trial balance, and the steps that were refused.

    Examples lie in examples/scenarios; docs/billing.md explains them.
    """
    if schema:
        print(json.dumps(Scenario.model_json_schema(), indent=2))
        return
    if file is None:
        raise UserError(
            "no scenario was given",
            remedy="Name a file, say examples/scenarios/upgrade-mid-month.yaml, or --schema.",
        )
    try:
        source = read_scenario_file(file)
    except DocumentError as error:
        raise UserError(
            "\n".join(error.lines()), remedy="Nothing was played. Correct the file and play it again."
        ) from None
    found = report(play(source.scenario, source.catalog))
    for refused in found["refused"]:
        refused["line"] = source.lines[refused["step"] - 1]
    if as_json:
        print(json.dumps(found))
    else:
        _show(source.scenario, found, file)


def _show(scenario: Scenario, found: dict[str, Any], file: Path) -> None:
    console = wide_console()

    def money(minor: int) -> str:
        return format_minor(minor, found["currency"]).rsplit(" ", 1)[0]

    console.print(Text(scenario.title or str(file), style="bold"))
    console.print(f"through {found['through']}, in {found['currency']}\n")
    for invoice in found["invoices"]:
        _document(
            f"Invoice {invoice['number']} of {invoice['date']}, due {invoice['due_date']}: {invoice['status']}",
            invoice["lines"],
            [
                ("subtotal", invoice["subtotal"]),
                ("tax", invoice["tax"]),
                ("total", invoice["total"]),
                *(
                    (name.replace("_", " "), invoice[name])
                    for name in ("credit_used", "paid", "credited", "written_off")
                    if invoice[name]
                ),
                ("amount due", invoice["amount_due"]),
            ],
            money,
        )
    for note in found["credit_notes"]:
        _document(
            f"Credit note {note['number']} of {note['date']} on invoice {note['invoice']}: {note['reason']}",
            note["lines"],
            [("total", note["total"])],
            money,
        )
    _facts(found, money)


def _document(title: str, lines: list[dict[str, Any]], totals: list[tuple[str, int]], money: Any) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("", "plan", "from", "until", "quantity"):
        table.add_column(name)
    table.add_column("amount", justify="right")
    table.add_column("tax", justify="right")
    table.add_column("")
    for line in lines:
        place = line["corrects"]
        note = f"of invoice {place['invoice']}, line {place['line']}" if place else line.get("coupon") or ""
        table.add_row(
            line["kind"].replace("_", " "),
            line.get("plan") or "",
            line["start"] or "",
            line["end"] or "",
            line.get("quantity", ""),
            money(line["amount"]),
            money(line["tax"]),
            note,
        )
    for name, amount in totals:
        table.add_row(Text(name, style="dim"), "", "", "", "", money(amount), "", "")
    wide_console().print(table)
    wide_console().print()


def _facts(found: dict[str, Any], money: Any) -> None:
    console = wide_console()
    for payment in found["payments"]:
        code = f" ({payment['code']})" if payment["code"] else ""
        back = f", {money(payment['refunded'])} refunded" if payment["refunded"] else ""
        console.print(
            f"payment {payment['number']} of {payment['date']}: {money(payment['amount'])} "
            f"{payment['status']}{code}{back}"
        )
    for each in found["subscriptions"]:
        plans = ", ".join(f"{item['plan']} x {item['quantity']}" for item in each["items"])
        console.print(
            f"subscription {each['name']}: {each['state']}, {plans or 'nothing served'}, charged through "
            f"{each['charged_through']}, next bill {each['next_bill_on'] or 'none'}"
        )
    for gift in found["gifts"]:
        console.print(f"gift {gift['name']}: {gift['state']}")
    for each in found["dunning"][1:]:
        console.print(f"dunning: {each['state']} from {each['date']}")
    for each in found["happened"]:
        console.print(f"{each['date']}: {each['what']}")
    console.print(f"open {money(found['balance'])}, account credit {money(found['account_credit'])}")
    table = Table(title="Trial balance", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("account")
    table.add_column("debit", justify="right")
    table.add_column("credit", justify="right")
    for account, amount in found["trial_balance"].items():
        table.add_row(account, money(amount) if amount > 0 else "", money(-amount) if amount < 0 else "")
    console.print()
    console.print(table)
    for each in found["refused"]:
        console.print(
            Text(f"line {each['line']}: {each['do']} was refused: {each['reason']}", style="yellow")
        )
    for each in found["broken_laws"]:
        console.print(Text(f"a law of the books does not hold: {each}", style="bold red"))
