"""Requests are written down, found again, and do not pile up."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from connectors.sdk.ports import RequestEntry
from storage.database import PgConnection
from storage.pool import Pool
from storage.request_log import LONGEST_TEXT, LoggedRequest, PostgresRequestLog, requests_of
from tests.conftest import PostgresForTests

AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("requests")


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    made = Pool(url)
    yield made
    await made.aclose()


def entry(
    connection: str, n: int = 0, *, at: datetime | None = None, trace: str | None = None
) -> RequestEntry:
    return RequestEntry(
        connection=connection,
        at=at or datetime.now(UTC),
        method="POST",
        url=f"https://api.example/{n}",
        outcome="200",
        milliseconds=12,
        tries=2,
        trace=trace,
        request='{"amount": 1250}',
        answer=None,
    )


def found(url: str, name: str | None = None, *, trace: str | None = None) -> list[LoggedRequest]:
    with psycopg.connect(url) as connection:
        return requests_of(connection, name, trace=trace)


async def test_a_request_is_found_by_its_connection_and_by_what_made_it(url: str, pool: Pool) -> None:
    log = PostgresRequestLog(pool)
    await log.record(entry("shop", 1, at=AT, trace="call/1"))
    await log.record(entry("shop", 2, at=AT))
    await log.record(entry("other", 3, at=AT, trace="call/1"))
    newest, first = found(url, "shop")
    assert (newest.url, newest.trace) == ("https://api.example/2", None)
    assert first[1:] == (
        *("shop", AT, "POST", "https://api.example/1", "200", 12, 2, "call/1"),
        *('{"amount": 1250}', None),
    )
    assert [each.connection for each in found(url, trace="call/1")] == ["other", "shop"]


async def test_old_entries_and_too_many_of_one_connection_are_removed(url: str, pool: Pool) -> None:
    log = PostgresRequestLog(pool, days=14, rows=3)
    await log.record(entry("quiet", 1))
    await log.record(entry("quiet", 2, at=datetime.now(UTC) - timedelta(days=15)))
    for n in range(5):
        await log.record(entry("busy", n))
    await log.trim()
    assert [each.url for each in found(url, "quiet")] == ["https://api.example/1"]
    assert [each.url[-1] for each in found(url, "busy")] == ["4", "3", "2"]
    assert await log.trim() == 0


async def test_what_postgres_cannot_keep_is_kept_as_far_as_it_can(url: str, pool: Pool) -> None:
    answer = "a\0b" + "x" * LONGEST_TEXT
    await PostgresRequestLog(pool).record(
        RequestEntry("odd", AT, "GET", "https://api.example", "broken", 1, answer=answer)
    )
    (kept,) = found(url, "odd")
    assert kept.answer is not None
    assert kept.answer.startswith("a�bx")
    assert len(kept.answer) == LONGEST_TEXT


async def test_a_database_that_is_away_fails_no_call_and_shows_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = Pool("postgresql://nobody:hush@127.0.0.1:1/nowhere")
    with caplog.at_level(logging.WARNING, "masthead.requests"):
        await PostgresRequestLog(pool, within=0.2).record(entry("shop"))
    await pool.aclose()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "masthead.requests"]
    assert line.startswith("a request of shop was not written down")
    assert "hush" not in line


def test_reading_takes_a_plain_connection(url: str) -> None:
    connection: PgConnection
    with psycopg.connect(url) as connection:
        assert requests_of(connection, "nobody") == []
