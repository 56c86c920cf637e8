"""`masthead clock`: test clocks, on which a year of test accounts passes in seconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from sqlalchemy import Engine
from temporalio.client import Client, WorkflowUpdateFailedError

from contracts.test_clock import Clock
from domain.account.terms import AccountTerms, TaxTerms
from operations.test_clocks.clocks import (
    ClockAccount,
    ClockRefused,
    NoSuchClock,
    attach_accounts,
    create_clock,
    end_clock,
    list_clocks,
    read_clock,
    set_declines,
)
from runtime.cli.clock_play import play_scenario
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.clock_play import ClockFailed, wait_for_clock
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.temporal import connect
from storage.database import make_engine, transaction
from storage.test_clocks import episodes_of
from workflows.clock_starts import advance_clock, tell_episodes

app = typer.Typer(no_args_is_help=True, help="Test clocks: let test accounts live a year in seconds.")

Answer = TypeVar("Answer")
Name = Annotated[str, typer.Argument(metavar="CLOCK", help="The clock's name or id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
LONGEST_SECONDS = 24 * 3600


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the clock is called.")],
    at: Annotated[
        str, typer.Option(metavar="INSTANT", help="What time it is: 2026-01-05, or 2026-01-05T09:00Z.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a clock. The same again is the same clock."""
    instant = _instant(at)
    with _books() as (engine, _):
        _print(_do(lambda: create_clock(engine, name, instant)), as_json)


@app.command()
def attach(
    clock: Name,
    key: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's external key.")],
    currency: Annotated[
        str | None, typer.Option(help="Create a test account in it; left out, one that is there joins.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Of a new account.")] = "UTC",
    tax_region: Annotated[str | None, typer.Option(help="Of a new account: a region of the catalog.")] = None,
    rule_book: Annotated[
        str | None, typer.Option(help="Of a new account: `masthead rules load --name`.")
    ] = None,
    auto_pay: Annotated[bool, typer.Option(help="Of a new account: whether invoices are charged.")] = True,
) -> None:
    """Let a test account live by the clock, for ever."""
    terms = None
    if currency is not None:
        try:
            terms = AccountTerms(
                currency=currency, timezone=time_zone, tax=TaxTerms(region=tax_region), auto_pay=auto_pay
            )
        except ValidationError as error:
            raise UserError("; ".join(each["msg"] for each in error.errors())) from None
    account = ClockAccount(external_key=key, terms=terms, rule_book=rule_book)
    with _books() as (engine, _):
        own = _do(lambda: attach_accounts(engine, read_clock(engine, clock).id, [account]))
    print(own[0])


@app.command()
def decline(
    clock: Name,
    key: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's external key or id.")],
    days: Annotated[
        list[str], typer.Argument(metavar="DAY...", help="Local days on which charges fail; none: -.")
    ],
    code: Annotated[str, typer.Option(help="The gateway's decline code.")] = "insufficient_funds",
) -> None:
    """Let charges of an account fail on some days; these take the place of those before."""
    try:
        wanted = {date.fromisoformat(day): code for day in days if day != "-"}
    except ValueError as error:
        raise UserError(str(error), remedy="Write a day like 2026-02-05.") from None
    with _books() as (engine, _):
        _do(lambda: set_declines(engine, read_clock(engine, clock).id, key, wanted))


@app.command()
def advance(
    clock: Name,
    to: Annotated[
        str, typer.Option(metavar="INSTANT", help="Where to go on to: 2026-02-05, or 2026-02-05T09:00Z.")
    ],
    as_json: AsJson = False,
) -> None:
    """Let the clock's time pass, and wait until it stands there.

    It goes on if this command is interrupted; the same command again joins it.
    """
    instant = _instant(to)
    with _books(workers=True) as (engine, stack):
        found = _do(lambda: read_clock(engine, clock))

        async def go() -> Clock:
            client = await connect(stack.temporal_address, stack.namespace)
            return await _advance(engine, client, found, instant)

        _print(asyncio.run(go()), as_json)


async def _advance(engine: Engine, client: Client, clock: Clock, to: datetime) -> Clock:
    try:
        await advance_clock(client, clock.id, to)
    except WorkflowUpdateFailedError as error:
        raise CommandFailed(str(error.cause)) from error
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("accounts"))
    with Progress(*columns, console=wide_console(), transient=True) as bar:
        task = bar.add_task(f"to {to:%Y-%m-%d %H:%M} UTC", total=clock.accounts or None)

        def told(now: Clock) -> None:
            bar.update(task, completed=now.arrived, total=now.accounts)

        try:
            return await wait_for_clock(engine, clock.id, to, seconds=LONGEST_SECONDS, told=told)
        except ClockFailed as error:
            raise CommandFailed(
                str(error), remedy="What is played stays. Advanced again, it goes on."
            ) from None


@app.command()
def show(clock: Name, as_json: AsJson = False) -> None:
    """One clock: what time it is, and how far its accounts are."""
    with _books() as (engine, _):
        _print(_do(lambda: read_clock(engine, clock)), as_json)


@app.command("list")
def list_all(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest clocks."""
    with _books() as (engine, _):
        clocks = list_clocks(engine, after=None, limit=limit)
    if as_json:
        print(json.dumps([clock.model_dump(mode="json") for clock in clocks]))
        return
    wide_console().print(_table(clocks))


@app.command()
def end(clock: Name) -> None:
    """End a clock; its accounts stay test accounts."""
    with _books() as (engine, stack):
        ended = _do(lambda: end_clock(engine, read_clock(engine, clock).id))
        with transaction(engine) as connection:
            episodes = episodes_of(connection, ended.id)

        async def tell() -> None:
            await tell_episodes(await connect(stack.temporal_address, stack.namespace), episodes)

        asyncio.run(tell())
        _print(ended, False)


@app.command()
def play(
    scenario: Annotated[Path, typer.Argument(help="A scenario that bills every day.")],
    name: Annotated[
        str | None, typer.Option(help="What the clock is called; default: after the file.")
    ] = None,
) -> None:
    """Play a scenario on a clock of its own, and compare it with `masthead simulate`.

    Exit code 1 when they differ.
    """
    with _books(workers=True) as (engine, stack):

        async def go() -> bool:
            client = await connect(stack.temporal_address, stack.namespace)
            return await play_scenario(wide_console(), engine, client, scenario, name)

        if not asyncio.run(go()):
            raise typer.Exit(1)


@contextmanager
def _books(*, workers: bool = False) -> Iterator[tuple[Engine, Stack]]:
    with ensure_stack(load_settings(), workers=workers) as stack:
        engine = make_engine(stack.database_url)
        try:
            yield engine, stack
        finally:
            engine.dispose()


def _do(work: Callable[[], Answer]) -> Answer:
    try:
        return work()
    except NoSuchClock as error:
        raise UserError(str(error), remedy="`masthead clock list` names those there are.") from None
    except (ClockRefused, LookupError) as error:
        raise UserError(str(error)) from None


def _instant(text: str) -> datetime:
    """A day stands for its beginning in UTC; an instant without an offset is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{text!r} is no instant", remedy="Write 2026-02-05, or 2026-02-05T09:00+01:00."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _print(clock: Clock, as_json: bool) -> None:
    if as_json:
        print(json.dumps(clock.model_dump(mode="json"), indent=2))
        return
    wide_console().print(_table([clock]))
    if clock.problem:
        print(f"It cannot go on: {clock.problem}")


def _table(clocks: list[Clock]) -> Table:
    table = Table("clock", "name", "status", "stands at", "goes to")
    table.add_column("accounts there", justify="right")
    for clock in clocks:
        table.add_row(
            clock.id,
            clock.name,
            clock.status.value,
            f"{clock.frozen_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            f"{clock.target.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if clock.target else "",
            f"{clock.arrived} of {clock.accounts}",
        )
    return table
