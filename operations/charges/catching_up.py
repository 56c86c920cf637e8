"""Charges whose calls were settled without them: by the keeper of calls, by a person, or before a worker died."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Engine

from operations.charges.settling import Settled, settle
from operations.tariffs import Tariffs
from storage.charge_calls import untold_charges
from storage.database import DATABASE_AWAY, transaction

log = logging.getLogger("masthead.charges")

AT_ONCE = 100


def catch_up(engine: Engine, tariffs: Tariffs, now: datetime, idle: timedelta) -> list[Settled]:
    """Write down at the instant `now` what calls have told for `idle` at least and their charges do not say yet, a
    hundred of them at most. One that the books do not take does not stop the others."""
    with transaction(engine) as connection:
        waiting = dict(untold_charges(connection, idle, AT_ONCE))
    if not waiting:
        return []
    try:
        return _settled(engine, tariffs, waiting, now)
    except DATABASE_AWAY:
        raise
    except Exception:
        log.exception("settled calls are written down charge by charge")
    found: list[Settled] = []
    for charge, call in waiting.items():
        try:
            found += _settled(engine, tariffs, {charge: call}, now)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("charge %s has an answer that the books do not take: it is tried again", charge)
    return found


def _settled(engine: Engine, tariffs: Tariffs, calls: Mapping[str, str], now: datetime) -> list[Settled]:
    with transaction(engine) as connection:
        return settle(connection, tariffs.current(connection), calls, now)
