"""From events to messages: for whom, from when on, and never twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import uuid_utils
from sqlalchemy import Engine

from contracts.parked import Action
from operations.parked.decide import CannotDecide, Decision, decide
from operations.webhooks_out import endpoints
from operations.webhooks_out.fan_out import CURSOR, fan_out
from operations.webhooks_out.sending import take_turn
from operations.webhooks_out.upkeep import forget_old_messages
from storage.database import make_engine
from storage.encryption import Encryption, new_key
from storage.events import NewEvent, append_events, reset_cursor
from storage.webhooks_out import called_endpoints, calls_answered, neglected_endpoints
from tests.conftest import PostgresForTests
from tests.holding import writes_held
from tests.subscribers import add_subscription

CHANGED, POSTED = "subscription.changed", "invoice.posted"


class Place:
    """A database with its reader."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = make_engine(url)
        self.reader: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(url, autocommit=True)

    def add(self, name: str, *kinds: str, mode: str = "live") -> str:
        return endpoints.add_endpoint(
            self.engine,
            Encryption.of(new_key()),
            url=f"https://{name}.example.com/",
            kinds=kinds or ["*"],
            mode=mode,
        ).endpoint.id

    def happen(self, *kinds: str) -> None:
        append_events(self.reader, [NewEvent(kind, None, str(uuid_utils.uuid7()), 1) for kind in kinds])

    def read(self, limit: int = 1000) -> int:
        made = 0
        while (done := fan_out(self.reader, limit=limit)).moved:
            made += done.messages
        return made

    def told(self, endpoint: str) -> list[str]:
        rows = self.reader.execute(
            "select kind from webhook_message where endpoint_id = %s order by event_xid, event_id",
            (endpoint,),
        )
        return [kind for (kind,) in rows]


@pytest.fixture
def place(pg_server: PostgresForTests) -> Iterator[Place]:
    place = Place(pg_server.fresh_database("fan_out"))
    yield place
    place.reader.close()
    place.engine.dispose()


def test_each_is_told_what_it_wants_and_once(place: Place) -> None:
    everything, invoices, one = place.add("a"), place.add("b", "invoice.*"), place.add("c", CHANGED, "x.y")
    place.happen(CHANGED, POSTED, "invoice.paid", "payment.failed")
    assert place.read(limit=3) == 4 + 2 + 1
    assert place.told(everything) == [CHANGED, POSTED, "invoice.paid", "payment.failed"]
    assert place.told(invoices) == [POSTED, "invoice.paid"]
    assert place.told(one) == [CHANGED]
    reset_cursor(place.reader, CURSOR)
    assert place.read() == 0
    assert [endpoint for endpoint, _ in called_endpoints(place.reader)] == [everything, invoices, one]


def test_what_happened_before_an_endpoint_came_is_not_for_it(place: Place) -> None:
    place.happen(CHANGED)
    late = place.add("late")
    place.happen(POSTED)
    assert place.read() == 1
    assert place.told(late) == [POSTED]


def test_what_was_under_way_when_an_endpoint_came_is_for_it(place: Place) -> None:
    with psycopg.connect(place.url) as writer:
        append_events(writer, [NewEvent(CHANGED, None, str(uuid_utils.uuid7()), 1)])
        endpoint = place.add("meanwhile")
        place.happen(POSTED)
        assert place.read() == 0
    assert place.read() == 2
    assert sorted(place.told(endpoint)) == [POSTED, CHANGED]


def test_test_accounts_are_for_test_endpoints_only(place: Place) -> None:
    live, test = place.add("live"), place.add("test", mode="test")
    add_subscription(place.reader, event=CHANGED)
    add_subscription(place.reader, event="subscription.imported", mode="test")
    place.read()
    assert (place.told(live), place.told(test)) == ([CHANGED], ["subscription.imported"])


def test_a_disabled_endpoint_is_told_nothing_until_it_is_enabled(place: Place) -> None:
    endpoint = place.add("off", POSTED)
    endpoints.disable(place.engine, endpoint, "being moved")
    endpoints.disable(place.engine, endpoint, "again")
    place.happen(POSTED)
    place.read()
    endpoints.enable(place.engine, endpoint)
    place.happen(POSTED)
    place.read()
    assert len(place.told(endpoint)) == 1


def test_without_endpoints_the_reader_passes_all(place: Place) -> None:
    place.happen(*[CHANGED] * 20)
    assert fan_out(place.reader, limit=5) == (True, False, 0)
    assert fan_out(place.reader) == (False, False, 0)


def test_a_call_that_comes_meanwhile_is_not_lost(place: Place) -> None:
    endpoint = place.add("called")
    place.happen(CHANGED)
    place.read()
    seen = called_endpoints(place.reader)
    place.happen(CHANGED)
    place.read()
    calls_answered(place.reader, seen)
    again = called_endpoints(place.reader)
    assert [each for each, _ in again] == [endpoint]
    calls_answered(place.reader, again)
    assert called_endpoints(place.reader) == []


def test_what_somebody_should_have_sent_is_found(place: Place) -> None:
    endpoint = place.add("forgotten")
    place.happen(CHANGED)
    place.read()
    now = datetime.now(UTC)
    assert neglected_endpoints(place.reader, now - timedelta(minutes=2)) == []
    assert neglected_endpoints(place.reader, now + timedelta(seconds=1)) == [endpoint]
    place.reader.execute("update webhook_endpoint set held_until = now() + interval '1 hour'")
    assert neglected_endpoints(place.reader, now + timedelta(seconds=1)) == []


def test_what_is_old_is_forgotten_but_not_what_is_parked(place: Place) -> None:
    endpoint = place.add("old")
    place.happen(*[CHANGED] * 3)
    place.read()
    place.reader.execute(
        "update webhook_message set status = 'failed', error_kind = 'http_500', next_attempt_at = null,"
        " ended_at = now() - interval '31 days'"
    )
    place.reader.execute(
        "insert into parked (id, kind, trace_key, error_kind, message, remedy)"
        " select gen_random_uuid(), 'webhook_out', 'msg_' || id, 'http_500', '', '' from webhook_message limit 1"
    )
    assert forget_old_messages(place.reader, datetime.now(UTC) - timedelta(days=2)) == 0
    assert forget_old_messages(place.reader, datetime.now(UTC)) == 2
    assert len(place.told(endpoint)) == 1


def test_an_endpoint_that_is_being_written_down_undoes_no_batch(place: Place) -> None:
    endpoint = place.add("flapping")
    place.happen(CHANGED)
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(place.url) as delivery,
        psycopg.connect(place.url, autocommit=True) as onlooker,
    ):
        delivery.execute("update webhook_endpoint set failures = failures + 1")
        reading = thread.submit(fan_out, place.reader)
        waiting = "select count(*) from pg_locks where not granted"
        while onlooker.execute(waiting).fetchone() == (0,) and not reading.done():
            pass
        assert onlooker.execute("select count(*) from webhook_message").fetchone() == (1,)
        delivery.commit()
        assert reading.result().messages == 1
    assert [each for each, _ in called_endpoints(place.reader) if each == endpoint] == [endpoint]


def test_an_event_without_an_account_has_its_subjects_mode(place: Place) -> None:
    live, test = place.add("live"), place.add("test", mode="test")
    other = place.add("other", "x.y", mode="test")
    endpoints.disable(place.engine, other, "moved")
    place.read()
    assert (place.told(live), place.told(test)) == ([], [endpoints.DISABLED_EVENT])


def _parked(place: Place) -> tuple[str, str]:
    endpoint = place.add("parked")
    place.happen(CHANGED)
    place.read()
    row = place.reader.execute(
        "insert into parked (id, kind, trace_key, error_kind, message, remedy)"
        " select gen_random_uuid(), 'webhook_out', 'msg_' || id, 'http_500', '', '' from webhook_message"
        " returning id::text"
    ).fetchone()
    assert row is not None
    return endpoint, str(row[0])


def test_a_deleted_endpoint_leaves_nothing_parked(place: Place) -> None:
    endpoint, _ = _parked(place)
    endpoints.delete(place.engine, endpoint)
    assert place.reader.execute("select 1 from parked where resolved_at is null").fetchall() == []


@pytest.mark.parametrize("action", [Action.SKIP, Action.FAIL])
def test_a_message_can_be_let_go_but_is_sent_again_its_own_way(place: Place, action: Action) -> None:
    _, park = _parked(place)
    with psycopg.connect(place.url) as connection, pytest.raises(CannotDecide):
        decide(connection, park, Decision(Action.RETRY, "ops", "again"))
    with psycopg.connect(place.url) as connection:
        decide(connection, park, Decision(action, "ops", "they know already"))
    assert place.reader.execute("select resolution from parked").fetchall() == [(action.value,)]


def test_nothing_is_sent_while_writes_are_held(place: Place) -> None:
    encryption = Encryption.of(new_key())
    issued = endpoints.add_endpoint(place.engine, encryption, url="https://held.example.com/", kinds=["*"])
    place.happen(POSTED)
    place.read()
    now = datetime.now(UTC) + timedelta(minutes=1)
    with writes_held(place.url):
        turn = take_turn(place.engine, encryption, issued.endpoint.id, now, now, 10)
        assert turn.letters == ()
        assert turn.next_at is not None
        assert turn.next_at > now
    assert len(take_turn(place.engine, encryption, issued.endpoint.id, now, now, 10).letters) == 1
