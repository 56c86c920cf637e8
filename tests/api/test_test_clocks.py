"""Test clocks over HTTP: made once, given accounts, looked at page by page, and kept from live keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from operations.test_clocks.clocks import order_advance
from storage.database import make_engine
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests

AT = "2026-01-05T00:00:00Z"
ADA = {"external_key": "ada", "currency": "EUR", "time_zone": "Europe/Berlin", "tax": {"region": "DE"}}


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "api_clocks", "test-clocks:read")


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_for(url, tmp_path_factory.mktemp("api")) as client:
        yield client


def make(client: TestClient, name: str) -> str:
    made = client.post("/v1/test-clocks", json={"name": name, "at": AT})
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"/v1/test-clocks/{made.json()['id']}"
    return str(made.json()["id"])


def kind(answer: object) -> tuple[int, str]:
    return answer.status_code, answer.json()["kind"]  # type: ignore[attr-defined]


def test_a_clock_is_made_once_and_shown(client: TestClient) -> None:
    own = make(client, "once")
    assert make(client, "once") == own
    other = client.post("/v1/test-clocks", json={"name": "once", "at": "2026-02-05T00:00:00Z"})
    assert kind(other) == (409, "clock_refused")
    assert client.get(f"/v1/test-clocks/{own}").json() == {
        "id": own,
        "name": "once",
        "status": "ready",
        "starts_at": AT,
        "frozen_at": AT,
        "target": None,
        "problem": None,
        "accounts": 0,
        "arrived": 0,
    }
    assert kind(client.get(f"/v1/test-clocks/{NOBODY}")) == (404, "no_such_clock")
    assert (
        client.post("/v1/test-clocks", json={"name": "naive", "at": "2026-01-05T00:00:00"}).status_code == 422
    )


def test_clocks_come_in_pages_newest_first(client: TestClient) -> None:
    made = [make(client, f"page {number}") for number in range(3)]
    first = client.get("/v1/test-clocks", params={"limit": 2}).json()
    assert [clock["id"] for clock in first["items"]] == made[:0:-1]
    second = client.get("/v1/test-clocks", params={"limit": 2, "after": first["next"]}).json()
    assert second["items"][0]["id"] == made[0]


def test_accounts_are_created_on_a_clock_and_decline(client: TestClient) -> None:
    own = make(client, "accounts")
    account = client.post(f"/v1/test-clocks/{own}/accounts", json=ADA)
    assert account.status_code == 200, account.text
    assert client.get(f"/v1/accounts/{account.json()['id']}").json()["mode"] == "test"
    assert client.post(f"/v1/test-clocks/{own}/accounts", json=ADA).json() == account.json()
    elsewhere = client.post(f"/v1/test-clocks/{make(client, 'elsewhere')}/accounts", json=ADA)
    assert kind(elsewhere) == (409, "clock_refused")
    again = client.post(f"/v1/test-clocks/{own}/accounts", json={"external_key": "ada"})
    assert again.json() == account.json()
    assert client.get(f"/v1/test-clocks/{own}/accounts").json()["items"] == [account.json()]
    declines = f"/v1/test-clocks/{own}/accounts/%s/declines"
    order = {"declines": {"2026-02-05": "insufficient_funds"}}
    assert client.put(declines % "ada", json=order).status_code == 200
    assert client.put(declines % account.json()["id"], json=order).status_code == 200
    assert kind(client.put(declines % "eve", json=order)) == (404, "no_such_account")


def test_what_cannot_be_is_refused(client: TestClient, url: str) -> None:
    own = make(client, "refused")
    away = client.post(f"/v1/test-clocks/{own}/advance", json={"to": "2026-02-05T00:00:00Z"})
    assert kind(away) == (503, "temporal_away")
    assert client.get(f"/v1/test-clocks/{own}").json()["status"] == "ready"
    engine = make_engine(url)
    order_advance(engine, own, datetime(2026, 2, 5, tzinfo=UTC))
    engine.dispose()
    assert kind(client.delete(f"/v1/test-clocks/{own}")) == (409, "clock_refused")
    ended = make(client, "ended")
    assert client.delete(f"/v1/test-clocks/{ended}").json()["status"] == "ended"
    assert client.delete(f"/v1/test-clocks/{ended}").json()["status"] == "ended"
    assert kind(client.post(f"/v1/test-clocks/{ended}/accounts", json={**ADA, "external_key": "late"})) == (
        409,
        "clock_refused",
    )


def test_a_reader_s_key_reads(client: TestClient) -> None:
    key = {"Authorization": "Bearer mh_reader"}
    assert client.get("/v1/test-clocks", headers=key).status_code == 200
    refused = client.post("/v1/test-clocks", json={"name": "reader", "at": AT}, headers=key)
    assert kind(refused) == (403, "missing_scope")
