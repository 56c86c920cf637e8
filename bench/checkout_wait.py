"""How long a checkout waits for its invoice while a bill run posts thousands beside it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Engine

from bench.fleet import DUE, build_fleet
from bench.home import bench_home
from contracts.bill_run import BillRunRequest, BillRunResult
from operations.billrun.rate import rate_chunk, table_tax, tax_chunk
from operations.tariffs import Tariffs
from operations.verify import verify
from runtime.settings import Settings
from runtime.stack.client import Stack
from runtime.temporal import connect
from storage.billable import Target
from storage.database import transaction
from storage.posting import advance_subscriptions, copy_children, copy_invoices, lock_subscriptions
from workflows.starts import start_bill_run

LATER = date(2027, 1, 1)
PAUSE_SECONDS = 0.01
ALONE = 300


def post_single(engine: Engine, tariffs: Tariffs, account: str, day: date) -> float:
    """Bill one account alone, as a checkout does: rate, tax, and post in a transaction of its own. Answers the
    seconds from the first query to the commit. Raises ValueError when that account cannot be billed on `day`."""
    began = time.perf_counter()
    tariff = tariffs.current()
    with transaction(engine, read_only_snapshot=True) as connection:
        chunk = rate_chunk(connection, tariff.book, [account], Target(day, None), tariff.memo)
    tax_chunk(chunk, table_tax(tariff.taxes), tariff.memo)
    documents = [prepared.document for prepared in chunk.prepared if prepared.document is not None]
    advances = [advance for prepared in chunk.prepared for advance in prepared.advances]
    if len(documents) != 1:
        raise ValueError(f"account {account} has nothing to bill on {day}: {chunk.refused or 'nothing due'}")
    with transaction(engine) as connection:
        versions = lock_subscriptions(
            connection, [advance.subscription_id for advance in advances], skip_locked=False
        )
        if any(versions.get(advance.subscription_id) != advance.version for advance in advances):
            raise ValueError(f"account {account} changed while it was billed")
        copy_children(connection, documents)
        advance_subscriptions(connection, advances)
        copy_invoices(connection, "live", documents, None)
    return time.perf_counter() - began


def due_on(engine: Engine, day: date) -> list[str]:
    """The accounts with a subscription whose next billing day is `day`."""
    with transaction(engine) as connection:
        found = connection.execute(
            "select distinct account_id::text from subscription where next_bill_on = %s order by 1", (day,)
        )
        return [row[0] for row in found]


def checkouts(engine: Engine, accounts: Iterator[str], day: date, stop: threading.Event) -> list[float]:
    """Bill one account after the other until `stop` is set or none is left; answers the seconds of each."""
    tariffs = Tariffs(engine)
    waits = []
    for account in accounts:
        if stop.is_set():
            break
        waits.append(post_single(engine, tariffs, account, day))
        stop.wait(PAUSE_SECONDS)
    return waits


def bench_checkout_wait(settings: Settings, accounts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Post single invoices alone, then beside a run over `accounts` accounts, in a home of its own that is thrown
    away before and after. Answers percentiles in milliseconds."""
    with bench_home(settings, "bench-checkout") as (engine, stack):
        return _measure(engine, stack, accounts, say)


def _measure(engine: Engine, stack: Stack, accounts: int, say: Callable[[str], None]) -> dict[str, Any]:
    pool = ALONE + 1000 + accounts // 10
    say(f"building {accounts:,} accounts for the run and {pool:,} for checkouts")
    build_fleet(engine, accounts + pool)
    with transaction(engine) as connection:
        connection.execute(
            "update subscription set opening_on = %(day)s, charged_through = %(day)s, arrears_through = %(day)s,"
            " next_bill_on = %(day)s where right(external_key, 9)::int > %(accounts)s",
            {"day": LATER, "accounts": accounts},
        )
    ready = iter(due_on(engine, LATER))
    say("checkouts alone")
    alone = checkouts(engine, (next(ready) for _ in range(ALONE)), LATER, threading.Event())
    say("checkouts beside the run")
    during, seconds, result = asyncio.run(_beside_a_run(engine, stack, ready))
    laws = verify(engine)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "accounts": accounts,
        "invoices": result.invoices,
        "seconds": round(seconds, 3),
        "invoices_per_s": round(result.invoices / seconds),
        "alone": _figures(alone),
        "during_run": _figures(during),
        "books_ok": all(law.ok for law in laws),
    }


async def _beside_a_run(
    engine: Engine, stack: Stack, ready: Iterator[str]
) -> tuple[list[float], float, BillRunResult]:
    client = await connect(stack.temporal_address, stack.namespace)
    stop = threading.Event()
    began = time.perf_counter()
    handle = await start_bill_run(client, BillRunRequest(as_of=DUE))
    single = asyncio.create_task(asyncio.to_thread(checkouts, engine, ready, LATER, stop))
    try:
        result = await handle.result()
        seconds = time.perf_counter() - began
    finally:
        stop.set()
    return await single, seconds, result


def _figures(waits: Sequence[float]) -> dict[str, float]:
    """Count and percentiles (nearest rank) in milliseconds."""
    ordered = sorted(waits)
    if not ordered:
        return {"count": 0}

    def rank(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)

    return {"count": len(ordered), "p50_ms": rank(0.5), "p99_ms": rank(0.99), "max_ms": rank(1.0)}
