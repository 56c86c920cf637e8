"""`masthead payments`: charges of which nobody knows whether money moved, and what a person has seen of them."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table

from domain.money import format_minor
from operations.charges.looks import CannotResolve, Verdict, in_doubt, resolve
from operations.tariffs import Tariffs
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.charges import NoSuchCharge
from storage.database import make_engine, transaction

app = typer.Typer(no_args_is_help=True, help="Charges in doubt: list them, and say what you have seen.")


@app.command("unknown")
def unknown(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, oldest first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, amounts in minor units.")] = False,
) -> None:
    """List charges whose outcome is not known, with their age. They are asked for until it is, and neither charged
    again nor dunned meanwhile."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        with transaction(engine) as connection:
            found = in_doubt(connection, limit)
        engine.dispose()
    if as_json:
        print(json.dumps([each._asdict() for each in found], default=str))
    elif not found:
        wide_console().print("No charge is in doubt.")
    else:
        table = Table("id", "account", "amount", "gateway", "reference there", "age", "asked", "asked again")
        now = datetime.now(UTC)
        for each in found:
            again = f"{each.next_look_at:%Y-%m-%d %H:%M}" if each.next_look_at else ""
            cells = (
                each.id,
                each.account,
                format_minor(each.amount, each.currency),
                each.connection,
                each.reference,
                str(timedelta(seconds=int((now - each.since).total_seconds()))),
                str(each.looks),
                again,
            )
            table.add_row(*map(escape, cells))
        wide_console().print(table)


@app.command("resolve")
def resolve_one(
    charge: Annotated[
        UUID, typer.Argument(metavar="ID", help="The id, as `masthead payments unknown` prints it.")
    ],
    verdict: Annotated[Verdict, typer.Option("--as", help="What you have seen at the gateway.")],
    reason: Annotated[str, typer.Option(help="How you know; it goes into the audit table.")],
    gateway_id: Annotated[str, typer.Option(help="What the gateway calls the payment.")] = "",
    actor: Annotated[str, typer.Option(help="Who; your login name by default.")] = "",
) -> None:
    """Say how charge ID ended: charged (its invoices are paid), or not-charged (they may be charged again)."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        tariff = Tariffs(engine).current()
        try:
            with transaction(engine) as connection:
                came = resolve(
                    connection,
                    tariff,
                    str(charge),
                    verdict,
                    actor=actor or getpass.getuser(),
                    reason=reason,
                    now=datetime.now(UTC),
                    gateway_id=gateway_id or None,
                )
        except NoSuchCharge:
            raise UserError(
                f"there is no charge {charge}", remedy="See those in doubt: masthead payments unknown."
            ) from None
        except CannotResolve as error:
            raise UserError(str(error)) from None
        finally:
            engine.dispose()
    print(f"charge {charge} {came.status}" + ("" if came.changed else ", as it was already"))
