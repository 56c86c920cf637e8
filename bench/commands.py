"""Commands over HTTP: changes of plan beside a bare handler that writes the same rows, and the same while Temporal is
away, whose follow-ups are carried out once it is back."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from uuid_utils import uuid4, uuid7

from bench.command_floor import TABLES, TEMPLATES, make_tables, template
from bench.fleet import build_fleet
from bench.http_load import Load, prepared, send_all
from bench.serving import percentiles, served
from bench.temporal_server import NAMESPACE, TemporalServer
from contracts.subscription import HORIZON, SUBSCRIPTION_WORKFLOW
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.dispatch import CHANGES
from operations.verify import verify
from runtime.dispatcher import dispatch
from runtime.settings import Settings
from runtime.stack.postgres import EmbeddedPostgres
from runtime.temporal import connect
from storage.api_keys import hash_key
from storage.billable import Target
from storage.database import make_engine, transaction
from storage.events import read_batch, read_cursor
from storage.migrate import upgrade

BAR = 0.5
AT_ONCE = 8
ROUNDS = 3
WARM_UP = 200
FOLLOWED_UP_WITHIN_SECONDS = 300.0
KEY = "mh_bench"
# The dearest plan of the fleet and the cheapest: to the one at once and prorated, to the other at the period's end.
UPGRADE, DOWNGRADE = "family", "student"


class Change(NamedTuple):
    """An account, its subscription and the item of it, the plan that it changes to, and the Idempotency-Key."""

    account: str
    subscription: str
    item: str
    to: str
    key: str


def bench_commands(settings: Settings, changes: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure with `changes` changes of plan a window, on a Postgres and a Temporal of its own in the home, which are
    thrown away before and after. Rates are per second, waits in milliseconds. `reached` says whether the bar is.

    Raises RuntimeError when a command is refused, or a follow-up does not come.
    """
    home = settings.home / "bench-commands"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    with ExitStack() as closing:
        closing.callback(shutil.rmtree, home, ignore_errors=True)
        server = EmbeddedPostgres(home / "postgres")
        closing.callback(server.stop)
        url = server.start()
        upgrade(url)
        engine = make_engine(url)
        closing.callback(engine.dispose)
        temporal = TemporalServer(home)
        closing.callback(temporal.stop)
        temporal.start()
        figures = _measure(home, url, engine, temporal, changes, say)
        say("follow-ups")
        figures["follow_ups"] = asyncio.run(_follow_ups(engine, temporal))
        figures["books_ok"] = all(law.ok for law in verify(engine))
    figures["reached"] = figures["ratio"] >= BAR and figures["books_ok"]
    return figures


def _measure(
    home: Path, url: str, engine: Engine, temporal: TemporalServer, changes: int, say: Callable[[str], None]
) -> dict[str, Any]:
    wanted = WARM_UP + 2 * ROUNDS * changes
    say(f"building and billing {wanted:,} accounts, and twice as many for the bare handler")
    ours, others = _fleet(engine, 3 * wanted)
    with ExitStack() as servers:
        api = servers.enter_context(
            served(
                [sys.executable, "-m", "runtime.serve_api", "--fd"],
                home,
                url,
                {"TEMPORAL_ADDRESS": temporal.address, "TEMPORAL_NAMESPACE": NAMESPACE},
            )
        )
        warm_up = list(islice(ours, WARM_UP))
        _send(api, warm_up)
        with transaction(engine) as connection:
            templates = {each.to: template(connection, each._asdict()) for each in warm_up[:2]}
        (home / TEMPLATES).write_text(json.dumps(templates))
        bare = servers.enter_context(served([sys.executable, "-m", "bench.command_floor"], home, url))

        def windows(count: int) -> list[Load]:
            mine, plain, piped = (list(islice(each, count)) for each in (ours, others, others))
            return [_send(api, mine), _send_bare(bare, "bare", plain), _send_bare(bare, "piped", piped)]

        _send_bare(bare, "bare", list(islice(others, WARM_UP)))
        _send_bare(bare, "piped", list(islice(others, WARM_UP)))
        say(f"{ROUNDS} windows of {changes:,} changes each, {AT_ONCE} at a time")
        rounds = [windows(changes) for _ in range(ROUNDS)]
        say("the same with Temporal stopped")
        temporal.stop()
        away = [windows(changes) for _ in range(ROUNDS)]
    temporal.start()
    return _figures(engine, changes, rounds, away)


def _fleet(engine: Engine, wanted: int) -> tuple[Iterator[Change], Iterator[Change]]:
    """Changes to make on a fleet that was billed on the first of this month, half of them for each of the two sides;
    and the floor's copy of it. Half of the changes are upgrades, half downgrades."""
    build_fleet(
        engine, wanted * 2
    )  # of those, some have other anchors and several items, or have such a plan
    first = datetime.now(ZoneInfo("America/New_York")).date().replace(day=1)
    with transaction(engine) as connection:
        connection.execute(
            "update subscription set anchor_on = date '2023-01-01', anchor_day = 1, opening_on = %(day)s,"
            " charged_through = %(day)s, arrears_through = %(day)s, next_bill_on = %(day)s",
            {"day": first},
        )
        connection.execute(
            "insert into api_key (id, name, key_hash, scopes) values (%s, 'bench', %s, '{*}')",
            (str(uuid7()), hash_key(KEY)),
        )
    runs = BillRuns(engine)
    target = Target(first, None)
    run_id = runs.open(
        workflow_id="bench", workflow_run_id="bench", mode="live", scope=Scope.parse("all"), target=target
    )
    for no in range(runs.size(run_id)[0]):
        runs.bill(ChunkRef(run_id, no, "live"), target, wait=True, heartbeat=lambda _: None)
    runs.finish(run_id, canceled=False)
    with transaction(engine) as connection:
        make_tables(connection)
        rows = connection.execute(
            "select s.account_id::text, s.id::text, min(i.id::text) from subscription s"
            " join subscription_item i on i.subscription_id = s.id group by s.id"
            " having count(*) = 1 and min(i.plan_code) not in (%s, %s) order by s.id",
            (UPGRADE, DOWNGRADE),
        ).fetchall()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")
    if len(rows) < wanted:
        raise RuntimeError(f"only {len(rows)} of {wanted} accounts can change")
    plans = cycle((UPGRADE, DOWNGRADE))
    orders = [
        Change(account, subscription, item, next(plans), str(uuid4())) for account, subscription, item in rows
    ]
    ours = [each for no, each in enumerate(orders) if no % 6 < 2]
    return iter(ours), (each for no, each in enumerate(orders) if no % 6 >= 2)


def _send(api: str, window: Sequence[Change]) -> Load:
    requests = [
        prepared(
            f"{api}/v1/subscriptions/{each.subscription}/change-plan",
            {
                "authorization": f"Bearer {KEY}",
                "idempotency-key": each.key,
                "content-type": "application/json",
            },
            json.dumps({"to": each.to}).encode(),
        )
        for each in window
    ]
    return _checked(asyncio.run(send_all(api, requests, AT_ONCE)))


def _send_bare(bare: str, route: str, window: Sequence[Change]) -> Load:
    requests = [
        prepared(f"{bare}/{route}", {"content-type": "application/json"}, json.dumps(each._asdict()).encode())
        for each in window
    ]
    return _checked(asyncio.run(send_all(bare, requests, AT_ONCE)))


def _checked(load: Load) -> Load:
    if strange := set(load.statuses) - {200}:
        raise RuntimeError(f"not all changes were made, but answered {sorted(strange)}")
    return load


def _figures(
    engine: Engine, changes: int, rounds: Sequence[Sequence[Load]], away: Sequence[Sequence[Load]]
) -> dict[str, Any]:
    def median(windows: Sequence[Sequence[Load]], place: int) -> int:
        return round(statistics.median(changes / loads[place].seconds for loads in windows))

    def ratio(windows: Sequence[Sequence[Load]]) -> float:
        rates = [[changes / load.seconds for load in loads] for loads in windows]
        return round(statistics.median(each[0] / max(each[1:]) for each in rates), 2)

    written = [_rows_of_a_change(engine, schema) for schema in ("public", "floor")]
    if written[0] != written[1]:
        raise RuntimeError(f"the two did not write the same rows: {written[0]} and {written[1]}")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "changes": changes,
        "at_once": AT_ONCE,
        "per_s": median(rounds, 0),
        "bare_per_s": median(rounds, 1),
        "bare_piped_per_s": median(rounds, 2),
        "ratio": ratio(rounds),
        "bar": BAR,
        "ms": percentiles([wait for loads in rounds for wait in loads[0].waits]),
        "bare_ms": percentiles([wait for loads in rounds for wait in loads[1].waits]),
        "rows_of_a_change": written[0],
        "temporal_away": {
            "per_s": median(away, 0),
            "ratio": ratio(away),
            "ms": percentiles([wait for loads in away for wait in loads[0].waits]),
        },
    }


def _rows_of_a_change(engine: Engine, schema: str) -> dict[str, float]:
    """How many rows of each table one change wrote, on the average."""
    with transaction(engine) as connection:

        def count(table: str) -> int:
            row = connection.execute(
                f"select count(*) from {schema}.{table}"
                f" where xmin in (select xmin from {schema}.idempotency_key)".encode()
            ).fetchone()
            return int(row[0]) if row else 0

        changes = count("idempotency_key")
        return {table: round(count(table) / changes, 2) for table in TABLES}


async def _follow_ups(engine: Engine, temporal: TemporalServer) -> dict[str, Any]:
    """Dispatch what the changes left, and count the episodes that are open then: one for each subscription with a date
    or a follow-up within the horizon, and none else."""
    with transaction(engine) as connection:
        row = connection.execute(
            "select count(*), count(*) filter (where s.next_due <= %(until)s or exists (select from follow_up f"
            " where f.subscription_id = s.id and f.done_at is null and f.due_at <= %(until)s))"
            " from subscription s where s.account_id in (select account_id from command)",
            {"until": datetime.now(UTC) + HORIZON},
        ).fetchone()
    changed, near = row or (0, 0)
    client = await connect(temporal.address, NAMESPACE)
    began = time.monotonic()
    dispatching = asyncio.create_task(dispatch(engine, client))
    try:
        opened = 0
        while await asyncio.to_thread(_behind, engine) or opened != near:
            if time.monotonic() - began > FOLLOWED_UP_WITHIN_SECONDS:
                raise RuntimeError(f"{opened} episodes are open, not {near}")
            await asyncio.sleep(0.2)
            opened = (await client.count_workflows(f"WorkflowType = '{SUBSCRIPTION_WORKFLOW}'")).count
    finally:
        dispatching.cancel()
        with suppress(asyncio.CancelledError):
            await dispatching
    return {
        "changed": changed,
        "near": near,
        "episodes": opened,
        "seconds": round(time.monotonic() - began, 1),
    }


def _behind(engine: Engine) -> bool:
    with transaction(engine) as connection:
        seen = read_cursor(connection, CHANGES.cursor)
        return bool(read_batch(connection, seen, kinds=CHANGES.kinds, but=CHANGES.but).events)
