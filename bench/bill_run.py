"""The bill-run bench: the full job through Temporal, against the write floor of the same rows in the same run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from bench.fleet import DUE, build_fleet
from bench.home import bench_home
from bench.memory import peak_rss_mb, private_mb
from bench.write_floor import write_floors
from contracts.bill_run import BillRunRequest, BillRunResult
from operations.verify import verify
from runtime.settings import Settings
from runtime.stack.client import Stack
from runtime.temporal import connect
from storage.database import transaction
from workflows.starts import start_bill_run

LOG_FILES = 24  # of 16 MB; a run of 100,000 fills 14
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
TABLES = ("invoice", "invoice_line", "journal_entry", "journal_line", "event_log")


def bench_bill_run(
    settings: Settings, accounts: int, say: Callable[[str], None], *, cold: bool = False
) -> dict[str, Any]:
    """Build a fleet of `accounts` in a home of its own, bill it, measure the floors, verify the books.

    Answers the figures of docs/performance.md. The home is thrown away before and after. cold: bill it as the first
    thing that the workers do.
    """
    with bench_home(settings, "bench") as (engine, stack):
        return _measure(engine, stack, accounts, say, cold)


def _measure(
    engine: Engine, stack: Stack, accounts: int, say: Callable[[str], None], cold: bool
) -> dict[str, Any]:
    say(f"building {accounts:,} accounts")
    build_fleet(engine, accounts)
    if not cold:
        say("looking at a preview of the day after")
        asyncio.run(_preview(stack))
    _warm(engine)
    say("billing them through Temporal")
    used = processor_seconds(stack.home)
    seconds, result, events = asyncio.run(_bill(stack))
    used = {kind: after - used.get(kind, 0.0) for kind, after in processor_seconds(stack.home).items()}
    memory, private = _peaks(stack.home), _postgres_private_mb(stack.home)
    rows, size = _written(engine)
    say(f"billed in {seconds:.1f} s; now the floors")
    floors = write_floors(stack.database_url, say)
    say("verifying the books")
    laws = verify(engine)
    floor = max(floors["floor"].per_second.values())
    reference = max(floors["reference"].per_second.values())
    rate = result.invoices / seconds
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "accounts": accounts,
        "cold": cold,
        "invoices": result.invoices,
        "parked": result.parked,
        "totals": result.totals,
        "seconds": round(seconds, 3),
        "invoices_per_s": round(rate),
        "floor_invoices_per_s": round(floor),
        "ratio": round(rate / floor, 3),
        "floor": {name: round(value) for name, value in floors["floor"].per_second.items()},
        "reference_floor_per_s": round(reference),
        "reference_floor": {name: round(value) for name, value in floors["reference"].per_second.items()},
        "floor_to_reference": round(floor / reference, 3),
        "rows_per_invoice": round(rows / result.invoices, 2),
        "bytes_per_invoice": round(size / result.invoices),
        "peak_rss_mb": memory,
        "postgres_private_mb": private,
        "processor_us_per_invoice": {k: round(v * 1e6 / result.invoices, 1) for k, v in sorted(used.items())},
        "processor_us_in_all": round(sum(used.values()) * 1e6 / result.invoices, 1),
        "floor_processor_us": {k: round(v, 1) for k, v in floors["floor"].processor_us.items()},
        "reference_processor_us": {k: round(v, 1) for k, v in floors["reference"].processor_us.items()},
        "temporal_events": events,
        "temporal_events_per_invoice": round(events / result.invoices, 5),
        "durability": _settings(engine),
        "verify": {law.law: law.ok for law in laws},
        "books_ok": all(law.ok for law in laws),
    }


async def _bill(stack: Stack) -> tuple[float, BillRunResult, int]:
    client = await connect(stack.temporal_address, stack.namespace)
    began = time.perf_counter()
    handle = await start_bill_run(client, BillRunRequest(as_of=DUE))
    result = await handle.result()
    seconds = time.perf_counter() - began
    events = (await handle.describe()).history_length
    return seconds, result, events


async def _preview(stack: Stack) -> None:
    """What a publisher looks at first, which leaves the workers as ones that have worked before, as the floors are
    warm. It writes nothing, and what it rates is of no use to the run: on another day no account owes the same."""
    client = await connect(stack.temporal_address, stack.namespace)
    await (await start_bill_run(client, BillRunRequest(as_of=DUE + timedelta(days=1), preview=True))).result()


def _warm(engine: Engine) -> None:
    """Leave the server as one that has billed before: nothing left to flush, and files of the log that it can use
    again, which the floors find too."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(LOG_FILES):
            connection.exec_driver_sql("select pg_logical_emit_message(true, 'bench', 'a file of its own')")
            connection.exec_driver_sql("select pg_switch_wal()")
        connection.exec_driver_sql("checkpoint")


def _written(engine: Engine) -> tuple[int, int]:
    """(rows written, bytes of their tables and indexes); the moved subscription counts as a row."""
    rows = size = 0
    with transaction(engine) as connection:
        for table in TABLES:
            found = connection.execute(
                f"select count(*), pg_total_relation_size('{table}') from {table}"
            ).fetchone()
            if found:
                rows, size = rows + found[0], size + found[1]
        moved = connection.execute("select count(*) from subscription where version > 1").fetchone()
    return rows + (moved[0] if moved else 0), size


def _settings(engine: Engine) -> dict[str, str]:
    with transaction(engine) as connection:
        found = {}
        for name in DURABILITY:
            row = connection.execute(f"show {name}").fetchone()
            found[name] = str(row[0]) if row else "?"
    return found


def _processes(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Every process of the stack's home, with what it is."""
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        try:
            mine = str(home) in command or process.environ().get("MASTHEAD_HOME") == str(home)
            kind = _kind(command)
            if kind == "postgres" and mine:
                # The backends rewrite their command line; they are the postmaster's children.
                for backend in process.children():
                    yield kind, backend
            if mine and kind:
                yield kind, process
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue


def _peaks(home: Path) -> dict[str, int]:
    """Peak resident memory in MB of this process and of every process of the hub, by what it is."""
    peaks = {"bench": peak_rss_mb()}
    for kind, process in _processes(home):
        if kind != "postgres":  # its resident memory counts the shared buffers once a backend
            peaks[kind] = max(peaks.get(kind, 0), peak_rss_mb(process.pid))
    return dict(sorted(peaks.items()))


def _postgres_private_mb(home: Path) -> int | None:
    """What the largest process of Postgres has for itself, without the shared buffers; None where nobody tells."""
    found = [private_mb(process.pid) for kind, process in _processes(home) if kind == "postgres"]
    return max((each for each in found if each is not None), default=None)


def processor_seconds(home: Path) -> dict[str, float]:
    """Processor time that every kind of process has used so far."""
    used: dict[str, float] = {}
    for kind, process in _processes(home):
        times = process.cpu_times()
        used[kind] = used.get(kind, 0.0) + times.user + times.system
    return used


def _kind(command: str) -> str | None:
    for name, sign in (
        ("worker", "worker.py"),
        ("supervisor", "runtime.stack.supervisor"),
        ("api", "runtime.serve_api"),
        ("temporal_server", "start-dev"),
        ("postgres", "bin/postgres"),
    ):
        if sign in command:
            return name
    return None
