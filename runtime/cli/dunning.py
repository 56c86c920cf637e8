"""`masthead dunning`: which accounts are being dunned, what comes next, and holding and resuming it."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine
from uuid_utils import uuid7

from contracts.dunning import Hold, HoldKind, Release
from domain.money import format_minor
from operations.accounts.commands import CommandRefused, Outcome, accepted
from operations.dunning.holding import NoSuchCase, hold, release
from operations.tariffs import Tariff, Tariffs
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.database import PgConnection, make_engine, transaction
from storage.dunning import CaseRow, account_of_key, last_case, list_cases

app = typer.Typer(
    no_args_is_help=True, help="List accounts that are being dunned; note promises, pause and resume."
)

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's key, or its id.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit table.")]
Actor = Annotated[str, typer.Option(help="Who; your login name by default.")]
Until = Annotated[str, typer.Option(metavar="DATE", help="The last day of it, say 2026-12-10.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON, amounts in minor units.")]


@app.command("list")
def list_all(
    state: Annotated[str, typer.Option(help="Only those in this state of the dunning policy.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List accounts that are being dunned, with what is at risk and what comes next."""
    cases = _with_books(lambda connection: list_cases(connection, limit, None, state or None))
    if as_json:
        print(json.dumps([case._asdict() for case in cases], default=str))
    elif not cases:
        wide_console().print("Nobody is being dunned.")
    else:
        table = Table("account", "state", "at risk", "oldest due", "next", "retry", "held by")
        for case in cases:
            table.add_row(*map(escape, _cells(case)))
        wide_console().print(table)


@app.command("show")
def show(account: Account, as_json: AsJson = False) -> None:
    """Show the dunning of ACCOUNT: the case that is open, or the last one."""
    case = _with_books(lambda connection: last_case(connection, _account(connection, account)))
    if case is None:
        raise UserError(f"account {account} was never dunned")
    _print(case, as_json=as_json)


@app.command("promise")
def promise(
    account: Account, until: Until, reason: Reason, actor: Actor = "", as_json: AsJson = False
) -> None:
    """Note that ACCOUNT promised to pay by DATE: nothing escalates before."""
    _hold(account, HoldKind.PROMISE, until, reason, actor, as_json=as_json)


@app.command("pause")
def pause(
    account: Account, reason: Reason, until: Until = "", actor: Actor = "", as_json: AsJson = False
) -> None:
    """Dun ACCOUNT no further, through DATE or until it is resumed."""
    _hold(account, HoldKind.PAUSE, until, reason, actor, as_json=as_json)


@app.command("dispute")
def dispute(
    account: Account, reason: Reason, until: Until = "", actor: Actor = "", as_json: AsJson = False
) -> None:
    """Note that ACCOUNT denies the debt: it is dunned no further until that is settled."""
    _hold(account, HoldKind.DISPUTE, until, reason, actor, as_json=as_json)


@app.command("resume")
def resume(
    account: Account,
    reason: Reason,
    why: Annotated[str, typer.Option(help="promise, dispute or pause; all of them by default.")] = "",
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Let the dunning of ACCOUNT go on."""
    order = Release(
        why=_kind(why) if why else None, actor=actor or getpass.getuser(), reason=reason, id=str(uuid7())
    )
    _order(
        account,
        lambda books, tariff, own: release(books, tariff, own, order, datetime.now(UTC)),
        as_json=as_json,
    )


def _hold(account: str, why: HoldKind, until: str, reason: str, actor: str, *, as_json: bool) -> None:
    try:
        day = date.fromisoformat(until) if until else None
    except ValueError:
        raise UserError(f"--until: {until!r} is not a date", remedy="Write it like 2026-12-10.") from None
    order = Hold(why=why, until=day, actor=actor or getpass.getuser(), reason=reason, id=str(uuid7()))
    _order(
        account,
        lambda books, tariff, own: hold(books, tariff, own, order, datetime.now(UTC)),
        as_json=as_json,
    )


def _order(account: str, act: Callable[[PgConnection, Tariff, str], Outcome], *, as_json: bool) -> None:
    def work(engine: Engine) -> CaseRow | None:
        tariff = Tariffs(engine).current()
        with transaction(engine) as connection:
            own = _account(connection, account)
            outcome = act(connection, tariff, own)
        accepted(outcome)
        with transaction(engine) as connection:
            return last_case(connection, own)

    try:
        case = _with_engine(work)
    except NoSuchCase:
        raise UserError(
            f"account {account} is not being dunned", remedy="See who is: masthead dunning list."
        ) from None
    except CommandRefused as refused:
        raise UserError(str(refused)) from None
    if case is not None:
        _print(case, as_json=as_json)


def _kind(name: str) -> HoldKind:
    try:
        return HoldKind(name)
    except ValueError:
        raise UserError(f"--why: {name!r} is none of {', '.join(HoldKind)}") from None


def _account(connection: PgConnection, key: str) -> str:
    found = account_of_key(connection, key)
    if found is None:
        raise UserError(f"there is no account {key!r}", remedy="Give its key or its id.")
    return found


def _with_books(read: Callable[[PgConnection], Any]) -> Any:
    def work(engine: Engine) -> Any:
        with transaction(engine) as connection:
            return read(connection)

    return _with_engine(work)


def _with_engine(work: Callable[[Engine], Any]) -> Any:
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            return work(engine)
        finally:
            engine.dispose()


def _cells(case: CaseRow) -> list[str]:
    return [
        case.account_id,
        case.state if case.outcome is None else f"closed: {case.outcome}",
        format_minor(case.amount, case.currency),
        str(case.oldest_due_on or ""),
        f"{case.next_at:%Y-%m-%d %H:%M}" if case.next_at else "",
        f"{case.retry_at:%Y-%m-%d %H:%M}" if case.retry_at else "",
        ", ".join(why + (f" to {hold['until']}" if hold.get("until") else "") for why, hold in case.holds.items()),
    ]  # fmt: skip


def _print(case: CaseRow, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(case._asdict(), default=str))
        return
    names = ("account", "state", "at risk", "oldest due", "next", "retry", "held by")
    for name, cell in zip(names, _cells(case), strict=True):
        print(f"{name:<11} {cell or '-'}")
    for why, each in case.holds.items():
        print(f"{why:<11} by {each.get('by') or '-'}: {each.get('reason') or '-'}")
