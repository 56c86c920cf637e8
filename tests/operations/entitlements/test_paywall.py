"""The paywall on other days than today: windows that pass, plans that change, rows that are cleared away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import uuid_utils

from domain.catalog import FeatureAllowance
from domain.entitlement_check import Reason
from domain.entitlements import Grant, SourceKind
from operations.entitlements import paywall
from operations.entitlements.paywall import Paywall, Reader
from operations.entitlements.turns import Turns
from storage.entitlements import put_grants
from storage.statements import DatabaseAway, Statements, close_pool, make_pool, open_pool
from tests.conftest import PostgresForTests

START = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SEVEN_DAYS = {"kind": "rolling", "days": 7}


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("paywall")


@pytest_asyncio.fixture(scope="module")
async def gate(url: str) -> AsyncIterator[Paywall]:
    pool = make_pool(url, "tests")
    await open_pool(pool)
    yield Paywall(Statements(pool))
    await close_pool(pool)


def allowance(count: int, window: dict[str, object] | None = None) -> FeatureAllowance:
    return FeatureAllowance.model_validate({"count": count, **({"window": window} if window else {})})


def put(url: str, account: str, limit: FeatureAllowance | None, zone: str = "UTC") -> Reader:
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into account (id, external_key, currency, time_zone, locale)"
            " values (%s, %s, 'USD', %s, 'en') on conflict do nothing",
            (account, account, zone),
        )
        grant = Grant(account, "news", SourceKind.SUBSCRIPTION, account, START, None, limit)
        put_grants(connection, account, "live", [grant], now=NOON)
    return Reader(account)


@pytest.fixture
def account() -> str:
    return str(uuid_utils.uuid7())


async def read(gate: Paywall, reader: Reader, *names: str, days: float = 0) -> list[bool]:
    at = NOON + timedelta(days=days)
    return [(await gate.use(reader, "news", name, at)).allowed for name in names]


async def test_a_calendar_month_begins_anew(gate: Paywall, url: str, account: str) -> None:
    reader = put(url, account, allowance(2))
    assert await read(gate, reader, "a", "b", "c") == [True, True, False]
    assert await read(gate, reader, "c", days=21) == [False]
    assert await read(gate, reader, "c", "d", "a", days=22) == [True, True, False]


async def test_a_month_begins_when_it_does_for_the_reader(gate: Paywall, url: str, account: str) -> None:
    reader = put(url, account, allowance(1), zone="Pacific/Auckland")
    last_of_march = datetime(2026, 3, 31, 10, 30, tzinfo=UTC)  # in Auckland it is still March, 23:30
    assert (await gate.use(reader, "news", "a", last_of_march)).counted
    assert not (await gate.use(reader, "news", "b", last_of_march + timedelta(minutes=29))).allowed
    assert (await gate.use(reader, "news", "b", last_of_march + timedelta(minutes=31))).counted


async def test_in_a_rolling_window_each_article_has_its_own_days(
    gate: Paywall, url: str, account: str
) -> None:
    reader = put(url, account, allowance(2, SEVEN_DAYS))
    assert await read(gate, reader, "a") == [True]
    assert await read(gate, reader, "b", days=3) == [True]
    assert await read(gate, reader, "c", "a", days=6) == [False, True]
    assert await read(gate, reader, "c", days=7) == [True]
    left = (await gate.check(reader, "news", NOON + timedelta(days=7))).left
    assert left is not None
    assert (left.used, left.left, left.next_free_on) == (2, 0, (NOON + timedelta(days=10)).date())


async def test_what_was_read_stays_counted_when_the_plan_gives_more_or_less(
    gate: Paywall, url: str, account: str
) -> None:
    reader = put(url, account, allowance(4))
    assert await read(gate, reader, "a", "b", "c") == [True] * 3
    put(url, account, allowance(2))
    assert await read(gate, reader, "d", "c") == [False, True]
    put(url, account, allowance(5))
    assert await read(gate, reader, "d", "e", "f") == [True, True, False]
    put(url, account, None)
    found = await gate.use(reader, "news", "f", NOON)
    assert (found.reason, found.counted) == (Reason.GRANTED, False)


async def test_a_shorter_window_frees_what_is_older(gate: Paywall, url: str, account: str) -> None:
    reader = put(url, account, allowance(1))
    assert await read(gate, reader, "a", days=-8) == [True]
    assert await read(gate, reader, "b") == [False]
    put(url, account, allowance(1, SEVEN_DAYS))
    assert await read(gate, reader, "b") == [True]


async def test_rows_that_count_no_more_are_cleared_away_by_later_uses(
    gate: Paywall, url: str, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(url, str(uuid_utils.uuid7()), allowance(3))
    new = put(url, account, allowance(3))
    await read(gate, old, "a", "b", days=-60)
    monkeypatch.setattr(paywall, "CLEARED_AFTER", 1)
    await read(gate, new, "c")
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select subscriber, resource from allowance_use where subscriber = any(%s)", ([old.key, new.key],)
        ).fetchall()
    assert rows == [(new.key, "c")]


async def test_a_test_clock_s_time_is_the_reader_s(gate: Paywall, url: str, account: str) -> None:
    """Its account is in May 2031, whatever the day is, and what live readers have used stays counted."""
    live = put(url, str(uuid_utils.uuid7()), allowance(1))
    assert await read(gate, live, "a") == [True]
    with psycopg.connect(url) as connection:
        clock, at = str(uuid_utils.uuid7()), datetime(2031, 5, 31, 12, tzinfo=UTC)
        connection.execute(
            "insert into test_clock (id, name, starts_at, frozen_at) values (%s, %s, %s, %s)",
            (clock, "ahead", at, at),
        )
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale, test_clock_id, clock_at)"
            " values (%s, 'test', %s, 'USD', 'UTC', 'en', %s, %s)",
            (account, account, clock, at),
        )
        grant = Grant(account, "news", SourceKind.SUBSCRIPTION, account, START, None, allowance(1))
        put_grants(connection, account, "test", [grant], now=NOON)
    reader = Reader(account, "test")
    assert await read(gate, reader, "a", "b") == [True, False]
    left = (await gate.check(reader, "news", NOON, by_clock=True)).left
    assert left is not None
    assert left.next_free_on == datetime(2031, 6, 1, tzinfo=UTC).date()
    with psycopg.connect(url) as connection:
        connection.execute(
            "update account set clock_at = clock_at + interval '1 day' where id = %s", (account,)
        )
    assert await read(gate, reader, "b") == [True]
    assert await read(gate, live, "b") == [False]


class Counted:
    """Statements, counted."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self.count = 0

    async def execute(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        self.count += 1
        return await self._statements.execute(statement, parameters)


async def test_fifty_at_once_ask_no_more_than_fifty_one_by_one(url: str, account: str) -> None:
    """They queue: if all wanted the same place at once, one would get it and the others ask again, 49 times over, and a
    busy database would let them wait for a connection too long."""
    reader = put(url, account, allowance(49))
    pool = make_pool(url, "tests")
    await open_pool(pool)
    statements = Counted(Statements(pool))
    gate = Paywall(statements)
    answers = await asyncio.gather(*(gate.use(reader, "news", f"n{no}", NOON) for no in range(50)))
    await close_pool(pool)
    assert sum(each.counted for each in answers) == 49
    # Grants, zone, what counts, and the place.
    assert statements.count <= 50 * 4


async def test_who_waits_too_long_for_a_turn_is_told_so() -> None:
    turns = Turns(longest=0.01)
    async with turns.take("reader"):
        with pytest.raises(DatabaseAway):
            async with turns.take("reader"):
                pass
        async with turns.take("another"):
            pass
    async with turns.take("reader"):
        pass
