"""`masthead simulate`: play a scenario in memory and show what it comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from domain.simulation.play import play
from domain.simulation.report import report
from domain.simulation.scenario import Scenario
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.story import tell
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
        tell(wide_console(), source.scenario.title or str(file), found)
    if found["broken_laws"]:
        raise CommandFailed(
            f"a law of the books does not hold: {found['broken_laws'][0]}",
            remedy="This is a mistake in Masthead, not in your scenario: report it with the scenario.",
        )
