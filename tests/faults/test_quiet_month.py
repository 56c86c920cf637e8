"""A hundred thousand imported subscribers and a month of bill runs: Temporal has the runs to do, and those whose dates
come near, and nothing else."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from bench.import_rows import EXAMPLES, write_rows
from domain.import_map import ImportMap
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, import_file
from operations.verify import verify
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.faults.books import rows, value
from tests.faults.conftest import Runs, Workers, until, until_it

FIRST = date(2026, 12, 1)
DATED = 30


def import_subscribers(url: str, folder: Path, count: int) -> None:
    """`count` of them, and `DATED` more whose end falls into the month, a day later each."""
    file = folder / "subscribers.csv"
    write_rows(file, count)
    engine = make_engine(url)
    load_catalog(engine, read_catalog_file(EXAMPLES / "catalog.yaml").catalog)
    reading = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
    summary = import_file(engine, ImportRequest(file, reading, FIRST))
    assert (summary.imported, summary.rejected) == (count, 0)
    engine.dispose()
    ending = (
        "with chosen as (select id, row_number() over (order by id) as no from subscription where next_due is null"
        " and interval_unit = 'month' limit %s)"
        " update subscription s set ends_on = %s::date + chosen.no::int, version = s.version + 1,"
        " next_due = (%s::date + chosen.no::int)::timestamp at time zone a.time_zone"
        " from chosen, account a where s.id = chosen.id and a.id = s.account_id returning s.id"
    )
    assert len(rows(url, ending, DATED, FIRST, FIRST)) == DATED


async def workflows(client: Client) -> Counter[str]:
    """How many workflows there are, by type."""
    return Counter([each.workflow_type async for each in client.list_workflows()])


@pytest.mark.deep
@pytest.mark.timeout(1500)
async def test_a_month_of_a_quiet_fleet(
    pg_server: PostgresForTests, workers: Workers, runs: Runs, tmp_path: Path
) -> None:
    url = pg_server.fresh_database("quiet")
    import_subscribers(url, tmp_path, 100_000)
    quiet = value(url, "select count(*) from subscription where next_due is null")
    assert quiet > 90_000
    before = await workflows(runs.client)
    workers.start(url)
    events = "select count(*) from event_log where kind = 'subscription.imported'"
    behind = (
        "select coalesce((select count(*) from event_log e where (e.xid, e.id) > (c.xid, c.id)), 1)"
        " from event_cursor c where name = 'dispatcher/imports'"
    )
    await until(
        f"the dispatcher has read {value(url, events)} imports",
        lambda: (found := rows(url, behind)) and found[0][0] == 0,
        600,
    )
    near = value(
        url,
        "select count(*) from subscription where next_due <= now() + interval '35 days'",
    )

    async def opened() -> bool:
        return (await workflows(runs.client))["Subscription"] - before["Subscription"] >= near

    await until_it(f"the {near} subscriptions with a date have their episodes", opened, 120)
    billed = 0
    for day in range(31):
        on = FIRST + timedelta(days=day)
        result = await runs.result(await runs.start(as_of=on, chunk_size=4000, heartbeat_seconds=30.0), 300)
        assert result.parked == 0
        billed += result.invoices
    assert billed > 50_000
    after = await workflows(runs.client)
    made = after - before
    # The sweep opens what is near, too, and finds it open.
    assert made["Subscription"] == near
    assert made["BillRun"] == 31
    assert set(made) <= {"Subscription", "BillRun", "Sweep"}
    # Nobody is charged for a day after the end, though no timer has come to it.
    over = (
        "select count(*) from invoice_line l join subscription_item i on i.id = l.item_id"
        " join subscription s on s.id = i.subscription_id where l.kind = 'recurring' and l.period_end > s.ends_on"
    )
    assert value(url, over) == 0
    engine = make_engine(url)
    assert [law.law for law in verify(engine) if not law.ok] == []
    engine.dispose()
