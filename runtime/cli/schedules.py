"""`masthead schedules`: what Temporal starts by itself, and when."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer
import uuid_utils
from rich.console import Console
from rich.table import Table
from temporalio.client import Client

from runtime.cli.errors import UserError
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack

app = typer.Typer(no_args_is_help=True, help="List, resume and pause what Temporal starts by itself.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="sweep, bill-run, payment-run or dunning.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the audit table.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]

_T = TypeVar("_T")


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the schedules."""
    from runtime.schedules import list_schedules

    with ensure_stack(load_settings(), workers=False) as stack:
        views = _on_temporal(stack, list_schedules)
    if as_json:
        print(json.dumps([asdict(view) for view in views], default=str))
        return
    table = Table("name", "state", "every", "runs", "last", "next")
    for view in views:
        times = [f"{at:%Y-%m-%d %H:%M}" if at else "" for at in (view.last_run, view.next_run)]
        state = "paused" if view.paused else "running"
        table.add_row(view.name, state, f"{view.every_seconds / 60:g} min", str(view.runs), *times)
    Console().print(table)
    for view in views:
        print(f"{view.name}: {view.note}")


@app.command("resume")
def resume(name: Name, reason: Reason = "asked on the command line", as_json: AsJson = False) -> None:
    """Let NAME start its work at its times."""
    _switch(name, paused=False, reason=reason, as_json=as_json)


@app.command("pause")
def pause(name: Name, reason: Reason = "asked on the command line", as_json: AsJson = False) -> None:
    """Let NAME start nothing until it is resumed; what is under way goes on."""
    _switch(name, paused=True, reason=reason, as_json=as_json)


def _switch(name: str, *, paused: bool, reason: str, as_json: bool) -> None:
    from operations.audit import record_action
    from runtime.schedules import NAMES, set_paused
    from storage.database import make_engine

    short = name.removeprefix("schedule/")
    if short not in NAMES:
        raise UserError(f"there is no schedule {name!r}", remedy=f"Use one of: {', '.join(NAMES)}.")
    action = "pause" if paused else "resume"
    actor = getpass.getuser()
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            record_action(
                engine,
                key=str(uuid_utils.uuid7()),
                actor=actor,
                action=action,
                subject=NAMES[short],
                reason=reason,
            )
        finally:
            engine.dispose()
        view = _on_temporal(
            stack,
            lambda client: set_paused(client, short, paused=paused, note=f"{action}d by {actor}: {reason}"),
        )
    if as_json:
        print(json.dumps(asdict(view), default=str))
    elif paused:
        print(f"{short} is paused. `masthead schedules resume {short}` lets it go on.")
    else:
        print(
            f"{short} runs every {view.every_seconds / 60:g} min, next at {view.next_run:%Y-%m-%d %H:%M} UTC."
        )


def _on_temporal(stack: Stack, work: Callable[[Client], Awaitable[_T]]) -> _T:
    from runtime.temporal import connect

    async def run() -> _T:
        return await work(await connect(stack.temporal_address, stack.namespace))

    return asyncio.run(run())
