"""The entitlement check beside a bare handler with one primary-key read: the same server settings, the same run."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from uuid_utils import uuid7

from api.security import hash_key
from bench.entitlement_floor import TABLES
from bench.http_load import Load, prepared_get, send_all
from bench.serving import percentiles, served
from domain.entitlements import Grant, SourceKind
from runtime.settings import Settings
from runtime.stack.postgres import EmbeddedPostgres
from storage.entitlements import GRANT_COLUMNS, grant_row
from storage.migrate import upgrade

KEY = "mh_bench"
FEATURE = "news"
AT_ONCE = 50
BAR = 0.7
WARM_UP = 1_000
ROUNDS = 5


class Place(NamedTuple):
    """Two servers over one database, and who may be asked for: a subscriber's grant has the id of the bare row."""

    ours: str
    bare: str
    ids: list[str]


def bench_entitlements(
    settings: Settings, grants: int, checks: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure windows of `checks` checks among `grants` grants, on a Postgres of its own in the home, which is thrown
    away before and after. Rates are per second, waits in milliseconds. `reached` says whether the bar is.

    Raises RuntimeError when a check is not answered with 200.
    """
    home = settings.home / "bench-entitlements"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    server = EmbeddedPostgres(home / "postgres")
    try:
        url = server.start()
        upgrade(url)
        say(f"{grants:,} grants")
        ids = _load(url, grants)
        with ExitStack() as servers:
            api = [sys.executable, "-m", "runtime.serve_api", "--fd"]
            ours = servers.enter_context(served(api, home, url))
            bare = servers.enter_context(served([sys.executable, "-m", "bench.entitlement_floor"], home, url))
            say(f"{ROUNDS} windows of {checks:,} checks each, {AT_ONCE} at a time")
            return {"grants": grants} | _measure(Place(ours, bare, ids), checks)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _load(url: str, grants: int) -> list[str]:
    """One grant each of so many subscribers, and as many bare rows under the same ids."""
    ids = [str(uuid7()) for _ in range(grants)]
    row = grant_row(Grant("", FEATURE, SourceKind.SUBSCRIPTION, "", datetime(2026, 1, 1, tzinfo=UTC), None))
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
        connection.execute(
            "insert into api_key (id, name, key_hash, scopes) values (%s, 'bench', %s, '{entitlements:read}')",
            (str(uuid7()), hash_key(KEY)),
        )
        for table, rows in (
            (
                f"entitlement_grant ({GRANT_COLUMNS})",
                (f"{each}\t{each}\tlive\t{each}\t{row % each}\n" for each in ids),
            ),
            ("floor.entitlement (id, feature)", (f"{each}\t{FEATURE}\n" for each in ids)),
        ):
            _copy(connection, table, rows)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze entitlement_grant, floor.entitlement")
        connection.execute("checkpoint")
    return ids


def _copy(connection: psycopg.Connection[Any], table: str, rows: Iterator[str]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"copy {table} from stdin") as copy:
        for row in rows:
            copy.write(row)


def _measure(place: Place, checks: int) -> dict[str, Any]:
    chosen = random.Random(1911)  # noqa: S311 (whom to ask for, the same in every run)

    def window(count: int) -> tuple[Load, Load]:
        asked = chosen.choices(place.ids, k=count)
        key = {"authorization": f"Bearer {KEY}"}
        check = f"{place.ours}/v1/entitlements/check?feature={FEATURE}&subscriber="
        ours = asyncio.run(send_all(place.ours, [prepared_get(check + each, key) for each in asked], AT_ONCE))
        # The bare handler looks at no key, and is sent the same header.
        read = f"{place.bare}/bare?id="
        return ours, asyncio.run(
            send_all(place.bare, [prepared_get(read + each, key) for each in asked], AT_ONCE)
        )

    window(min(WARM_UP, checks))
    pairs = [window(checks) for _ in range(ROUNDS)]
    if strange := {status for pair in pairs for load in pair for status in load.statuses} - {200}:
        raise RuntimeError(f"not all checks were answered, but {sorted(strange)}")
    ours, floor = ([checks / pair[side].seconds for pair in pairs] for side in (0, 1))
    ratio = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
    return {
        "checks": checks,
        "at_once": AT_ONCE,
        "checks_per_s": round(statistics.median(ours)),
        "bare_per_s": round(statistics.median(floor)),
        "ratio": round(ratio, 2),
        "bar": BAR,
        "check_ms": percentiles([wait for pair in pairs for wait in pair[0].waits]),
        "bare_ms": percentiles([wait for pair in pairs for wait in pair[1].waits]),
        "reached": ratio >= BAR,
    }
