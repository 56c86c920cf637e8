"""Settling: what the calendar made true is written down once, with its event, and never taken back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Engine

from operations.subscriptions import read_standing, settle_subscription
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.subscribers import add_subscription

STARTS, TRIAL_ENDS, ENDS = date(2026, 11, 1), date(2026, 11, 15), date(2026, 12, 1)
# Midnights in Auckland, which is 13 hours ahead of UTC in November.
AT_START, AT_TRIAL_END, AT_END = (
    datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=13)
    for day in (STARTS, TRIAL_ENDS, ENDS)
)
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    made = make_engine(pg_server.fresh_database("settle"))
    yield made
    made.dispose()


def draft(engine: Engine, **columns: object) -> str:
    given = {
        "status": "draft",
        "starts_on": STARTS,
        "trial_ends_on": TRIAL_ENDS,
        "ends_on": ENDS,
        "next_due": AT_START,
        **columns,
    }
    with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(False)) as connection:
        return add_subscription(connection, zone="Pacific/Auckland", **given)  # type: ignore[arg-type]


def events(engine: Engine, subscription: str) -> list[tuple[str, int]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "select kind, version from event_log where subject_id = %s order by id", (subscription,)
        )
        return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize(
    ("now", "status", "next_due"),
    [
        (AT_START - SECOND, "draft", AT_START),
        (AT_START, "trialing", AT_TRIAL_END),
        (AT_TRIAL_END - SECOND, "trialing", AT_TRIAL_END),
        (AT_TRIAL_END, "active", AT_END),
        (AT_END - SECOND, "active", AT_END),
        (AT_END, "expired", None),
        (AT_END + timedelta(days=400), "expired", None),
    ],
)
def test_the_state_of_the_account_s_local_day_is_recorded(
    engine: Engine, now: datetime, status: str, next_due: datetime | None
) -> None:
    subscription = draft(engine)
    settled = settle_subscription(engine, subscription, now)
    assert (settled.status, settled.next_due) == (status, next_due)
    assert settled.changed == (status != "draft")
    assert read_standing(engine, subscription) == settled.model_copy(update={"changed": False})
    assert events(engine, subscription) == ([("subscription.changed", 2)] if settled.changed else [])


def test_a_repetition_writes_nothing_and_takes_nothing_back(engine: Engine) -> None:
    subscription = draft(engine)
    settle_subscription(engine, subscription, AT_TRIAL_END)
    for late in (AT_TRIAL_END, AT_START, AT_START - timedelta(days=5)):
        assert not settle_subscription(engine, subscription, late).changed
    assert read_standing(engine, subscription).status == "active"
    assert events(engine, subscription) == [("subscription.changed", 2)]


def test_several_at_once_record_it_once(engine: Engine) -> None:
    subscription = draft(engine)
    changed: list[bool] = []

    def settle() -> None:
        changed.append(settle_subscription(engine, subscription, AT_START).changed)

    threads = [threading.Thread(target=settle) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [False] * 5 + [True]
    assert read_standing(engine, subscription).version == 2


@pytest.mark.parametrize("held", ["paused", "canceled"])
def test_what_a_command_holds_stays(engine: Engine, held: str) -> None:
    subscription = draft(engine, status=held)
    settled = settle_subscription(engine, subscription, AT_END)
    assert (settled.status, settled.next_due) == (held, None)


def test_past_due_stays_past_due_until_the_end(engine: Engine) -> None:
    subscription = draft(engine, status="past_due", next_due=AT_TRIAL_END)
    assert settle_subscription(engine, subscription, AT_TRIAL_END).status == "past_due"
    assert settle_subscription(engine, subscription, AT_END).status == "expired"


def test_an_unknown_subscription_is_an_error(engine: Engine) -> None:
    with pytest.raises(LookupError, match="there is no subscription"):
        settle_subscription(engine, "00000000-0000-7000-8000-000000000000", AT_START)
