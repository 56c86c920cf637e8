"""Grants worked out anew for accounts that are there already: imported before there were grants, or by other rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import Engine

from domain.account.access import grants
from domain.account.days import advance
from domain.periods import local_date
from operations.accounts.unit import build
from operations.tariffs import Tariff, Tariffs
from storage.database import PgConnection, transaction
from storage.entitlements import put_grants
from storage.events import append_events
from storage.round_trip import round_trip
from storage.whole.reading import read_whole

PAGE = 500
FIRST = "00000000-0000-0000-0000-000000000000"


def rebuild_all(
    engine: Engine, now: datetime, tell: Callable[[int, int], None] = lambda done, changed: None
) -> tuple[int, int]:
    """Bring the grants of every account to what its rows give at the instant `now` (or that of its test clock), each
    in a transaction of its own with the events of what changed. How many accounts there were, and how many grants
    changed; `tell` hears both on the way. Again it changes nothing; after a crash it is run again."""
    tariff = Tariffs(engine).current()
    done = changed = 0
    for account_id in _accounts(engine):
        with transaction(engine) as connection:
            changed += rebuild(connection, tariff, account_id, now)
        done += 1
        tell(done, changed)
    return done, changed


def rebuild(connection: PgConnection, tariff: Tariff, account_id: str, now: datetime) -> int:
    """Bring the grants of one account, which is locked, to what its rows give, and append the events; how many grants
    changed. Nothing else of it is written."""
    rows = read_whole(connection, account_id, tariff.book)
    now = rows.head.clock_at or now
    account, _ = build(rows, tariff, now)
    advance(account, local_date(now, account.zone), fleet=account.collected)
    access = grants(account, dunned=account.collected, awaiting=rows.awaiting, purchases=rows.purchases)
    with round_trip(connection) as trip:
        changed = put_grants(trip, account_id, account.mode, access, now=now, known=rows.access)
        append_events(trip, changed)
    return len(changed)


def count_accounts(engine: Engine) -> int:
    """How many accounts there are."""
    with transaction(engine) as connection:
        row = connection.execute("select count(*) from account").fetchone()
    return int(row[0]) if row else 0


def _accounts(engine: Engine) -> Iterator[str]:
    after = FIRST
    while True:
        with transaction(engine) as connection:
            page = connection.execute(
                "select id::text from account where id > %s order by id limit %s", (after, PAGE)
            ).fetchall()
        if not page:
            return
        yield from (row[0] for row in page)
        after = page[-1][0]
