"""Verification reads off the rows that each webhook had its effect once (I14), and names what breaks it."""

from __future__ import annotations

import psycopg
import pytest

from operations.verify import LawResult, verify
from operations.webhooks_in.apply import TRIES, apply_batch
from operations.webhooks_in.handlers import Outcome, WebhookHandlers
from storage.database import make_engine, transaction
from storage.webhook_inbox import Chosen, replay, set_aside
from tests.conftest import PostgresForTests
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put, rows


def _law(url: str) -> LawResult:
    engine = make_engine(url)
    try:
        (found,) = [result for result in verify(engine) if result.law == "I14"]
    finally:
        engine.dispose()
    return found


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    """A database in which two objects were told of by three deliveries."""
    url = pg_server.fresh_database("webhook_law")
    endpoint = make_endpoint(url)
    put(url, endpoint, [Told(f"key-{number}", about, number) for number, about in enumerate(("a", "a", "b"))])
    engine = make_engine(url)
    assert apply_batch(engine, endpoint, WebhookHandlers()).decided == 3
    engine.dispose()
    return url


def test_what_was_told_once_keeps_the_law(url: str) -> None:
    assert (_law(url).checked, _law(url).broken) == (3, 0)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            "update vendor_fact set seen = 1 where object_key = 'a'",
            "2 deliveries were applied, and 1 are counted",
        ),
        ("delete from vendor_fact where object_key = 'b'", "1 deliveries were applied, and 0 are counted"),
        (
            "update vendor_fact set occurred_at = '2020-01-01' where object_key = 'a'",
            "tells of something later",
        ),
        (
            "update webhook_delivery set endpoint_id = gen_random_uuid() where object_key = 'b'",
            "is not there",
        ),
    ],
)
def test_each_damage_is_named(url: str, damage: str, told: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(damage.encode())
    found = _law(url)
    assert found.broken > 0
    assert told in "\n".join(violation.what for violation in found.violations)


def test_what_was_skipped_and_is_replayed_keeps_the_law(url: str) -> None:
    endpoint = make_endpoint(url, "skipping")
    put(url, endpoint, [Told("later", "c", 9)])
    engine = make_engine(url)

    def refuse(*_: object) -> list[Outcome]:
        raise RuntimeError("not yet")

    for _ in range(TRIES):
        apply_batch(engine, endpoint, WebhookHandlers(refuse))
        with psycopg.connect(url) as connection:
            connection.execute("update webhook_delivery set retry_at = null")
    ((number,),) = rows(url, "select id from webhook_delivery where status = 'parked'")
    with transaction(engine) as connection:
        assert set_aside(connection, number) is not None
    for _ in range(2):
        with transaction(engine) as connection:
            assert replay(connection, Chosen(ids=[number])) == 1
        assert apply_batch(engine, endpoint, WebhookHandlers()).decided == 1
    engine.dispose()
    assert rows(url, "select seen from vendor_fact where object_key = 'c'") == [(1,)]
    assert (_law(url).checked, _law(url).broken) == (4, 0)
