"""Licences that were billed further, and issues that are to be ordered: what no command and no episode sees to."""

from __future__ import annotations

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from domain.periods import local_date
from operations.accounts.unit import build
from operations.fulfilment.noting import note_fulfilment
from operations.tariffs import Tariff
from storage.database import DATABASE_AWAY, transaction
from storage.fulfilments import accounts_to_look_at
from storage.parked import Park, park, resolve_parks_of
from storage.whole.reading import read_whole

log = logging.getLogger("masthead.fulfilment")

AT_ONCE = 100
KIND = "fulfilment"


def look_anew(engine: Engine, tariff: Tariff, now: datetime, limit: int = AT_ONCE) -> int:
    """Write down what up to `limit` accounts shall have that it is time for, each in a transaction of its own; how many
    there were. One that cannot be read is parked, and holds up nobody."""
    with transaction(engine) as connection:
        accounts = accounts_to_look_at(connection, now, limit)
    for account_id in accounts:
        try:
            look_at(engine, tariff, account_id, now)
        except DATABASE_AWAY:
            raise
        except Exception as error:
            log.exception("account %s", account_id)
            with transaction(engine) as connection:
                park(connection, _park(account_id, error))
    return len(accounts)


def look_at(engine: Engine, tariff: Tariff, account_id: str, now: datetime) -> None:
    """Write down which licences and parcels the account shall have at `now`. Raises LookupError."""
    with transaction(engine) as connection:
        rows = read_whole(connection, account_id, tariff.book)
        now = rows.head.clock_at or now
        account, _ = build(rows, tariff, now)
        account.today = max(account.today, local_date(now, ZoneInfo(rows.head.time_zone)))
        granted = [each.grant for each in rows.access]
        note_fulfilment(connection, tariff, account, now, granted, rows.purchases)
        resolve_parks_of(connection, KIND, account_id)


def _park(account_id: str, error: Exception) -> Park:
    return Park(
        kind=KIND,
        trace_key=account_id,
        account_id=account_id,
        error_kind=type(error).__name__,
        message=str(error),
        remedy="Its licences and issues are not seen to until this is mended. It is tried again every hour.",
    )
