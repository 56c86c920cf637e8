"""The payment-run bench: payments through Temporal against the gateway's stand-in, beside its own ceiling: the same
calls from a bare client, in the same run. The stand-in is a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import psutil
from sqlalchemy import Engine

from bench.bill_run import processor_seconds
from bench.fleet import DUE, build_fleet
from bench.home import bench_home
from contracts.payment_run import PaymentRunRequest, PaymentRunResult
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.verify import verify
from runtime.settings import Settings
from runtime.stack import ports
from runtime.stack.client import Stack
from runtime.temporal import connect
from storage.billable import Target
from storage.database import transaction
from workflows.starts import start_payment_run

GATEWAY = "cards"
AT_ONCE = 50
RATIO_BAR, EVENTS_BAR, AIM = 0.5, 0.1, 250
_CONFIG = """
format: masthead.config/1
connections:
  cards:
    connector: stripe
    mode: test
    rate: 100000/s
    config:
      api_key: file:{key}
      base_url: {url}
"""


def bench_payment_run(settings: Settings, accounts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Bill a fleet of `accounts` in a home of its own, charge it through Temporal, and measure the stand-in's ceiling
    with `accounts` calls before and after. Answers the figures of docs/performance.md; `reached` says whether the bars
    are. The home is thrown away before and after."""
    with _gateway() as url:
        folder = settings.home
        folder.mkdir(parents=True, exist_ok=True)
        config, key = folder / "bench-payments.yaml", folder / "bench-payments.key"
        key.write_text("sk_test_bench")
        config.write_text(_CONFIG.format(url=url, key=key.resolve()))
        try:
            own = settings.model_copy(update={"config_file": config})
            with bench_home(own, "bench") as (engine, stack):
                return _measure(engine, stack, url, accounts, say)
        finally:
            config.unlink()
            key.unlink()


def _measure(
    engine: Engine, stack: Stack, url: str, accounts: int, say: Callable[[str], None]
) -> dict[str, Any]:
    say(f"billing {accounts:,} accounts")
    build_fleet(engine, accounts)
    _bill(engine)
    _give_cards(engine)
    say("the stand-in's ceiling, before")
    before = asyncio.run(_ceiling(url, accounts))
    say("charging them through Temporal")
    load = psutil.getloadavg()[0]
    used = processor_seconds(stack.home)
    seconds, result, events = asyncio.run(_charge(stack))
    used = {kind: after - used.get(kind, 0.0) for kind, after in processor_seconds(stack.home).items()}
    say(f"charged in {seconds:.1f} s; the ceiling once more")
    after = asyncio.run(_ceiling(url, accounts))
    laws = verify(engine)
    paid = result.charges.get("succeeded", 0)
    rate, ceiling = paid / seconds, max(before, after)
    ratio, per_payment = round(rate / ceiling, 3), round(events / max(paid, 1), 5)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "accounts": accounts,
        "payments": paid,
        "charges": result.charges,
        "seconds": round(seconds, 3),
        "payments_per_s": round(rate, 1),
        "ceiling_per_s": round(ceiling, 1),
        "ceilings": [round(before, 1), round(after, 1)],
        "ratio": ratio,
        "temporal_events": events,
        "temporal_events_per_payment": per_payment,
        "processor_ms_per_payment": {
            kind: round(each * 1000 / max(paid, 1), 2) for kind, each in sorted(used.items())
        },
        "load_before": round(load, 2),
        "books_ok": all(law.ok for law in laws),
        "charged_once": _charged_once(url, paid),
        "reached": {"ratio": ratio >= RATIO_BAR, "events": per_payment <= EVENTS_BAR, "aim": rate >= AIM},
    }


@contextmanager
def _gateway() -> Iterator[str]:
    port = ports.choose_port(0)
    command = [sys.executable, "-m", "runtime.serve_sandbox", "--port", str(port), "stripe"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])  # noqa: S603
    try:
        deadline = time.monotonic() + 30
        while not ports.answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the gateway's stand-in did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/stripe"
    finally:
        process.terminate()
        process.wait(10)


def _bill(engine: Engine) -> None:
    runs, target = BillRuns(engine), Target(DUE, None)
    run = runs.open(
        workflow_id=f"bill-run/all/{DUE}",
        workflow_run_id=str(uuid4()),
        mode="live",
        scope=Scope.parse("all"),
        target=target,
    )
    for no in range(runs.size(run)[0]):
        runs.bill(ChunkRef(run, no, "live"), target, wait=True, heartbeat=lambda _: None)
    runs.finish(run, canceled=False)


def _give_cards(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute("update account set auto_pay = true")
        connection.execute(
            "insert into payment_method (id, account_id, connection, method)"
            " select uuidv7(), id, %s, 'pm_card_visa' from account",
            (GATEWAY,),
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")
        connection.exec_driver_sql("checkpoint")


async def _charge(stack: Stack) -> tuple[float, PaymentRunResult, int]:
    client = await connect(stack.temporal_address, stack.namespace)
    began = time.perf_counter()
    handle = await start_payment_run(client, PaymentRunRequest(as_of=DUE))
    result = await handle.result()
    seconds = time.perf_counter() - began
    return seconds, result, (await handle.describe()).history_length


async def _ceiling(url: str, calls: int) -> float:
    """Charges a second of a client that does nothing else: what goes over the wire is what the connector sends."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    waiting = iter(range(calls))
    headers = {"Authorization": "Bearer sk_test_bench", "Content-Type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient(limits=limits, timeout=30, headers=headers) as client:

        async def one_after_another() -> None:
            for _ in waiting:
                key = f"ceiling:{uuid4()}"
                body = {
                    "amount": 1396,
                    "currency": "usd",
                    "payment_method": "pm_card_visa",
                    "allowed_payment_method_types[0]": "card",
                    "capture_method": "automatic",
                    "confirm": "true",
                    "metadata[masthead_reference]": key,
                    "expand[0]": "latest_charge",
                    "off_session": "true",
                }
                answer = await client.post(
                    f"{url}/v1/payment_intents", content=urlencode(body), headers={"Idempotency-Key": key}
                )
                answer.raise_for_status()

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        return calls / (time.perf_counter() - began)


def _charged_once(url: str, paid: int) -> bool:
    """Whether the stand-in's own count is one charge for each payment here."""
    answer = httpx.get(f"{url.removesuffix('/stripe')}/_control/stripe/effects", timeout=60)
    answer.raise_for_status()
    charges = [each["key"] for each in answer.json()["effects"] if each["kind"] == "charge"]
    keys = [key for key in charges if key.startswith("charge:")]
    return len(keys) == len(set(keys)) == paid
