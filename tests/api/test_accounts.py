"""Accounts over HTTP: opened once, found, and changed by those who have seen the present version."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from tests.api.served import NOBODY
from tests.api.world import World, build_world, calling, with_key
from tests.conftest import PostgresForTests

NEW: dict[str, Any] = {"currency": "USD", "time_zone": "America/Chicago", "locale": "en-US"}


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "accounts")


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("accounts")) as client:
        yield client


def once(**more: str) -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4()), **more}


def rows(world: World, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(world.url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def test_an_account_is_opened_with_its_event_and_audit_row(client: TestClient, world: World) -> None:
    person = {
        "name": "Ada Reader",
        "email": "ada@example.com",
        "address": {"city": "Chicago", "country": "US"},
    }
    order = {"external_key": "ada", **NEW, "tax_region": "US-XX", "person": person}
    answer = client.post("/v1/accounts", json=order, headers=once())
    assert answer.status_code == 201
    made = answer.json()
    assert (made["mode"], made["person"]["address"]["city"], made["version"]) == ("live", "Chicago", 1)
    assert (answer.headers["etag"], answer.headers["location"]) == ('"v1"', f"/v1/accounts/{made['id']}")
    shown = client.get(f"/v1/accounts/{made['id']}")
    assert (shown.json(), shown.headers["etag"]) == (made, '"v1"')
    assert client.get("/v1/accounts", params={"external_key": "ada"}).json()["items"] == [made]
    assert rows(world, "select kind from event_log where account_id = %s", made["id"]) == [
        ("account.created",)
    ]
    ((actor, reason),) = rows(
        world, "select actor, reason from audit where subject = %s", f"account/{made['id']}"
    )
    assert (actor, "ada@" in reason) == ("operator", False)


def test_a_key_that_is_taken_names_the_account(client: TestClient, world: World) -> None:
    answer = client.post("/v1/accounts", json={"external_key": "mine", **NEW}, headers=once())
    assert (answer.status_code, answer.json()["kind"]) == (409, "account_exists")
    assert answer.json()["account_id"] == world.mine.account
    # The other mode has keys of its own.
    other = client.post("/v1/accounts", json={"external_key": "mine", "mode": "test", **NEW}, headers=once())
    assert other.status_code == 201


def test_a_repetition_is_given_the_same_bytes(client: TestClient, world: World) -> None:
    headers = once()
    order = {"external_key": "twice", **NEW}
    first = client.post("/v1/accounts", json=order, headers=headers)
    again = client.post("/v1/accounts", json=dict(reversed(order.items())), headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert (again.headers["etag"], again.headers["idempotent-replayed"]) == ('"v1"', "true")
    assert "idempotent-replayed" not in first.headers
    other = client.post("/v1/accounts", json={**order, "external_key": "thrice"}, headers=headers)
    assert (other.status_code, other.json()["kind"]) == (422, "idempotency_key_reused")
    # Another caller's keys are other keys.
    theirs = client.post(
        "/v1/accounts", json={**order, "external_key": "thrice"}, headers={**headers, **with_key("live")}
    )
    assert theirs.status_code == 201


@pytest.mark.parametrize(
    ("key", "kind"), [(None, "no_idempotency_key"), ("", "bad_idempotency_key"), ("ä", "bad_idempotency_key")]
)
def test_without_a_good_idempotency_key_nothing_is_done(
    client: TestClient, key: str | None, kind: str
) -> None:
    headers = {} if key is None else {"Idempotency-Key": key.encode()}
    answer = client.post("/v1/accounts", json={"external_key": "none", **NEW}, headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (400, kind)
    assert "random key" in answer.json()["remedy"]
    assert client.get("/v1/accounts", params={"external_key": "none"}).json()["items"] == []


def test_what_is_refused_stores_nothing_and_frees_the_key(client: TestClient) -> None:
    headers = once()
    refused = client.post(
        "/v1/accounts", json={"external_key": "region", **NEW, "tax_region": "XX"}, headers=headers
    )
    assert (refused.status_code, refused.json()["kind"]) == (422, "no_such_tax_region")
    assert (
        client.post("/v1/accounts", json={"external_key": "region", **NEW}, headers=headers).status_code
        == 201
    )


def test_one_request_sent_many_times_at_once_is_done_once(client: TestClient, world: World) -> None:
    headers, order = once(), {"external_key": "many", **NEW}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: client.post("/v1/accounts", json=order, headers=headers), range(16))
        )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert {answer.json()["kind"] for answer in answers if answer.status_code == 409} <= {
        "request_in_progress"
    }
    assert rows(world, "select count(*) from account where external_key = 'many'") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        {"currency": "EURO"},
        {"currency": "XXY"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"locale": "english please"},
        {"external_key": ""},
        {"external_key": "two\nlines"},
        {"bill_cycle_day": 32},
        {"person": {"email": "nobody"}},
        {"person": {"address": {"country": "Germany"}}},
        {"shoe_size": 44},
    ],
)
def test_what_an_account_cannot_be_is_refused_by_field(client: TestClient, change: dict[str, Any]) -> None:
    answer = client.post("/v1/accounts", json={"external_key": "bad", **NEW, **change}, headers=once())
    assert (answer.status_code, answer.json()["kind"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["location"][:2] == ["body", next(iter(change))]


def test_a_change_asks_for_the_version_that_was_seen(client: TestClient, world: World) -> None:
    made = client.post("/v1/accounts", json={"external_key": "edit", **NEW}, headers=once()).json()
    path, change = f"/v1/accounts/{made['id']}", {"person": {"email": "new@example.com"}, "locale": "de"}
    without = client.patch(path, json=change)
    assert (without.status_code, without.json()["kind"]) == (428, "no_if_match")
    done = client.patch(path, json=change, headers={"If-Match": '"v1"'})
    assert (done.status_code, done.headers["etag"]) == (200, '"v2"')
    assert (done.json()["person"]["email"], done.json()["locale"]) == ("new@example.com", "de")
    for stale in ('"v1"', 'W/"v2"', '"v7", "v8"', "nonsense"):
        late = client.patch(path, json={"locale": "fr"}, headers={"If-Match": stale})
        assert (late.status_code, late.json()["kind"], late.headers["etag"]) == (
            412,
            "changed_meanwhile",
            '"v2"',
        )
    same = client.patch(path, json=change, headers={"If-Match": '"v1", "v2"'})
    assert (same.status_code, same.headers["etag"]) == (200, '"v2"')
    cleared = client.patch(path, json={"person": {"email": None}}, headers={"If-Match": "*"})
    assert (cleared.json()["person"]["email"], cleared.json()["version"]) == (None, 3)
    kinds = rows(
        world, "select kind, version from event_log where account_id = %s order by xid, id", made["id"]
    )
    assert kinds == [("account.created", 1), ("account.changed", 2), ("account.changed", 3)]
    assert client.patch(f"/v1/accounts/{NOBODY}", json=change, headers={"If-Match": "*"}).status_code == 404
    assert client.patch(path, json={"locale": None}, headers={"If-Match": "*"}).status_code == 422


def test_of_two_changes_at_once_one_is_refused(client: TestClient) -> None:
    made = client.post("/v1/accounts", json={"external_key": "race", **NEW}, headers=once()).json()

    def change(no: int) -> int:
        return client.patch(
            f"/v1/accounts/{made['id']}", json={"person": {"name": f"No {no}"}}, headers={"If-Match": '"v1"'}
        ).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(change, range(4))) == [200, 412, 412, 412]


def test_a_key_of_one_account_changes_its_person_and_not_its_taxes(client: TestClient, world: World) -> None:
    path, headers = f"/v1/accounts/{world.mine.account}", {**with_key("mine"), "If-Match": "*"}
    assert client.patch(path, json={"person": {"name": "Renamed"}}, headers=headers).status_code == 200
    for change in ({"tax_exempt": True}, {"tax_region": None}, {"payment_terms_days": 90}):
        refused = client.patch(path, json=change, headers=headers)
        assert (refused.status_code, refused.json()["kind"]) == (403, "not_for_account_keys")
    opened = client.post(
        "/v1/accounts", json={"external_key": "x", **NEW}, headers={**with_key("mine"), **once()}
    )
    assert (opened.status_code, opened.json()["kind"]) == (403, "not_for_account_keys")


def test_a_key_of_one_mode_opens_accounts_of_that_mode(client: TestClient) -> None:
    order = {"external_key": "by-mode", **NEW}
    made = client.post("/v1/accounts", json=order, headers={**with_key("test"), **once()})
    assert made.json()["mode"] == "test"
    refused = client.post(
        "/v1/accounts", json={**order, "mode": "live"}, headers={**with_key("test"), **once()}
    )
    assert (refused.status_code, refused.json()["kind"]) == (422, "other_mode")


def test_pages_hold_every_account_once(client: TestClient, world: World) -> None:
    everybody = {row[0] for row in rows(world, "select id::text from account")}
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = client.get("/v1/accounts", params={"limit": "3", **after}).json()
        seen += [account["id"] for account in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == sorted(everybody, reverse=True)
    for cursor in ("nonsense", "MQ", "MSxhYmM", "é", page["items"][0]["id"]):
        answer = client.get("/v1/accounts", params={"after": cursor})
        assert (answer.status_code, answer.json()["kind"]) == (422, "bad_cursor")
