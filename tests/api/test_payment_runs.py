"""Payment methods and payment runs over HTTP: kept once, listed, retired; a run and what it did with each account."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from bench.fleet import DUE
from operations.charges.run import PaymentRuns
from operations.charges.scope import PaymentScope
from runtime.temporal import connect
from storage.billable import Target
from storage.database import make_engine
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.operations.charges.charged import NOW, Fleet


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "api_payments", "payment-runs:read")


@pytest.fixture(scope="module")
def fleet(url: str) -> Iterator[Fleet]:
    engine = make_engine(url)
    yield Fleet(engine, 6)
    engine.dispose()


@pytest.fixture(scope="module")
def client(url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_for(url, tmp_path_factory.mktemp("api"), temporal=temporal_address) as client:
        yield client


async def _end(temporal_address: str, workflow_id: str) -> None:
    client = await connect(temporal_address, NAMESPACE)
    await client.get_workflow_handle(workflow_id).terminate("nobody carries it out here")


@pytest.fixture(scope="module")
def run(fleet: Fleet) -> str:
    """A run that has begun its charges: nothing is sent yet. One account has no method."""
    fleet.do("delete from payment_method where account_id = %s", fleet.accounts[0])
    runs = PaymentRuns(fleet.engine)
    own = runs.open(
        workflow_id=f"payment-run/all/{DUE}",
        workflow_run_id=str(uuid4()),
        mode="live",
        scope=PaymentScope.parse("all"),
        target=Target(DUE, None),
        chunk_size=10,
    )
    runs.begin(own, 0, NOW, DUE)
    return own


def test_a_run_is_shown_with_its_accounts(client: TestClient, fleet: Fleet, run: str) -> None:
    shown = client.get(f"/v1/payment-runs/{run}").json()
    assert (shown["selected"], shown["charges"], shown["left"]) == (6, {"intent": 5}, {"no_method": 1})
    assert client.get("/v1/payment-runs").json()["items"] == [shown]
    first = client.get(f"/v1/payment-runs/{run}/items?limit=4").json()
    rest = client.get(f"/v1/payment-runs/{run}/items", params={"after": first["next"]}).json()
    assert [each["account_id"] for each in (*first["items"], *rest["items"])] == fleet.accounts
    [left] = client.get(f"/v1/payment-runs/{run}/items?status=no_method").json()["items"]
    assert left["words"] == "ask the customer for a payment method"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("get", f"/v1/payment-runs/{NOBODY}", None, 404, "no_such_run"),
        ("get", f"/v1/payment-runs/{NOBODY}/items", None, 404, "no_such_run"),
        ("post", "/v1/payment-runs", {"as_of": "2026-12-01", "scope": "plan:daily"}, 422, "bad_scope"),
        ("post", "/v1/payment-runs", {"as_of": "9999-12-31"}, 422, "far_date"),
        ("post", f"/v1/payment-runs/{NOBODY}/pause", {"reason": "a look"}, 404, "no_such_run"),
    ],
)
def test_what_is_refused(
    client: TestClient, method: str, path: str, body: object, status: int, kind: str
) -> None:
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["kind"]) == (status, kind)


def test_started_twice_it_is_one_run(client: TestClient, temporal_address: str) -> None:
    order = {"as_of": "2031-01-01", "scope": "currency:USD"}
    first, again = (client.post("/v1/payment-runs", json=order) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["workflow_run_id"] == again.json()["workflow_run_id"]
    assert first.json()["workflow_id"] == "payment-run/currency:USD/2031-01-01"
    # No worker is here: the next one of these tests would carry it out, over accounts of its own.
    asyncio.run(_end(temporal_address, first.json()["workflow_id"]))


def test_a_new_method_takes_the_place_of_the_old_one(client: TestClient, fleet: Fleet) -> None:
    account = fleet.accounts[1]
    path = f"/v1/accounts/{account}/payment-methods"
    order = {"connection": "cards", "method": "pm_new", "brand": "visa"}
    key = {"Idempotency-Key": str(uuid4())}
    made = client.post(path, json=order, headers=key)
    assert made.status_code == 201, made.text
    assert client.post(path, json=order, headers=key).json() == made.json()
    kept = {each["method"]: each["is_default"] for each in client.get(path).json()["items"]}
    assert kept == {"pm_new": True, "pm_card_visa": False}
    what = {"connection": "cards", "method": "pm_new"}
    gone = client.post(f"{path}/retire", json=what, headers={"Idempotency-Key": str(uuid4())})
    assert gone.json()["retired_at"] is not None
    again = client.post(f"{path}/retire", json=what, headers={"Idempotency-Key": str(uuid4())})
    assert again.json()["kind"] == "no_such_method"


@pytest.mark.parametrize("field", ["method", "customer", "brand", "connection"])
def test_a_card_number_is_refused(client: TestClient, fleet: Fleet, field: str) -> None:
    order = {"connection": "cards", "method": "pm_x", field: "4242 4242 4242 4242"}
    answer = client.post(
        f"/v1/accounts/{fleet.accounts[2]}/payment-methods",
        json=order,
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert answer.status_code == 422
    assert "4242" not in answer.text
