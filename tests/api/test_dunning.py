"""Dunning and charges in doubt over HTTP: listed, held, released, decided; each once, by whom and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from storage.database import make_engine
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import Fleet


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "api_dunning", "dunning:read")


@pytest.fixture(scope="module")
def fleet(url: str) -> Iterator[Fleet]:
    engine = make_engine(url)
    yield Fleet(engine, 6)
    engine.dispose()


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_for(url, tmp_path_factory.mktemp("api")) as client:
        yield client


def declined(fleet: Fleet) -> str:
    """An account whose charge was declined."""
    account = fleet.accounts.pop()
    [begun] = fleet.begin(account).begun
    fleet.tell(begun.charge_id, "failed", code="insufficient_funds")
    return account


def order(client: TestClient, account: str, action: str, key: str, reader: bool = False, **body: Any) -> Any:
    headers = {"Idempotency-Key": key.replace(" ", "-")} | (
        {"Authorization": "Bearer mh_reader"} if reader else {}
    )
    return client.post(
        f"/v1/dunning-cases/{account}/{action}", json={"reason": "she called", **body}, headers=headers
    )


def test_a_declined_account_is_listed_with_what_is_at_risk(client: TestClient, fleet: Fleet) -> None:
    account = declined(fleet)
    shown = client.get(f"/v1/dunning-cases/{account}").json()
    [(balance,)] = fleet.rows("select balance from invoice where account_id = %s", account)
    assert (shown["state"], shown["amount"], shown["opened_by"]) == ("current", balance, "failed_payment")
    assert shown["retry_at"] is not None
    assert shown in client.get("/v1/dunning-cases").json()["items"]
    assert client.get("/v1/dunning-cases?state=suspended").json()["items"] == []
    assert client.get(f"/v1/dunning-cases/{NOBODY}").json()["kind"] == "no_such_case"
    assert order(client, account, "pause", "not mine to do", reader=True).status_code == 403


def test_a_promise_names_its_day_and_is_noted_once(client: TestClient, fleet: Fleet) -> None:
    account = declined(fleet)
    refused = order(client, account, "promise", "no day")
    assert (refused.status_code, refused.json()["kind"]) == (409, "refused")
    assert "names the day" in refused.json()["detail"]
    first = order(client, account, "promise", "the call", until="2027-01-10")
    assert first.json()["holds"] == {
        "promise": {"state": "current", "until": "2027-01-10", "by": "operator", "reason": "she called"}
    }
    assert first.json()["retry_at"] == "2027-01-11T05:00:00Z"
    again = order(client, account, "promise", "the call", until="2027-01-10")
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert fleet.begin(account).left[0].why == "waits_for_retry"
    resumed = order(client, account, "resume", "settled", why="promise")
    assert resumed.json()["holds"] == {}
    assert order(client, account, "resume", "settled again").json()["kind"] == "refused"
    told = fleet.rows("select action, actor from audit where subject = %s order by at", f"dunning/{account}")
    assert told == [("dunning.promise", "operator"), ("dunning.resume", "operator")]
    assert order(client, NOBODY, "pause", "nobody").json()["kind"] == "no_such_case"


def test_a_charge_in_doubt_is_shown_and_decided(client: TestClient, fleet: Fleet) -> None:
    account = fleet.accounts.pop()
    [begun] = fleet.begin(account).begun
    path = f"/v1/payments-in-doubt/{begun.charge_id}/resolve"
    verdict = {"verdict": "charged", "reason": "in the dashboard", "gateway_id": "pi_1"}
    assert client.post(path, json=verdict).json()["kind"] == "not_in_doubt"
    fleet.tell(begun.charge_id, "unknown")
    [shown] = client.get("/v1/payments-in-doubt").json()["items"]
    assert (shown["id"], shown["amount"], shown["reference"]) == (
        begun.charge_id,
        begun.amount,
        begun.call.key,
    )
    assert client.post(path, json=verdict).json() == {
        "id": begun.charge_id,
        "status": "succeeded",
        "changed": True,
    }
    assert client.post(path, json=verdict).json()["changed"] is False
    assert client.get("/v1/payments-in-doubt").json()["items"] == []
    assert fleet.invoices(account)[0][0] == "paid"
    assert client.post(f"/v1/payments-in-doubt/{NOBODY}/resolve", json=verdict).status_code == 404
