"""Bill runs over HTTP: who may, what is answered, and what is refused, on a real database and a real Temporal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from bench.fleet import DUE, build_fleet
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from storage.billable import Target
from storage.database import make_engine
from storage.events import START, Cursor, NewEvent, append_events, move_cursor
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "api_runs", "bill-runs:read")


@pytest.fixture(scope="module")
def client(url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_for(url, tmp_path_factory.mktemp("api"), temporal=temporal_address) as client:
        yield client


@pytest.fixture(scope="module")
def billed(url: str) -> str:
    """A run of 40 accounts, billed in this process."""
    engine = make_engine(url)
    build_fleet(engine, 40)
    runs = BillRuns(engine)
    run = runs.open(
        workflow_id="bill-run/all/2026-12-01",
        workflow_run_id=str(uuid4()),
        mode="live",
        scope=Scope.parse("all"),
        target=Target(DUE, None),
    )
    runs.bill(ChunkRef(run, 0, "live"), Target(DUE, None), wait=True, heartbeat=lambda _: None)
    runs.finish(run, canceled=False)
    engine.dispose()
    return run


def test_a_run_is_listed_and_shown_with_its_totals(client: TestClient, billed: str) -> None:
    shown = client.get(f"/v1/bill-runs/{billed}").json()
    assert (shown["invoices"], shown["status"], shown["pending"]) == (40, "completed", 0)
    assert shown["totals"]["USD"] > 0
    assert client.get("/v1/bill-runs").json()["items"] == [shown]


def test_the_lag_of_event_readers_is_told(client: TestClient, url: str) -> None:
    def lags() -> list[dict[str, float]]:
        return [client.get(path).json()["event_readers"] for path in ("/health", "/v1/bill-runs")]

    assert [lag["events_behind"] for lag in lags()] == [0, 0]
    with psycopg.connect(url) as connection:
        assert move_cursor(connection, "a reader", START, Cursor(1, 0, 0))
        before = len(connection.execute("select 1 from event_log").fetchall())
    try:
        with psycopg.connect(url) as holder:
            append_events(holder, [NewEvent("x", None, str(uuid4()), 1)] * 3)
            assert all(lag["oldest_transaction_seconds"] > 0 for lag in lags())
        assert [lag["events_behind"] for lag in lags()] == [before + 3] * 2
    finally:
        with psycopg.connect(url) as connection:
            connection.execute("delete from event_cursor")


def test_health_tells_of_postgres_being_away_and_not_of_a_lag(temporal_address: str, tmp_path: Path) -> None:
    with client_for("postgresql://me@127.0.0.1:1/x", tmp_path, temporal=temporal_address) as lonely:
        answer = lonely.get("/health")
    assert answer.status_code == 503
    assert (answer.json()["postgres"], answer.json()["event_readers"]) == (False, None)


def test_starting_answers_at_once_and_twice_is_one_run(client: TestClient) -> None:
    first = client.post("/v1/bill-runs", json={"as_of": "2031-01-01", "scope": "currency:EUR"})
    again = client.post("/v1/bill-runs", json={"as_of": "2031-01-01", "scope": "currency:EUR"})
    assert first.status_code == again.status_code == 202
    assert first.json()["workflow_id"] == "bill-run/currency:EUR/2031-01-01"
    assert first.json() == again.json()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("get", f"/v1/bill-runs/{NOBODY}", None, 404, "no_such_run"),
        ("get", "/v1/bill-runs/nonsense", None, 422, "invalid_request"),
        ("get", "/v1/bill-runs?limit=0", None, 422, "invalid_request"),
        ("post", "/v1/bill-runs", {"as_of": "2026-13-01"}, 422, "invalid_request"),
        ("post", "/v1/bill-runs", {"as_of": "2026-12-01", "scope": "shoe-size:9"}, 422, "bad_scope"),
        ("post", "/v1/bill-runs", {"as_of": "9999-12-31"}, 422, "far_date"),
        ("post", "/v1/bill-runs", {"as_of": "2026-12-01", "colour": "blue"}, 422, "invalid_request"),
        ("post", f"/v1/bill-runs/{NOBODY}/pause", {"reason": "a look"}, 404, "no_such_run"),
        ("post", f"/v1/bill-runs/{NOBODY}/pause", {"reason": ""}, 422, "invalid_request"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(
    client: TestClient, method: str, path: str, body: dict[str, str] | None, status: int, kind: str
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:masthead:problem:{kind}"


def test_an_ended_run_takes_no_orders(client: TestClient, billed: str) -> None:
    for action in ("pause", "resume", "cancel"):
        answer = client.post(f"/v1/bill-runs/{billed}/{action}", json={"reason": "too late"})
        assert answer.status_code == 409
        assert answer.json()["detail"] == "The run is completed."


def test_a_key_may_do_what_its_scopes_say_and_no_more(client: TestClient) -> None:
    reader = {"Authorization": "Bearer mh_reader"}
    assert client.get("/v1/bill-runs", headers=reader).status_code == 200
    assert client.post("/v1/bill-runs", json={"as_of": "2026-12-01"}, headers=reader).status_code == 403
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer mh_guess"}):
        assert client.get("/v1/bill-runs", headers=headers).status_code == 401


def test_while_temporal_is_away_runs_can_still_be_read(url: str, billed: str, tmp_path: Path) -> None:
    with client_for(url, tmp_path) as client:
        assert client.get(f"/v1/bill-runs/{billed}").status_code == 200
        assert client.get("/health").status_code == 503
        started = client.post("/v1/bill-runs", json={"as_of": "2026-12-01"})
        assert (started.status_code, started.json()["type"].rpartition(":")[2]) == (503, "temporal_away")
