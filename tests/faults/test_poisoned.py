"""Accounts that cannot be billed: they are parked with reason and remedy, the rest is billed, and once repaired they
are billed alone."""

from __future__ import annotations

import psycopg
import pytest

from bench.memory import peak_rss_mb
from contracts.bill_run import RunStatus
from runtime.bill_runs import RunHandle
from tests.faults.books import check_books, rows, value
from tests.faults.conftest import Chunks, Fleets, Runs, Workers
from tests.faults.fleet import DUE, GROUP, owing, selected

NO_PRICE, TOO_LARGE, HEAVY_READER = "acct-0000004", "acct-0000045", "acct-0000093"
MEGABYTES = 300
PARKS = """
    select a.external_key, p.error_kind, p.message <> '', p.remedy, p.times from parked p
    join account a on a.id = p.account_id where p.resolved_at is null order by 1
"""
OVERRIDE = """
    update subscription_item i set price_override = %s from subscription s
    where s.id = i.subscription_id and s.external_key = %s
"""
USAGE = """
    insert into usage_record (id, item_id, meter_code, at, quantity, key)
    select uuidv7(), i.id, 'articles', timestamptz '2026-11-05 00:00+00' + n * interval '1 second', 1, 'heavy-' || n
    from subscription s join subscription_item i on i.subscription_id = s.id, generate_series(1, %s) n
    where s.external_key = %s
"""
USED = """
    select l.quantity from invoice_line l join invoice i on i.id = l.invoice_id join account a on a.id = i.account_id
    where a.external_key = %s and l.kind = 'usage'
"""


def poison(url: str, usage: int) -> None:
    """One account without a price in its currency, one with a price that no invoice line can hold, and one with
    `usage` usage records."""
    with psycopg.connect(url) as connection:
        connection.execute("update account set currency = 'GBP' where external_key = %s", (NO_PRICE,))
        connection.execute(OVERRIDE, (10**14, TOO_LARGE))
        # Without the checks of foreign keys, which here cost more than all the rest.
        connection.execute("set local session_replication_role = replica")
        connection.execute(USAGE, (usage, HEAVY_READER))


def repair(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update account set currency = 'USD' where external_key = %s", (NO_PRICE,))
        connection.execute(OVERRIDE, (1500, TOO_LARGE))


async def attempts(handle: RunHandle) -> set[int]:
    """At which attempts the run's activities succeeded."""
    history = await handle.fetch_history()
    started = [event.activity_task_started_event_attributes for event in history.events]
    return {each.attempt for each in started if each.attempt}


@pytest.mark.parametrize(
    ("accounts", "usage"),
    [(1_000, 200_000), pytest.param(10_000, 1_000_000, marks=[pytest.mark.deep, pytest.mark.timeout(600)])],
)
async def test_poisoned_accounts_are_parked_and_billed_once_repaired(
    accounts: int, usage: int, fleets: Fleets, workers: Workers, runs: Runs
) -> None:
    url = fleets.fresh(accounts)
    poison(url, usage)
    worker = workers.start(url)
    handle = await runs.start(chunk_size=0)
    result = await runs.result(handle)
    assert result.status is RunStatus.COMPLETED_WITH_PARKED
    assert (result.selected, result.parked, result.invoices) == (selected(accounts), 2, owing(accounts) - 2)
    assert result.invoices + result.nothing_due + result.parked == result.selected
    # Nothing was tried twice: not for a refused row, and not for a heartbeat that came late.
    assert await attempts(handle) == {1}
    remedy = (
        "Correct the account's subscription or the catalog, then: masthead bill-run --parked --as-of DATE"
    )
    assert rows(url, PARKS) == [
        (NO_PRICE, "MoneyError", True, remedy, 1),
        (TOO_LARGE, "CheckViolation", True, remedy, 1),
    ]
    used = value(url, USED, HEAVY_READER)
    assert used >= usage
    check_books(url, invoices=owing(accounts) - 2)
    assert peak_rss_mb(worker.pid) < MEGABYTES

    still = await runs.result(await runs.start("parked"))
    assert (still.status, still.selected, still.parked) == (RunStatus.COMPLETED_WITH_PARKED, 2, 2)
    assert [row[-1] for row in rows(url, PARKS)] == [2, 2]
    repair(url)
    repaired = await runs.result(await runs.start("parked"))
    assert (repaired.status, repaired.selected, repaired.invoices) == (RunStatus.COMPLETED, 2, 2)
    assert rows(url, PARKS) == []
    assert rows(url, "select distinct resolution from parked") == [("billed",)]
    for name in ("parked", "all"):
        nothing = await runs.result(await runs.start(name))
        assert (nothing.selected, nothing.invoices) == (0, 0)
    check_books(url, invoices=owing(accounts))


def test_a_charge_that_stands_though_the_dates_deny_it_is_parked(fleets: Fleets) -> None:
    """Dates set back by hand would bill a period again; the database refuses the line, and nobody is billed twice."""
    url = fleets.fresh(GROUP)
    first = Chunks(url)
    first.bill(wait=False)
    first.finish()
    with psycopg.connect(url) as connection:
        connection.execute(
            "update subscription set next_bill_on = %s, charged_through = %s, version = version + 1"
            " where external_key in ('acct-0000004', 'acct-0000005')",
            (DUE, DUE),
        )
    second = Chunks(url)
    assert second.bill(wait=False).parked == 2
    assert second.finish()["status"] == "completed_with_parked"
    assert [row[1] for row in rows(url, PARKS)] == ["UniqueViolation"] * 2
    assert value(url, "select count(*) from invoice") == owing(GROUP)
