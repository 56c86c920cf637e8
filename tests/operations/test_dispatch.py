"""The dispatcher: what events ask for, and that it reaches Temporal through every kind of failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.names import subscription_id as workflow_id
from operations.dispatch import CHANGES, IMPORTS, Lane, follow_ups_done, lanes_behind, next_follow_ups
from runtime.dispatcher import ROLE, dispatch
from runtime.temporal import connect
from storage.database import make_engine
from storage.events import START, Cursor, NewEvent, append_events, read_cursor
from storage.parked import open_parks
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.subscribers import add_subscription, change_dates
from tests.temporal_server import TemporalServer

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("dispatch")


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    """Nobody polls it, so that what was started and signalled stays to be looked at."""
    running = TemporalServer(tmp_path_factory.mktemp("dispatch"))
    await running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
async def client(server: TemporalServer) -> Client:
    return await connect(server.address, NAMESPACE)


async def until(what: str, true: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Wait until `await true()` holds."""
    async with asyncio.timeout(seconds):
        while True:
            if await true():
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def dispatcher(url: str, client: Client) -> AsyncIterator[asyncio.Task[None]]:
    """One dispatcher, as a worker process runs it."""
    engine = make_engine(url)
    task = asyncio.create_task(dispatch(engine, client))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        engine.dispose()


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(days=10)


async def signals(client: Client, subscription: str) -> int:
    """How many signals the subscription's episode was sent; -1 when there is none."""
    try:
        history = await client.get_workflow_handle(workflow_id(subscription)).fetch_history()
    except RPCError:
        return -1
    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return sum(event.event_type == kind for event in history.events)


def leader(connection: psycopg.Connection[tuple[object, ...]]) -> int | None:
    """The backend that holds the dispatcher's lock."""
    row = connection.execute(
        "select pid from pg_locks where locktype = 'advisory' and objid = %s and granted"
        " and database = (select oid from pg_database where datname = current_database())",
        (ROLE,),
    ).fetchone()
    return int(str(row[0])) if row else None


def test_events_ask_only_for_what_is_near(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    near, far = NOW + timedelta(days=34), NOW + timedelta(days=36)
    imported, changed = "subscription.imported", "subscription.changed"
    with connection.transaction():
        imported_near = add_subscription(connection, event=imported, next_due=near)
        imported_far = add_subscription(connection, event=imported, next_due=far)
        imported_quiet = add_subscription(connection, event=imported)
        changed_near = add_subscription(connection, event=changed, next_due=near)
        changed_far = add_subscription(connection, event=changed, next_due=far)
        changed_quiet = add_subscription(connection, event=changed)
        add_subscription(connection, event=changed, next_due=near, mode="test")
        append_events(connection, [NewEvent("invoice.posted", None, changed_near, 1)] * 5)
    for lane, expected in (
        (IMPORTS, ({imported_near}, {imported_far, imported_quiet})),
        (CHANGES, ({changed_near}, {changed_far, changed_quiet})),
    ):
        asked = next_follow_ups(connection, lane, NOW)
        assert tuple({ref.subscription_id for ref in refs} for refs in asked[:2]) == expected
        assert asked.upto != asked.seen
        assert not asked.more
        assert next_follow_ups(connection, lane, NOW) == asked, "asking moves nothing"
        assert follow_ups_done(connection, lane, asked)
        assert not follow_ups_done(connection, lane, asked)
        nothing = next_follow_ups(connection, lane, NOW)
        assert (nothing.seen, nothing.upto) == (asked.upto, asked.upto)


def test_a_subscription_is_followed_up_once_for_many_events(
    connection: psycopg.Connection[tuple[object, ...]], url: str
) -> None:
    subscription = add_subscription(connection)
    for day in (5, 6, 7):
        change_dates(url, subscription, next_due=NOW + timedelta(days=day))
    assert [ref.subscription_id for ref in next_follow_ups(connection, CHANGES, NOW).near] == [subscription]


async def test_an_event_reaches_its_episode(
    url: str, connection: psycopg.Connection[tuple[object, ...]], client: Client
) -> None:
    async with dispatcher(url, client):
        with connection.transaction():
            subscription = add_subscription(connection, event="subscription.imported", next_due=soon())
            quiet = add_subscription(connection, event="subscription.imported")
        await until("it is opened", lambda: truth(signals(client, subscription), 0))
        change_dates(url, subscription, next_due=soon())
        await until("it is signalled", lambda: truth(signals(client, subscription), 1))
        change_dates(url, subscription, next_due=None)
        await until("it is woken", lambda: truth(signals(client, subscription), 2))
        opened_by_change = add_subscription(connection, event="subscription.changed", next_due=soon())
        await until("it is opened and signalled", lambda: truth(signals(client, opened_by_change), 1))
    assert await signals(client, quiet) == -1


async def test_another_one_leads_when_the_leader_is_lost(
    url: str, connection: psycopg.Connection[tuple[object, ...]], client: Client
) -> None:
    async with dispatcher(url, client) as first, dispatcher(url, client):
        await until("one leads", lambda: present(leader(connection)))
        lost = leader(connection)
        connection.execute("select pg_terminate_backend(%s)", (lost,))
        await until("one leads again", lambda: present(leader(connection) not in (None, lost)))
        subscription = add_subscription(connection, event="subscription.changed", next_due=soon())
        await until("it dispatches", lambda: truth(signals(client, subscription), 1))
        first.cancel()
        await until("the other leads", lambda: present(leader(connection)))
        other = add_subscription(connection, event="subscription.changed", next_due=soon())
        await until("it dispatches as well", lambda: truth(signals(client, other), 1))


async def test_it_goes_on_after_the_database_was_away(
    url: str, connection: psycopg.Connection[tuple[object, ...]], client: Client, pg_server: PostgresForTests
) -> None:
    name = connection.info.dbname
    with psycopg.connect(pg_server.server.url("postgres"), autocommit=True) as admin:

        def connections(allowed: bool) -> None:
            admin.execute(
                sql.SQL("alter database {} allow_connections {}").format(
                    sql.Identifier(name), sql.Literal(allowed)
                )
            )

        async with dispatcher(url, client) as task:
            await until("it leads", lambda: present(leader(connection)))
            connections(False)
            admin.execute("select pg_terminate_backend(%s)", (leader(connection),))
            subscription = add_subscription(connection, event="subscription.changed", next_due=soon())
            await until("nobody leads", lambda: present(leader(connection) is None))
            connections(True)
            await until("it is followed up", lambda: truth(signals(client, subscription), 1))
            assert not task.done()


async def test_it_catches_up_after_temporal_was_away(
    url: str, connection: psycopg.Connection[tuple[object, ...]], client: Client, server: TemporalServer
) -> None:
    async with dispatcher(url, client):
        await until("it leads", lambda: present(leader(connection)))
        server.kill()
        waiting = []
        for _ in range(3):
            # Each lane polls as often as the other: by its third move the other has met the first of these.
            before = read_cursor(connection, IMPORTS.cursor)
            waiting.append(add_subscription(connection, event="subscription.changed", next_due=soon()))
            await until("imports are read", partial(moved, connection, IMPORTS, before))
        assert read_cursor(connection, CHANGES.cursor) == START, "the cursor waits for the effects"
        await server.start()
        for subscription in waiting:
            await until("it is followed up", partial(opened, client, subscription))
        await until("the cursor has moved", partial(moved, connection, CHANGES, START))
    assert open_parks(connection, 10) == [], "a server that is away is waited for"


async def test_what_temporal_refuses_for_ever_is_parked_and_the_rest_goes_on(
    url: str,
    connection: psycopg.Connection[tuple[object, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law I8: delivered, or parked in sight. An episode takes so many signals and no more; here three."""
    limit = "history.maximumSignalsPerExecution=3"
    server = TemporalServer(tmp_path, "--dynamic-config-value", limit)
    await server.start()
    monkeypatch.setattr("runtime.dispatcher.TRY_PARKED_AGAIN_SECONDS", 1.0)
    try:
        client = await connect(server.address, NAMESPACE)
        async with dispatcher(url, client):
            full = add_subscription(connection, event="subscription.changed", next_due=soon())
            for before in (1, 2):
                await until("it is signalled", partial(has_signals, client, full, before))
                change_dates(url, full, next_due=soon())
            await until("it is full", lambda: truth(signals(client, full), 3))
            change_dates(url, full, next_due=soon())
            other = add_subscription(connection, event="subscription.changed", next_due=soon())
            await until("the other is followed up", lambda: truth(signals(client, other), 1))
            later = add_subscription(connection, event="subscription.changed", next_due=soon())
            await until("the lane goes on", lambda: truth(signals(client, later), 1))

            (park,) = open_parks(connection, 10)
            assert (park["kind"], park["error_kind"]) == ("follow-up", "invalid_argument")
            assert park["trace_key"] == workflow_id(full)
            assert "limit" in str(park["message"])
            assert "terminating it loses nothing" in str(park["remedy"])

            await until("it is tried again", lambda: present(int(open_parks(connection, 10)[0]["times"]) > 1))
            await client.get_workflow_handle(workflow_id(full)).terminate()
            await until("it is carried out", lambda: truth(signals(client, full), 1))
            await until("its park is closed", lambda: present(not open_parks(connection, 10)))
        closed = connection.execute("select resolution from parked").fetchall()
        assert closed == [("carried out",)]
    finally:
        server.kill()


def test_a_lane_whose_first_event_waits_for_minutes_is_stuck(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    """Law I15."""
    assert {(lane.events, lane.stuck) for lane in lanes_behind(connection)} == {(0, False)}
    subscription = add_subscription(connection, event="subscription.changed")
    assert {(lane.events, lane.stuck) for lane in lanes_behind(connection)} == {(1, False)}
    asked = next_follow_ups(connection, CHANGES, NOW)
    assert follow_ups_done(connection, CHANGES, asked)
    connection.execute(
        "insert into event_log (at, kind, subject_id, version)"
        " values (now() - interval '301 seconds', 'subscription.changed', %s, 2)",
        (subscription,),
    )
    assert [(lane.name, lane.events, lane.stuck) for lane in lanes_behind(connection)] == [
        (CHANGES.cursor, 1, True),
        (IMPORTS.cursor, 2, False),
    ]
    assert follow_ups_done(connection, CHANGES, next_follow_ups(connection, CHANGES, NOW))
    assert lanes_behind(connection)[0] == (CHANGES.cursor, 0, 0.0)


async def moved(connection: psycopg.Connection[tuple[object, ...]], lane: Lane, before: Cursor) -> bool:
    return read_cursor(connection, lane.cursor) != before


async def opened(client: Client, subscription: str) -> bool:
    """An answer may be lost with the server, and then the signal comes twice: that is allowed."""
    return await signals(client, subscription) >= 1


async def has_signals(client: Client, subscription: str, wanted: int) -> bool:
    return await signals(client, subscription) == wanted


async def truth(count: Awaitable[int], wanted: int) -> bool:
    return await count == wanted


async def present(value: object) -> object:
    return value
