"""`masthead reconcile`: what the gateways have done since the backup that was restored."""

from __future__ import annotations

import asyncio
import getpass
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.cli.connector_calls import opened
from runtime.cli.errors import CommandFailed, UserError
from runtime.settings import Settings, load_settings
from runtime.stack.client import ensure_stack

if TYPE_CHECKING:
    from runtime.backup.reconciling import Reconciled


def reconcile(
    release: Annotated[
        bool, typer.Option("--release", help="End the hold also where a gateway could not tell all.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it goes into the audit table.")] = "",
    actor: Annotated[str, typer.Option(help="Who; your login name by default.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """After a restore: ask each payment gateway what happened since the backup, and write it into the books.

    Charges that were made after the backup become payments, open checkouts go on by what was answered, and money that
    belongs to nothing here is parked with amount and reference. Nothing is sent, charged or given back.

    When every gateway has told all, external writes are released. Exit code 1 while they stay held.
    """
    if release and not reason.strip():
        raise UserError(
            "--release needs a --reason",
            remedy="Say how you know what the gateways have done since the backup.",
        )
    settings = load_settings()
    with ensure_stack(settings, workers=False) as stack:
        chosen = settings.model_copy(update={"database_url": stack.database_url})
        done = asyncio.run(
            _reconciled(chosen, actor or getpass.getuser(), reason.strip() if release else None)
        )
    print(json.dumps(_data(done))) if as_json else _tell(done)
    if done.hold is not None and not done.released:
        raise CommandFailed(
            "external writes stay held",
            remedy="Repair what is said above and repeat it, or look yourself and --release.",
        )


async def _reconciled(settings: Settings, actor: str, release_because: str | None) -> Reconciled:
    from runtime.backup.reconciling import reconcile as ask
    from storage.database import make_engine

    connections = opened(settings)
    engine = make_engine(settings.database_url or "")
    try:
        return await ask(
            engine, connections, actor=actor, now=datetime.now(UTC), release_because=release_because
        )
    finally:
        await connections.aclose()
        engine.dispose()


def _data(done: Reconciled) -> dict[str, Any]:
    return {
        "held": done.hold is not None and not done.released,
        "since": done.hold.since.isoformat() if done.hold else None,
        "gateways": [
            {"connection": each.gateway, "found": each.counts, "troubles": each.troubles}
            for each in done.asked
        ],
    }


def _tell(done: Reconciled) -> None:
    if done.hold is None:
        print("Nothing is held: no restore waits for the gateways.")
        return
    print(f"{done.hold.reason}; asked for what happened since")
    for each in done.asked:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(each.counts.items())) or "no payments"
        print(f"{each.gateway}: {counts}")
        for found in each.found:
            if found.words:
                print(f"  {found.what}: {found.words}")
        for trouble in each.troubles:
            print(f"  PROBLEM: {trouble}")
    if not done.asked:
        print("No payment gateway is connected.")
    if done.released:
        print("External writes are released. `masthead errors` shows what a person has to decide.")
