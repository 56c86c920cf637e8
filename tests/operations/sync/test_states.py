"""States: read in exactly the shape that maps are checked against, whole batches at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from operations.sync.states import STATES, load_states, subjects_of
from storage.database import PgConnection
from storage.events import START, Event, read_batch
from tests.conftest import PostgresForTests
from tests.operations.billed import example_fleet


@pytest.fixture(scope="module")
def connection(pg_server: PostgresForTests) -> Iterator[PgConnection]:
    """The example's catalog and subscribers, billed once."""
    with psycopg.connect(example_fleet(pg_server, [date(2026, 12, 1)]), autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def events(connection: PgConnection) -> list[Event]:
    return read_batch(connection, START, limit=5000).events


def extra(model: type[BaseModel], value: Any) -> None:
    """Fail where a value has other fields than its model, at any depth, or a field is missing."""
    made = model.model_validate(value)
    assert made.model_dump(mode="json") == value


@pytest.mark.parametrize("kind", sorted(STATES))
def test_rows_have_the_shape_that_maps_are_checked_against(
    connection: PgConnection, events: list[Event], kind: str
) -> None:
    told_by = STATES[kind].events
    telling = [event for event in events if event.kind.partition(".")[0] in told_by]
    subjects = subjects_of(connection, kind, telling)
    assert len(subjects) == len(set(subjects)) > 10
    loaded = load_states(connection, kind, subjects)
    assert set(loaded) == set(subjects)
    for each in loaded.values():
        extra(STATES[kind].model, each.state)


def test_an_account_has_its_subscriptions_and_what_is_open(
    connection: PgConnection, events: list[Event]
) -> None:
    accounts = load_states(connection, "account", subjects_of(connection, "account", events))
    open_by_account = Counter[str]()
    for account, balance in connection.execute("select account_id::text, balance from invoice"):
        open_by_account[account] += balance
    assert {subject: each.state["balance"] for subject, each in accounts.items()} == {
        subject: open_by_account[subject] for subject in accounts
    }
    rows = connection.execute("select account_id::text, external_key from subscription").fetchall()
    assert {
        (subject, part["key"]) for subject, each in accounts.items() for part in each.state["subscriptions"]
    } == set(rows)


def test_a_change_of_an_account_tells_of_its_subscriptions(connection: PgConnection) -> None:
    row = connection.execute("select account_id::text, id::text from subscription limit 1").fetchone()
    assert row is not None
    changed = Event(START, "account.changed", row[0], row[0], 2)
    assert row[1] in subjects_of(connection, "subscription", [changed])
    assert subjects_of(connection, "account", [changed]) == [row[0]]


def test_what_does_not_exist_is_missing(connection: PgConnection) -> None:
    nobody = "00000000-0000-7000-8000-000000000000"
    assert load_states(connection, "account", [nobody]) == {}
    assert load_states(connection, "product", ["no-such-plan"]) == {}
