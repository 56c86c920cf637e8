"""Webhooks coming in: the intake beside a bare handler, a flood of one event, a backlog, and the way to the effect."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Engine

from bench.http_load import Load, prepared, send_all
from bench.serving import percentiles, served
from bench.webhook_floor import TABLES, Fact, write_facts
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.sign import headers_to_send, sign
from connectors.sdk.webhooks.values import WebhookRequest
from operations.webhooks_in.apply import BATCH, apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.leading import Complaints, Lead
from runtime.settings import Settings
from runtime.stack.postgres import EmbeddedPostgres
from runtime.webhook_dispatcher import ROLE, Term
from storage.database import make_engine, transaction
from storage.inbound_endpoints import InboundEndpoint, add_endpoint
from storage.migrate import upgrade

RECIPE = "standard-webhooks"
SECRET = "whsec_YmVuY2gtd2ViaG9va3MtYmVuY2gtd2ViaG9va3M="  # noqa: S105 (of a database that is thrown away)
SECRET_NAME = "BENCH_WEBHOOK_SECRET"  # noqa: S105
AT_ONCE = 50
INTAKE_BAR = 0.7
DRAIN_BAR = 0.5
WARM_UP = 300
ROUNDS = 3
PACED_PER_SECOND = 100


class Place(NamedTuple):
    """Where the bench works: a database, an endpoint in it, and its address at the API."""

    url: str
    engine: Engine
    endpoint: InboundEndpoint
    address: str


def bench_webhooks(
    settings: Settings, deliveries: int, backlog: int, say: Callable[[str], None], *, paced_seconds: int = 10
) -> dict[str, Any]:
    """Measure with `deliveries` a window and a backlog of `backlog`, on a Postgres of its own in the home, which is
    thrown away before and after. Rates are per second, waits in milliseconds. `reached` says whether the bars are.

    Raises RuntimeError when a delivery is refused, lost or not applied.
    """
    home = settings.home / "bench-webhooks"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    server = EmbeddedPostgres(home / "postgres")
    try:
        url = server.start()
        upgrade(url)
        return _measure(home, url, (deliveries, backlog, paced_seconds), say)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _measure(home: Path, url: str, sizes: tuple[int, int, int], say: Callable[[str], None]) -> dict[str, Any]:
    deliveries, backlog, paced_seconds = sizes
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
    engine = make_engine(url)
    try:
        with ExitStack() as servers:
            ours = servers.enter_context(
                served([sys.executable, "-m", "runtime.serve_api", "--fd"], home, url, {SECRET_NAME: SECRET})
            )
            bare = servers.enter_context(served([sys.executable, "-m", "bench.webhook_floor"], home, url))
            place = _place(url, engine, "intake", ours)
            say(f"{ROUNDS} windows of {deliveries:,} deliveries each, {AT_ONCE} at a time")
            figures = _intake(place, f"{bare}/bare", deliveries)
            say(f"{deliveries:,} deliveries of one event")
            figures["one_event"] = _one_event(_place(url, engine, "flood", ours), deliveries)
            say(f"{PACED_PER_SECOND} a second with the dispatcher beside")
            figures["to_effect"] = asyncio.run(_to_effect(_place(url, engine, "paced", ours), paced_seconds))
        say(f"a backlog of {backlog:,} facts")
        figures["backlog"] = _drained(url, engine, backlog)
    finally:
        engine.dispose()
    figures["reached"] = (
        figures["ratio"] >= INTAKE_BAR
        and figures["backlog"]["ratio"] >= DRAIN_BAR
        and figures["one_event"]["rows"] == figures["one_event"]["effects"] == 1
        and figures["one_event"]["all_2xx"]
    )
    return figures


def _place(url: str, engine: Engine, name: str, base: str) -> Place:
    with transaction(engine) as connection:
        endpoint, token = add_endpoint(
            connection,
            name=name,
            recipe=RECIPE,
            secret_references=[f"env:{SECRET_NAME}"],
            public_url=base,
        )
    made = InboundEndpoint(endpoint, "live", name, RECIPE, [], base)
    return Place(url, engine, made, f"{base}/webhooks/{token}")


def event(number: str) -> bytes:
    """An event of some 1,500 bytes, as a payment's are."""
    more = {f"field_{n}": f"value {n} of {number}" for n in range(40)}
    at = datetime.now(UTC).isoformat()
    return json.dumps({"type": "charge.refunded", "timestamp": at, "data": {"id": number, **more}}).encode()


def _signed(place: Place, numbers: Sequence[str]) -> list[bytes]:
    recipe = bundled_recipes()[RECIPE]
    now = datetime.now(UTC)
    requests = []
    for number in numbers:
        request = WebhookRequest("POST", place.address, {"webhook-id": number}, event(number))
        signed = sign(recipe, request, SECRET, now)
        requests.append(prepared(place.address, headers_to_send(signed), signed.body))
    return requests


def _intake(place: Place, bare: str, deliveries: int) -> dict[str, Any]:
    def window(name: str, count: int) -> tuple[Load, Load]:
        numbers = [f"{name}-{n}" for n in range(count)]
        # Both send what the other sends, but for the signature and its headers.
        plain = [prepared(bare, {"x-key": n, "content-type": "application/json"}, event(n)) for n in numbers]
        ours = asyncio.run(send_all(place.address, _signed(place, numbers), AT_ONCE))
        return ours, asyncio.run(send_all(bare, plain, AT_ONCE))

    warm_up = min(WARM_UP, deliveries)
    window("warm", warm_up)
    pairs = [window(f"w{number}", deliveries) for number in range(ROUNDS)]
    if strange := {status for pair in pairs for load in pair for status in load.statuses} - {200}:
        raise RuntimeError(f"not all deliveries were taken, but answered {sorted(strange)}")
    with transaction(place.engine) as connection:
        stored = connection.execute("select count(*) from webhook_delivery").fetchall()[0][0]
    if stored != warm_up + ROUNDS * deliveries:
        raise RuntimeError(f"{stored} rows are there, not {warm_up + ROUNDS * deliveries}")
    ours, floor = ([deliveries / pair[side].seconds for pair in pairs] for side in (0, 1))
    return {
        "deliveries": deliveries,
        "at_once": AT_ONCE,
        "intake_per_s": round(statistics.median(ours)),
        "bare_per_s": round(statistics.median(floor)),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, floor, strict=True)), 2),
        "bar": INTAKE_BAR,
        "intake_ms": percentiles([wait for pair in pairs for wait in pair[0].waits]),
        "bare_ms": percentiles([wait for pair in pairs for wait in pair[1].waits]),
    }


def _one_event(place: Place, deliveries: int) -> dict[str, Any]:
    request = _signed(place, ["the-same"])[0]
    load = asyncio.run(send_all(place.address, [request] * deliveries, AT_ONCE))
    while apply_batch(place.engine, place.endpoint, WebhookHandlers()).taken:
        pass
    with transaction(place.engine) as connection:
        rows, effects = connection.execute(
            "select (select count(*) from webhook_delivery where endpoint_id = %s),"
            " (select coalesce(sum(seen), 0) from vendor_fact where connection = %s)",
            (place.endpoint.id, place.endpoint.connection),
        ).fetchall()[0]
    return {
        "deliveries": deliveries,
        "per_s": round(deliveries / load.seconds),
        "all_2xx": all(200 <= status < 300 for status in load.statuses),
        "rows": int(rows),
        "effects": int(effects),
        "ms": percentiles(load.waits),
    }


async def _to_effect(place: Place, seconds: int) -> dict[str, Any]:
    """From the insert to the effect, with one process that dispatches, at a steady pace; and how long senders wait for
    their answers then."""
    # What the windows left is not to be waited for.
    with transaction(place.engine) as connection:
        connection.execute("update webhook_delivery set status = 'ignored' where status = 'new'")
    async with Lead(place.engine, ROLE, "webhooks-in") as lead:
        return await _paced(place, lead, seconds)


async def _paced(place: Place, lead: Lead, seconds: int) -> dict[str, Any]:
    term = Term(lead, place.engine, None, WebhookHandlers(), bundled_recipes(), Complaints())
    serving = asyncio.create_task(term.serve())
    sent = seconds * PACED_PER_SECOND
    tenth = PACED_PER_SECOND // 10
    answered: list[float] = []
    for step in range(seconds * 10):
        requests = _signed(place, [f"paced-{step}-{n}" for n in range(tenth)])
        began = time.monotonic()
        answered += (await send_all(place.address, requests, 1)).waits
        await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - began)))
    waits = await asyncio.to_thread(_decided, place, sent)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return {
        "per_s": PACED_PER_SECOND,
        "deliveries": sent,
        "answer_ms": percentiles(answered),
        "effect_ms": percentiles(waits),
    }


def _decided(place: Place, sent: int) -> list[float]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with transaction(place.engine) as connection:
            rows = connection.execute(
                "select extract(epoch from decided_at - received_at)::float8 from webhook_delivery"
                " where endpoint_id = %s and status = 'done'",
                (place.endpoint.id,),
            ).fetchall()
        if len(rows) == sent:
            return [row[0] for row in rows]
        time.sleep(0.1)
    raise RuntimeError(f"only {len(rows)} of {sent} deliveries were applied within a minute")


def _drained(url: str, engine: Engine, backlog: int) -> dict[str, Any]:
    """A backlog applied, in turns with a loop that writes the same facts from memory, batch for batch."""
    facts: list[Fact] = [
        (f"thing-{n}", "charge.refunded", f"key-{n}", datetime.now(UTC), event(str(n)))
        for n in range(backlog)
    ]
    ours, floor = [], []
    for number in range(ROUNDS):
        place = _place(url, engine, f"backlog-{number}", "http://127.0.0.1")
        with (
            psycopg.connect(url) as connection,
            connection.cursor() as cursor,
            cursor.copy(
                "copy webhook_delivery (endpoint_id, delivery_key, kind, object_key, occurred_at, headers, body)"
                " from stdin"
            ) as copy,
        ):
            for about, kind, key, moment, body in facts:
                copy.write_row((place.endpoint.id, key, kind, about, moment, "{}", body))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum analyze webhook_delivery, vendor_fact, event_log")
        began = time.perf_counter()
        while apply_batch(engine, place.endpoint, WebhookHandlers()).taken:
            pass
        ours.append(backlog / (time.perf_counter() - began))
        began = time.perf_counter()
        for at in range(0, backlog, BATCH):
            with transaction(engine) as written:
                write_facts(written, place.endpoint.connection, facts[at : at + BATCH])
        floor.append(backlog / (time.perf_counter() - began))
    return {
        "facts": backlog,
        "per_s": round(statistics.median(ours)),
        "bare_per_s": round(statistics.median(floor)),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, floor, strict=True)), 2),
        "bar": DRAIN_BAR,
    }
