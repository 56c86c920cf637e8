"""Usage over HTTP: each record once, on the item that is charged for it, and on the next bill."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from storage.database import make_engine
from tests.api.served import NOBODY
from tests.api.world import World, build_world, calling, with_key
from tests.conftest import PostgresForTests, wait_until
from tests.operations.billed import bill


@pytest.fixture
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "usage")


@pytest.fixture
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("usage")) as client:
        yield client


def used(world: World, **more: Any) -> dict[str, Any]:
    return {
        "subscription_id": world.mine.subscription,
        "meter": "articles",
        "at": "2026-03-15T12:00:00Z",
        "quantity": "1",
        "key": str(uuid4()),
        **more,
    }


def rows(world: World, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(world.url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_record_is_taken_once(client: TestClient, world: World) -> None:
    record = used(world)
    first, again = (client.post("/v1/usage", json=record) for _ in range(2))
    assert (first.status_code, first.json()["result"], first.json()["item_id"]) == (
        201,
        "recorded",
        world.mine.item,
    )
    assert (again.status_code, again.json()["result"]) == (200, "repeated")
    same = client.post("/v1/usage", json={**record, "at": "2026-03-15T08:00:00-04:00", "quantity": "1.000"})
    assert same.status_code == 200
    other = client.post("/v1/usage", json={**record, "quantity": "2"})
    assert (other.status_code, other.json()["kind"]) == (409, "usage_key_reused")
    assert rows(world, "select quantity from usage_record") == [(1,)]


def test_one_record_sent_many_times_at_once_is_taken_once(client: TestClient, world: World) -> None:
    record = used(world)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/usage", json=record), range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [201]
    assert len(rows(world, "select 1 from usage_record")) == 1


def test_a_batch_answers_for_each_record(client: TestClient, world: World) -> None:
    good, late = used(world), used(world, at=(datetime.now(UTC) + timedelta(days=2)).isoformat())
    records = [
        good,
        good,
        {**good, "quantity": "7"},
        used(world, meter="tips"),
        used(world, subscription_id=NOBODY),
        used(world, at="2025-12-31T12:00:00Z"),
        late,
        used(world, subscription_id=world.theirs.subscription),
    ]
    answer = client.post("/v1/usage/batch", json={"records": records})
    assert answer.status_code == 200
    said = answer.json()
    assert [(each["result"], each["kind"]) for each in said["records"]] == [
        ("recorded", None),
        ("repeated", None),
        ("refused", "usage_key_reused"),
        ("refused", "not_metered"),
        ("refused", "no_such_subscription"),
        ("refused", "not_metered"),
        ("refused", "in_the_future"),
        ("recorded", None),
    ]
    assert all(each["remedy"] for each in said["records"] if each["result"] == "refused")
    assert (said["recorded"], said["repeated"], said["refused"]) == (2, 1, 5)
    again = client.post("/v1/usage/batch", json={"records": records}).json()
    assert (again["recorded"], again["repeated"]) == (0, 3)


def test_a_day_is_the_accounts_own_and_a_change_moves_what_is_charged(
    client: TestClient, world: World
) -> None:
    with psycopg.connect(world.url) as connection:
        connection.execute(
            "update subscription_item set ends_on = '2026-03-10' where id = %s", (world.mine.item,)
        )
        heir = str(uuid4())
        connection.execute(
            "insert into subscription_item (id, subscription_id, plan_code, plan_version, starts_on)"
            " values (%s, %s, 'reader', 1, '2026-03-10')",
            (heir, world.mine.subscription),
        )
    # New York's 10 March began at 04:00 UTC: summer time had begun.
    before = client.post("/v1/usage", json=used(world, at="2026-03-10T03:59:59Z")).json()
    after = client.post("/v1/usage", json=used(world, at="2026-03-10T04:00:00Z")).json()
    assert (before["item_id"], after["item_id"]) == (world.mine.item, heir)
    # A key is the subscription's, whichever item it was charged to.
    key = before["key"]
    reused = client.post("/v1/usage", json=used(world, key=key))
    assert (reused.status_code, reused.json()["kind"]) == (409, "usage_key_reused")


def test_what_is_recorded_is_on_the_next_bill(client: TestClient, world: World) -> None:
    records = [used(world) for _ in range(1000)]
    assert client.post("/v1/usage/batch", json={"records": records}).json()["recorded"] == 1000
    engine = make_engine(world.url)
    bill(engine, date(2026, 4, 1))
    engine.dispose()
    invoices = client.get("/v1/invoices", params={"account_id": world.mine.account}).json()["items"]
    lines = client.get(f"/v1/invoices/{invoices[0]['id']}").json()["lines"]
    (usage,) = [line for line in lines if line["kind"] == "usage"]
    assert (usage["quantity"], usage["amount"]) == ("1000", (1000 - 2) * 25)


def test_after_the_last_bill_usage_is_refused_and_before_it_is_billed(
    client: TestClient, world: World
) -> None:
    with psycopg.connect(world.url) as connection:
        connection.execute(
            "update subscription set ends_on = '2026-04-01', next_bill_on = '2026-04-01',"
            " charged_through = '2026-04-01' where id = %s",
            (world.mine.subscription,),
        )
        version = connection.execute(
            "select version from subscription where id = %s", (world.mine.subscription,)
        ).fetchone()
    taken = [client.post("/v1/usage", json=used(world)).status_code for _ in range(5)]
    assert taken == [201] * 5
    with psycopg.connect(world.url) as connection:
        moved = connection.execute(
            "select version from subscription where id = %s", (world.mine.subscription,)
        ).fetchone()
    assert version is not None
    assert moved is not None
    assert moved[0] > version[0]  # a run that has rated it without these rates it anew
    engine = make_engine(world.url)
    bill(engine, date(2026, 4, 1))
    engine.dispose()
    late = client.post("/v1/usage", json=used(world))
    assert (late.status_code, late.json()["kind"]) == (409, "too_late")
    billed = rows(world, "select quantity from invoice_line where kind = 'usage'")
    assert billed == [(5,)]


def test_usage_that_meets_the_last_bill_waits_and_is_told_that_it_is_too_late(
    client: TestClient, world: World
) -> None:
    with psycopg.connect(world.url) as connection:
        connection.execute(
            "update subscription set ends_on = '2026-04-01', next_bill_on = '2026-04-01',"
            " charged_through = '2026-04-01' where id = %s",
            (world.mine.subscription,),
        )

    def waits() -> bool:
        query = (
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return bool(rows(world, query))

    with psycopg.connect(world.url) as posting, ThreadPoolExecutor(1) as pool:
        posting.execute(
            "update subscription set next_bill_on = null, version = version + 1 where id = %s",
            (world.mine.subscription,),
        )
        sent = pool.submit(client.post, "/v1/usage", json=used(world))
        wait_until("the record waits for the posting", waits)
        posting.commit()
        answer = sent.result(30)
    assert (answer.status_code, answer.json()["kind"]) == (409, "too_late")
    assert rows(world, "select 1 from usage_record") == []


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": "0"},
        {"quantity": "-1"},
        {"quantity": "NaN"},
        {"quantity": "1e30"},
        {"at": "2026-03-15T12:00:00"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"key": ""},
        {"colour": "blue"},
    ],
)
def test_what_no_usage_can_be_is_refused(client: TestClient, world: World, change: dict[str, Any]) -> None:
    answer = client.post("/v1/usage", json=used(world, **change))
    assert (answer.status_code, answer.json()["kind"]) == (422, "invalid_request")


def test_a_batch_has_its_bounds(client: TestClient, world: World) -> None:
    for records in ([], [used(world)] * 1001):
        assert client.post("/v1/usage/batch", json={"records": records}).status_code == 422
    assert (
        client.post("/v1/usage", json=used(world), headers=with_key("test")).json()["kind"]
        == "no_such_subscription"
    )
