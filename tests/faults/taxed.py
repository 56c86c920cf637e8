"""A fleet that a tax engine taxes: AvaTax's stand-in in this process, and workers that reach it over real sockets."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from temporalio.client import Client
from temporalio.worker import Worker

from activities.bill_run import BillRunActivities
from activities.parked import ParkedActivities
from activities.tax_quotes import TaxQuotes
from contracts.names import CALL_QUEUE, TASK_QUEUE
from runtime import registry
from runtime.connections import Connections
from runtime.settings import load_settings
from runtime.taxing import bill_run_taxes, running_taxing, tax_uses
from sandbox.avatax.stand_in import AvaTaxStandIn
from storage.database import make_engine
from tests.faults.books import rows, value
from tests.faults.conftest import Fleets, Workers, until
from tests.faults.fleet import GROUP

QUOTES, RECORDS = "/api/v2/transactions/create", "/api/v2/transactions/createoradjust"
CONFIG = """
connections:
  avatax:
    connector: avalara
    mode: test
    rate: 2000/s
    config: {{account: "1100000000", license_key: "env:AVATAX_KEY", base_url: "{url}"}}
tax:
  live:
    connection: avatax
    when_away: {when_away}
    seller: {{line1: 620 8th Ave, city: New York, region: NY, postal_code: "10018", country: US}}
    codes: {{news: PN010000, paper: PN020000}}
"""
DOCUMENTS = "select status, count(*) from tax_document group by status order by status"
PENDING = "select count(*) from parked where error_kind = 'tax_pending' and resolved_at is null"


class Taxed:
    """One database and its engine."""

    def __init__(self, fleets: Fleets, workers: Workers, folder: Path, stand_in: AvaTaxStandIn) -> None:
        self.url = fleets.fresh(GROUP * 2)
        self.engine = stand_in
        self._workers = workers
        self.file = folder / "masthead.yaml"
        self.configure()
        with psycopg.connect(self.url) as connection:
            connection.execute("update account set tax_region = 'US-NY' where tax_region = 'US-XX'")
            # Some have a whole address: it says more than the tax region does.
            connection.execute(
                "insert into person (account_id, address) select id, %s from account where external_key like '%%3'",
                (
                    json.dumps(
                        {
                            "line1": "17 Canary Wharf Steps",
                            "city": "Austin",
                            "region": "TX",
                            "postal_code": "78701",
                            "country": "US",
                        }
                    ),
                ),
            )

    def configure(self, when_away: str = "wait") -> None:
        """Write the configuration of workers that are started from now on."""
        self.file.write_text(CONFIG.format(url=self.engine.base_url, when_away=when_away))

    def work(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self._workers.start(
            self.url,
            soon_noticed=True,
            MASTHEAD_CONFIG=str(self.file),
            AVATAX_KEY="sandbox-licence",
            **environment,
        )

    @asynccontextmanager
    async def working(self, client: Client, *, keeping: bool = True) -> AsyncIterator[None]:
        """A worker in this process, put together as in a process of its own."""
        settings = load_settings(database_url=self.url, config_file=self.file, temporal_address="127.0.0.1:1")
        uses = tax_uses(settings)
        connections = Connections.of(settings)
        database = make_engine(self.url)
        with ThreadPoolExecutor(4) as threads:
            worker = Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=registry.WORKFLOWS,
                activities=[
                    *BillRunActivities(
                        database, bill_run_taxes(TaxQuotes(database, connections.open, uses))
                    ).all(),
                    *ParkedActivities(database).all(),
                ],
                activity_executor=threads,
                max_concurrent_activities=4,
                max_heartbeat_throttle_interval=timedelta(seconds=0.5),
            )
            calls = Worker(
                client, task_queue=CALL_QUEUE, activities=registry.build_calls(database, connections.open)
            )
            try:
                async with worker, calls:
                    if keeping:
                        async with running_taxing(client, database, connections, uses):
                            yield
                    else:
                        yield
            finally:
                await connections.aclose()
                database.dispose()

    def invoices(self) -> int:
        """How many are posted."""
        return int(value(self.url, "select count(*) from invoice"))

    def documents(self) -> dict[str, int]:
        """How many documents the hub has, by status."""
        return dict(rows(self.url, DOCUMENTS))

    async def until_committed(self, count: int) -> None:
        """Wait until so many documents are committed, and none is left."""
        await until(f"{count} tax documents are committed", lambda: self.documents() == {"committed": count})

    def recorded(self) -> dict[str, int]:
        """What the engine has, by its own count: code to tax in minor units."""
        return {
            code: int(total)
            for code, total in (
                (document.code, sum(line.tax for line in document.lines) * _unit(document.sale.currency))
                for document in self.engine.documents.all()
            )
        }

    def charged(self) -> dict[str, int]:
        """The tax of each invoice, by its number."""
        return dict(rows(self.url, "select series || '-' || number, tax from invoice"))

    def check_recorded_once(self) -> None:
        """The engine has just our invoices, each recorded and committed once, with the tax that was charged."""
        charged = self.charged()
        assert self.recorded() == charged
        for code in charged:
            assert self.engine.count("tax_document", f"{code}:recorded") == 1, code
            assert self.engine.count("tax_document", f"{code}:committed") == 1, code

    def parks(self) -> list[dict[str, Any]]:
        """What is parked in the open."""
        found = rows(
            self.url,
            "select kind, error_kind, message, remedy, times from parked where resolved_at is null order by opened_at",
        )
        return [
            dict(zip(("kind", "error_kind", "message", "remedy", "times"), row, strict=True)) for row in found
        ]


def _unit(currency: str) -> int:
    return 1 if currency == "JPY" else 100


@contextmanager
def engine() -> Iterator[AvaTaxStandIn]:
    """The stand-in, started."""
    with AvaTaxStandIn() as stand_in:
        yield stand_in
