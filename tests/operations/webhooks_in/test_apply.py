"""From the inbox to effects: each delivery one, in whatever order; and one that cannot be applied holds nobody up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from operations.webhooks_in.apply import TRIES, Applied, apply_batch
from operations.webhooks_in.handlers import Outcome, Signal, WebhookHandlers, each, payload_of
from storage.database import PgConnection, make_engine, transaction
from storage.inbound_endpoints import InboundEndpoint, endpoints_with_work
from storage.parked import open_parks
from storage.webhook_inbox import Chosen, StoredDelivery, purge, replay
from tests.conftest import PostgresForTests
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put, rows

FACTS = """
    select object_key, kind, delivery_key, occurred_at, payload, seen from vendor_fact where connection = %s order by 1
"""


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("apply")


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


def drain(
    engine: Engine, endpoint: InboundEndpoint, handlers: WebhookHandlers | None = None, limit: int = 500
) -> Applied:
    """Apply until nothing is left that may be applied now."""
    total = Applied()
    while (batch := apply_batch(engine, endpoint, handlers or WebhookHandlers(), limit=limit)).taken:
        total.add(batch)
    return total


def hurry(url: str) -> None:
    """Let what rests be tried at once."""
    with psycopg.connect(url) as connection:
        connection.execute("update webhook_delivery set retry_at = now() where retry_at is not null")


def counted(url: str, endpoint: InboundEndpoint) -> dict[str, int]:
    return dict(
        rows(
            url,
            "select status, count(*) from webhook_delivery where endpoint_id = %s group by 1",
            endpoint.id,
        )
    )


told = st.builds(
    Told,
    key=st.sampled_from("abcdefgh"),
    about=st.sampled_from(["x", "y"]),
    second=st.integers(0, 3),
    kind=st.sampled_from(["made", "changed", "gone"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    what=st.lists(told, min_size=1, max_size=8, unique_by=lambda each: each.key),
    chance=st.randoms(use_true_random=False),
    limit=st.integers(1, 5),
)
def test_every_order_and_repetition_ends_in_the_same_facts(
    url: str, engine: Engine, what: list[Told], chance: random.Random, limit: int
) -> None:
    ends = []
    for shuffled in (False, True):
        name = str(uuid4())
        endpoint = make_endpoint(url, name)
        sent = list(what)
        if shuffled:
            sent += chance.choices(what, k=len(what))
            chance.shuffle(sent)
        for at in range(0, len(sent), 3):
            put(url, endpoint, sent[at : at + 3])
            if chance.random() < 0.5:
                apply_batch(engine, endpoint, WebhookHandlers(), limit=limit)
        drain(engine, endpoint, limit=limit)
        ends.append(rows(url, FACTS, name))
        assert sum(fact[5] for fact in ends[-1]) == len(what)
        assert counted(url, endpoint) == {"done": len(what)}
    assert ends[0] == ends[1]
    latest = {each.about: each for each in sorted(what, key=lambda each: (each.second, each.key))}
    assert {fact[0]: fact[2] for fact in ends[0]} == {about: each.key for about, each in latest.items()}


def test_a_fact_that_changes_is_told_in_the_event_log_and_a_late_one_is_not(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "telling")
    for second, effect in ((5, "fact"), (3, "superseded"), (9, "fact")):
        put(url, endpoint, [Told(f"at-{second}", second=second)])
        drain(engine, endpoint)
        assert (effect,) in rows(
            url, "select effect from webhook_delivery where delivery_key = %s", f"at-{second}"
        )
    events = rows(
        url,
        "select e.kind, e.version from event_log e join vendor_fact f on f.id = e.subject_id"
        " where f.connection = 'telling' order by e.id",
    )
    assert events == [("vendor.fact", 1), ("vendor.fact", 2)]


def test_test_mode_has_facts_of_its_own(url: str, engine: Engine) -> None:
    for mode in ("live", "test"):
        endpoint = make_endpoint(url, "both", mode)
        put(url, endpoint, [Told(mode)])
        drain(engine, endpoint)
    found = rows(url, "select mode, delivery_key, seen from vendor_fact where connection = 'both' order by 1")
    assert found == [("live", "live", 1), ("test", "test", 1)]


def test_many_dispatchers_at_once_apply_each_delivery_once(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "crowded")
    put(url, endpoint, [Told(f"k{number}", about=f"o{number % 7}", second=number) for number in range(600)])
    with psycopg.connect(url) as connection:
        connection.execute("create table effect (key text)")

    @each
    def write(connection: PgConnection, delivery: StoredDelivery, _: InboundEndpoint) -> Outcome:
        connection.execute("insert into effect values (%s)", (payload_of(delivery)["key"],))
        return Outcome("written")

    handlers = WebhookHandlers()
    handlers.register("crowded/*", write)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            drain(engine, endpoint, handlers, limit=20)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    keys = [key for (key,) in rows(url, "select key from effect")]
    assert len(keys) == len(set(keys)) == 600
    assert counted(url, endpoint) == {"done": 600}


def failing(on: Callable[[StoredDelivery], bool], seen: list[str]) -> WebhookHandlers:
    @each
    def handle(connection: PgConnection, delivery: StoredDelivery, _: InboundEndpoint) -> Outcome:
        connection.execute("select 1")
        if on(delivery):
            raise RuntimeError("the plan is not known\nalice@example.com bought it")
        seen.append(delivery.key)
        return Outcome("seen", signals=(Signal("workflow", "heard", delivery.key),))

    handlers = WebhookHandlers()
    handlers.register("*/*", handle)
    return handlers


def test_one_that_cannot_be_applied_is_parked_and_the_others_do_not_wait(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "poisoned")
    put(url, endpoint, [Told(f"k{number:02}") for number in range(40)])
    handlers = failing(lambda delivery: delivery.key == "k17", [])
    first = drain(engine, endpoint, handlers)
    assert (first.decided, first.put_back, first.parked) == (39, 1, 0)
    assert {signal.argument for signal in first.signals} == {f"k{n:02}" for n in range(40)} - {"k17"}
    assert endpoint.id not in {each.id for each in endpoints_waiting(engine)}
    for _ in range(TRIES - 1):
        hurry(url)
        drain(engine, endpoint, handlers)
    assert counted(url, endpoint) == {"done": 39, "parked": 1}
    hurry(url)
    assert drain(engine, endpoint, handlers).taken == 0
    (park,) = [park for park in parks(engine) if "poisoned" in park["message"]]
    assert (park["kind"], park["error_kind"]) == ("webhook", "RuntimeError")
    assert "the plan is not known" in park["message"]
    assert "alice" not in park["message"]
    assert "replay" in park["remedy"]


def endpoints_waiting(engine: Engine) -> list[InboundEndpoint]:
    with transaction(engine) as connection:
        return endpoints_with_work(connection)


def parks(engine: Engine) -> list[dict[str, str]]:
    with transaction(engine) as connection:
        return open_parks(connection, 100)


def test_what_is_parked_is_applied_by_a_replay_once_it_can_be(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "repaired")
    put(url, endpoint, [Told("a"), Told("b")])
    broken = failing(lambda _: True, [])
    for _ in range(TRIES):
        drain(engine, endpoint, broken)
        hurry(url)
    assert counted(url, endpoint) == {"parked": 2}
    seen: list[str] = []
    with transaction(engine) as connection:
        assert replay(connection, Chosen(connection="repaired", status="parked")) == 2
        assert replay(connection, Chosen(connection="repaired")) == 0
    drain(engine, endpoint, failing(lambda _: False, seen))
    assert seen == ["a", "b"]
    assert not [park for park in parks(engine) if "repaired" in park["message"]]


def test_a_replay_is_chosen_by_id_key_and_time_and_counts_no_delivery_twice(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "again")
    put(url, endpoint, [Told("a", second=1), Told("b", second=2), Told("c", about="other")])
    drain(engine, endpoint)
    ids = [
        row[0]
        for row in rows(
            url, "select id from webhook_delivery where endpoint_id = %s order by id", endpoint.id
        )
    ]
    facts = rows(url, FACTS, "again")
    now = datetime.now(UTC)
    for chosen, count in (
        (Chosen(ids=ids[:2]), 2),
        (Chosen(connection="again", key="c"), 1),
        (Chosen(connection="again", until=now - timedelta(days=1)), 0),
        (Chosen(connection="again", since=now - timedelta(days=1)), 3),
        (Chosen(connection="somebody else"), 0),
    ):
        with transaction(engine) as connection:
            assert replay(connection, chosen) == count
        assert drain(engine, endpoint).decided == count
        assert rows(url, FACTS, "again") == facts


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=body[:20].hex())
        for body in (
            b"not json",
            b"\xff",
            b'{"a": "\\u0000"}',
            b'{"a": NaN}',
            b'"\\ud800"',
            b"[" * 100_000 + b"]" * 100_000,
        )
    ],
)
def test_a_body_that_is_no_json_is_parked_and_not_lost(url: str, engine: Engine, body: bytes) -> None:
    name = f"strange-{body[:20].hex()}"
    endpoint = make_endpoint(url, name)
    put(url, endpoint, [Told("good"), Told("bad", "broken", body=body), Told("also good", about="another")])
    for _ in range(TRIES):
        drain(engine, endpoint)
        hurry(url)
    assert counted(url, endpoint) == {"done": 2, "parked": 1}
    assert [fact[2] for fact in rows(url, FACTS, name)] == ["also good", "good"]


def test_handlers_are_asked_in_order_and_take_neighbours_together(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "ruled")
    groups: list[tuple[str, list[str]]] = []

    def taker(name: str) -> Callable[..., list[Outcome]]:
        def take(_: PgConnection, __: InboundEndpoint, deliveries: list[StoredDelivery]) -> list[Outcome]:
            groups.append((name, [delivery.key for delivery in deliveries]))
            return [Outcome(name, "ignored" if name == "rest" else "done") for _ in deliveries]

        return take

    handlers = WebhookHandlers(taker("rest"))
    handlers.register("ruled/plan.*", taker("plan"))
    handlers.register("standard-webhooks/person.made", taker("person"))
    kinds = ["plan.a", "plan.b", "person.made", "person.gone", "plan.c"]
    put(url, endpoint, [Told(kind, kind=kind) for kind in kinds])
    drain(engine, endpoint, handlers)
    assert groups == [
        ("plan", kinds[:2]),
        ("person", kinds[2:3]),
        ("rest", kinds[3:4]),
        ("plan", kinds[4:]),
    ]
    assert counted(url, endpoint) == {"done": 4, "ignored": 1}
    with pytest.raises(ValueError, match="NAME/KIND"):
        handlers.register("nonsense", taker("x"))


def test_a_handler_that_forgets_an_outcome_changes_nothing(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "forgetful")
    put(url, endpoint, [Told("a")])
    handlers = WebhookHandlers(lambda *_: [])
    assert drain(engine, endpoint, handlers).put_back == 1
    assert counted(url, endpoint) == {"new": 1}


def test_a_database_error_that_passes_counts_against_nobody(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "interrupted")
    put(url, endpoint, [Told("a")])

    def interrupted(connection: PgConnection, *_: object) -> list[Outcome]:
        connection.execute("select pg_terminate_backend(pg_backend_pid())")
        return []

    with pytest.raises(psycopg.OperationalError):
        apply_batch(engine, endpoint, WebhookHandlers(interrupted))
    assert drain(engine, endpoint).decided == 1
    assert rows(url, "select attempts from webhook_delivery where endpoint_id = %s", endpoint.id) == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "do $$ begin raise query_canceled; end $$",
        "do $$ begin raise lock_not_available; end $$",
        "do $$ begin raise program_limit_exceeded; end $$",
    ],
)
def test_what_the_database_refuses_of_one_is_counted_against_that_one(
    url: str, engine: Engine, statement: str
) -> None:
    endpoint = make_endpoint(url, statement)
    put(url, endpoint, [Told("a"), Told("poison"), Told("b")])

    @each
    def handle(connection: PgConnection, delivery: StoredDelivery, _: InboundEndpoint) -> Outcome:
        if delivery.key == "poison":
            connection.execute(statement.encode())
        return Outcome("seen")

    for _ in range(TRIES):
        drain(engine, endpoint, WebhookHandlers(handle))
        hurry(url)
    assert counted(url, endpoint) == {"done": 2, "parked": 1}


def test_a_transaction_that_met_another_counts_against_nobody(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url, "met")
    put(url, endpoint, [Told("a"), Told("b")])

    def meet(connection: PgConnection, *_: object) -> list[Outcome]:
        connection.execute("do $$ begin raise serialization_failure; end $$")
        return []

    with pytest.raises(psycopg.errors.SerializationFailure):
        apply_batch(engine, endpoint, WebhookHandlers(meet))
    assert rows(url, "select sum(attempts) from webhook_delivery where endpoint_id = %s", endpoint.id) == [
        (0,)
    ]


def test_only_what_is_decided_and_old_is_purged(url: str, engine: Engine) -> None:
    endpoint, other = make_endpoint(url, "old"), make_endpoint(url, "elsewhere")
    put(url, endpoint, [Told(f"k{number}") for number in range(5)])
    put(url, other, [Told("k")])
    drain(engine, endpoint, limit=3)
    drain(engine, other)
    put(url, endpoint, [Told("waits")])
    with transaction(engine) as connection:
        now = datetime.now(UTC)
        assert purge(connection, endpoint.id, now - timedelta(days=1)) == 0
        assert purge(connection, endpoint.id, now + timedelta(days=1)) == 5
        assert purge(connection, endpoint.id, now + timedelta(days=1)) == 0
    assert counted(url, endpoint) == {"new": 1}
    assert counted(url, other) == {"done": 1}
