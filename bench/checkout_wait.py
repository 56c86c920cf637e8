"""How long a checkout waits for its invoice while a bill run posts thousands beside it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from bench.fleet import DUE, build_fleet
from bench.home import bench_home
from contracts.bill_run import BillRunRequest, BillRunResult
from domain.account.buying import CartItem
from domain.periods import add_months
from operations.checkout.begin import MethodGiven, OpenedAccount, Order, begin
from operations.checkout.books import post
from operations.checkout.quote import Gateway, write_quote
from operations.tariffs import Tariffs
from operations.verify import verify
from runtime.settings import Settings
from runtime.stack.client import Stack
from runtime.temporal import connect
from storage.database import transaction
from workflows.starts import start_bill_run

# So many post at once, each with a pause before its next one.
POSTERS = 4
PAUSE_SECONDS = 0.01
ALONE = 400
# Of fewer, the p99 says little: further months are billed until there are as many beside runs.
SAMPLES = 400
MOST_RUNS = 12
# So many are quoted when a run begins, that they last to its end.
READY = 1500

_ORDER = Order(
    items=(CartItem(plan="daily"),),
    opens=OpenedAccount(currency="USD", time_zone="America/New_York", tax_region="US-XX"),
    payment=MethodGiven(method="pm_bench", return_url="https://shop.example/back"),
)


def quoted_checkouts(engine: Engine, tariffs: Tariffs, count: int) -> list[str]:
    """The ids of `count` checkouts of new readers, of the plan `daily` in dollars, that are quoted: what is left to do
    before the money is taken is to post the sale."""
    tariff = tariffs.current()
    ids = []
    for _ in range(count):
        with transaction(engine) as connection:
            row, _ = begin(connection, _ORDER, str(uuid4()))
            write_quote(connection, tariff, row.id, datetime.now(UTC), lambda _: Gateway("bench", False))
        ids.append(row.id)
    return ids


def post_single(engine: Engine, tariffs: Tariffs, checkout_id: str) -> float:
    """Post the sale of a checkout as its workflow has it done: account, subscription and the final invoice in one
    transaction. Answers the seconds to the commit. Raises ValueError when the books do not take it."""
    began = time.perf_counter()
    with transaction(engine) as connection:
        posted = post(connection, tariffs.current(), checkout_id)
    if posted.invoice_id is None:
        raise ValueError(f"checkout {checkout_id} has no invoice: {posted.problem}")
    return time.perf_counter() - began


def checkouts(engine: Engine, tariffs: Tariffs, quoted: deque[str], stop: threading.Event) -> list[float]:
    """Post one checkout after the other until `stop` is set or none is left; answers the seconds of each."""
    waits = []
    while quoted and not stop.is_set():
        with suppress(IndexError):  # others take from it as well
            waits.append(post_single(engine, tariffs, quoted.popleft()))
        stop.wait(PAUSE_SECONDS)
    return waits


def bench_checkout_wait(settings: Settings, accounts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Post checkouts alone, then beside a run over `accounts` accounts, and beside those of the next months until there
    are SAMPLES, in a home of its own that is thrown away before and after. Answers percentiles in milliseconds."""
    with bench_home(settings, "bench-checkout") as (engine, stack):
        return asyncio.run(_measure(engine, stack, accounts, say))


async def _measure(engine: Engine, stack: Stack, accounts: int, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"building {accounts:,} accounts")
    build_fleet(engine, accounts)
    client = await connect(stack.temporal_address, stack.namespace)
    tariffs = Tariffs(engine)
    ready: deque[str] = deque()
    say("checkouts alone")
    ready.extend(quoted_checkouts(engine, tariffs, ALONE))
    alone = await _posted(engine, tariffs, ready, threading.Event())
    during: list[float] = []
    results: list[BillRunResult] = []
    seconds = 0.0
    while len(during) < SAMPLES and len(results) < MOST_RUNS:
        ready.extend(quoted_checkouts(engine, tariffs, READY - len(ready)))
        day = add_months(DUE, len(results))
        say(f"checkouts beside the run of {day}")
        stop = threading.Event()
        began = time.perf_counter()
        handle = await start_bill_run(client, BillRunRequest(as_of=day))
        posting = asyncio.create_task(_posted(engine, tariffs, ready, stop))
        try:
            results.append(await handle.result())
            seconds += time.perf_counter() - began
        finally:
            stop.set()
        during += await posting
    laws = verify(engine)
    invoices = sum(result.invoices for result in results)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "accounts": accounts,
        "runs": len(results),
        "posters": POSTERS,
        "invoices": invoices,
        "seconds": round(seconds, 3),
        "invoices_per_s": round(invoices / seconds),
        "alone": _figures(alone),
        "during_run": _figures(during),
        "books_ok": all(law.ok for law in laws),
    }


async def _posted(engine: Engine, tariffs: Tariffs, quoted: deque[str], stop: threading.Event) -> list[float]:
    posters = (asyncio.to_thread(checkouts, engine, tariffs, quoted, stop) for _ in range(POSTERS))
    return [wait for waits in await asyncio.gather(*posters) for wait in waits]


def _figures(waits: Sequence[float]) -> dict[str, float]:
    """Count and percentiles (nearest rank) in milliseconds."""
    ordered = sorted(waits)
    if not ordered:
        return {"count": 0}

    def rank(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)

    return {"count": len(ordered), "p50_ms": rank(0.5), "p99_ms": rank(0.99), "max_ms": rank(1.0)}
