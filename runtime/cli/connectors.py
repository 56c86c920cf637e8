"""`masthead connectors`: which there are, whether they answer, and whether they keep the contract."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from connectors.sdk.capabilities.capability import capabilities_of
from connectors.sdk.connector import Connector, declared
from connectors.sdk.idempotency import ByFind, Idempotency, Native
from connectors.sdk.registry import Installed, installed
from runtime.cli.connector_authorise import authorise
from runtime.cli.connector_calls import check, try_method
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.cli.webhooks import webhook_app
from runtime.conformance import NoStandIn, judged, stand_ins
from runtime.connector_template import CAPABILITIES, TemplateError, write_connector
from runtime.live_checks import NEVER, last_live_checks
from runtime.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Connectors: list, check, try, judge and begin one.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
COLORS = {"green": "green", "red": "bold red", "not applicable": "dim"}


def spoken(idempotency: Idempotency) -> str:
    """What a write declares, in words."""
    if isinstance(idempotency, Native):
        return "keeps keys for ever" if idempotency.ttl is None else f"keeps keys for {idempotency.ttl}"
    if isinstance(idempotency, ByFind):
        return f"looked up by {idempotency.find}, after {idempotency.lag}"
    return "never sent again"


def _facts(found: Installed) -> dict[str, Any]:
    connector = found.connector
    if connector is None:
        return {"name": found.name, "origin": found.origin, "problem": found.problem}
    return {
        "origin": found.origin,
        "name": connector.name,
        "title": connector.title,
        "capabilities": [capability.capability for capability in capabilities_of(connector)],
        "transport": connector.transport,
        "writes": {name: spoken(idempotency) for name, idempotency in declared(connector).items()},
        "answers_later": sorted(connector.answers_later),
        "cannot_answer": dict(connector.cannot_answer),
        "webhooks": connector.webhooks,
        "stand_in": connector.name in stand_ins(),
        "configuration": connector.Config.model_json_schema(),
    }


@app.command("list")
def list_connectors(as_json: AsJson = False) -> None:
    """Which connectors are installed, what they can do, and what each write declares about being sent twice."""
    found = [_facts(each) for each in installed()]
    if as_json:
        print(json.dumps(found))
        return
    table = Table("connector", "can do", "writes", "webhooks", "stand-in")
    for facts in found:
        if "problem" in facts:
            table.add_row(facts["name"], f"[red]cannot be used: {facts['problem']}[/]", facts["origin"])
            continue
        later = facts["answers_later"]
        writes = "\n".join(
            f"{name}: {told}{', outcome by webhook' if name in later else ''}"
            for name, told in facts["writes"].items()
        )
        table.add_row(
            f"[bold]{facts['name']}[/]\n{facts['title']}",
            "\n".join(facts["capabilities"]),
            writes,
            facts["webhooks"] or "",
            "yes" if facts["stand_in"] else "none",
        )
    wide_console().print(table)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits and _.")],
    capability: Annotated[
        str, typer.Option("--capability", "-c", help=f"What it can do: {', '.join(CAPABILITIES)}.")
    ],
    folder: Annotated[
        Path | None, typer.Option("--path", help="Where to put it; by default ./masthead-NAME.")
    ] = None,
) -> None:
    """Begin a connector: a package with its class, its test, and the commands to run them. It is green at once.

    It speaks the reference protocol to the reference stand-in; change it call by call into your vendor's.
    """
    target = folder or Path(f"masthead-{name.replace('_', '-')}")
    try:
        written = write_connector(name, capability, target)
    except TemplateError as error:
        raise UserError(str(error), remedy="Nothing was written.") from None
    for path in written:
        print(f"  {path}")
    print(
        f"\nNow:\n  pip install --no-deps -e {target}\n  pytest {target}\n  masthead connectors matrix {name}"
    )


@app.command("matrix")
def matrix(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CONNECTOR]...", help="By default all.")
    ] = None,
    only: Annotated[str, typer.Option(help="Only cases whose name has this in it, as in 'drop_after'.")] = "",
    as_json: AsJson = False,
) -> None:
    """Run every law and every cell of the fault matrix, each connector beside its stand-in, over real sockets.

    Green: it holds. Red: it does not, and why. Exit code 1 when one is red.
    """
    chosen = _chosen(names or [])
    console = wide_console()
    rows: list[dict[str, str]] = []
    for connector in chosen:
        try:
            for each in judged(connector, only):
                result = each.result
                rows.append(
                    {
                        "connector": connector.name,
                        "group": result.case.group,
                        "case": result.case.name,
                        "result": result.outcome,
                        "detail": result.detail,
                    }
                )
                _tell(connector.name, each.number, each.of, quiet=as_json)
        except NoStandIn as error:
            rows.append(
                {
                    "connector": connector.name,
                    "group": "laws",
                    "case": "has a stand-in",
                    "result": "red" if names else "not applicable",
                    "detail": str(error),
                }
            )
    counts = Counter(row["result"] for row in rows)
    checks = last_live_checks(load_settings())
    if as_json:
        live = {connector.name: checks.get(connector.name, NEVER) for connector in chosen}
        print(json.dumps({"cells": rows, "counts": dict(counts), "last_live_check": live}))
    else:
        _show(rows, checks, console)
    if counts["red"]:
        raise CommandFailed(
            f"{counts['red']} of {len(rows)} cells are red",
            remedy="`--only NAME` runs one alone; the text beside it says what the hub would have met.",
        )


def _chosen(names: list[str]) -> list[type[Connector[Any]]]:
    there = {each.name: each.connector for each in installed() if each.connector is not None}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UserError(
            f"no connector is called {', '.join(unknown)}",
            remedy=f"Installed are: {', '.join(sorted(there))}. `masthead connectors list` shows them.",
        )
    return [there[name] for name in names] if names else list(there.values())


def _tell(name: str, number: int, of: int, *, quiet: bool) -> None:
    if not quiet and sys.stderr.isatty():
        print(f"\r{name}: {number} of {of} ", end="" if number < of else "\n", file=sys.stderr, flush=True)


def _show(rows: list[dict[str, str]], checks: Mapping[str, str], console: Any) -> None:
    groups = ("laws", "capability", "webhooks", "faults")
    table = Table("connector", *groups, "red", "last live check", title="green / all that apply")
    for name in dict.fromkeys(row["connector"] for row in rows):
        mine = [row for row in rows if row["connector"] == name]
        cells = []
        for group in groups:
            counts = Counter(row["result"] for row in mine if row["group"] == group)
            applies = counts["green"] + counts["red"]
            color = "red" if counts["red"] else "green"
            cells.append(f"[{color}]{counts['green']} / {applies}[/]" if applies else "")
        reds = sum(row["result"] == "red" for row in mine)
        table.add_row(name, *cells, f"[bold red]{reds}[/]" if reds else "", checks.get(name, NEVER))
    console.print(table)
    for row in rows:
        if row["result"] == "red":
            console.print(
                f"[bold red]red[/] {row['connector']} {row['case']}\n    {row['detail']}", highlight=False
            )


app.command("check")(check)
app.command("authorise")(authorise)
app.command("try")(try_method)
app.add_typer(webhook_app, name="webhook")


@app.command("keygen")
def keygen() -> None:
    """Print a new key for MASTHEAD_SECRET_KEY, with which stored tokens and secrets are encrypted, or for
    MASTHEAD_PAYLOAD_KEY, with which Temporal's payloads are.

    To replace a key put the new one before the old, separated by a comma: the first encrypts, all decrypt.
    """
    from storage.encryption import new_key

    print(new_key())
