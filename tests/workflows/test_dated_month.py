"""A month of an imported fleet, its days passing: what is dated happens on its day, by a timer, and everything else is
quiet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bench.import_rows import EXAMPLES, write_rows
from contracts.subscription import HORIZON
from domain.import_map import ImportMap
from domain.periods import local_date, start_of_day
from operations.catalog import load_catalog
from operations.dispatch import due_page
from operations.imports.run import ImportRequest, import_file
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.faults.books import rows
from tests.operations.billed import bill
from tests.workflows.skipping import time_skipping
from tests.workflows.test_subscription import Watched, start, worker

COUNT, DATED = 120, 3
IMPORTED = date(2026, 12, 1)


def fleet(url: str, folder: Path, today: date) -> dict[str, tuple[date, ZoneInfo]]:
    """Import quiet subscribers, and let some end within the month, days apart; when and where each of those ends."""
    file, engine = folder / "subscribers.csv", make_engine(url)
    write_rows(file, COUNT)
    load_catalog(engine, read_catalog_file(EXAMPLES / "catalog.yaml").catalog)
    reading = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
    assert import_file(engine, ImportRequest(file, reading, IMPORTED)).imported == COUNT
    engine.dispose()
    rows(url, "update subscription set next_due = null, ends_on = null, trial_ends_on = null returning id")
    ending = (
        "with chosen as (select id, row_number() over (order by id) as no from subscription order by id limit %s)"
        " update subscription s set ends_on = %s::date + 10 * chosen.no::int, version = s.version + 1,"
        " next_due = (%s::date + 10 * chosen.no::int)::timestamp at time zone a.time_zone"
        " from chosen, account a where s.id = chosen.id and a.id = s.account_id"
        " returning s.id::text, s.ends_on, a.time_zone"
    )
    return {own: (day, ZoneInfo(zone)) for own, day, zone in rows(url, ending, DATED, today, today)}


async def test_each_dated_change_of_the_month_happens_on_its_day_and_nothing_else(
    pg_server: PostgresForTests, tmp_path: Path
) -> None:
    url = pg_server.fresh_database("dated_month")
    now = datetime.now(UTC)
    dated = fleet(url, tmp_path, local_date(now, ZoneInfo("UTC")))
    books = Watched(url)
    engine = make_engine(url)
    quiet = "select id::text, status, version from subscription where not id = any(%s::uuid[]) order by id"
    before = rows(url, quiet, list(dated))
    page, _ = due_page(engine, after=None, until=now + HORIZON, limit=1000)
    assert sorted(each.subscription_id for each in page) == sorted(dated)
    for each in page:
        ends, zone = dated[each.subscription_id]
        # A server each: it has one clock, which jumps to the far end of a workflow that is through.
        async with time_skipping() as server, worker(server.client, books) as queue:
            result = await (await start(server.client, each.subscription_id, queue)).result()
        assert (result.status, result.settled) == ("expired", 1)
        late = books.settled_at[-1] - start_of_day(ends, zone)
        assert timedelta(0) <= late < timedelta(minutes=1)
    assert len(books.settled_at) == DATED
    changed = (
        "select subject_id::text, count(*) from event_log where kind = 'subscription.changed' group by 1"
    )
    assert dict(rows(url, changed)) == dict.fromkeys(dated, 1)
    assert rows(url, quiet, list(dated)) == before
    bill(engine, max(day for day, _ in dated.values()))
    over = (
        "select count(*) from invoice_line l join subscription_item i on i.id = l.item_id"
        " join subscription s on s.id = i.subscription_id where l.kind = 'recurring' and l.period_end > s.ends_on"
    )
    assert rows(url, over) == [(0,)]
    engine.dispose()
