"""Parked work over HTTP: what is shown and what is not, what may be decided, and who is told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from storage.database import make_engine
from tests.activities.acme import SECRET, Vendor, running_vendor
from tests.activities.calling import MAIL, NAME, STREET, Tries, prepare
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests

CANARIES = (SECRET, NAME, MAIL, STREET, "Quillfeather", "12345")


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "api_parked", "parked:read")


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with running_vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def client(url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_for(url, tmp_path_factory.mktemp("api"), temporal=temporal_address) as client:
        yield client


def park(engine: Engine, vendor: Vendor, to: str = "ship", fault: str = "422", **more: Any) -> str:
    """Have a call parked by the vendor's fault; answers the park's id."""
    vendor.faults = [fault]
    tries = Tries(engine, vendor.url)
    parked = asyncio.run(tries.once(prepare(engine, to, **more).ref)).park_id
    assert parked is not None
    return parked


def call_of(url: str, park_id: str) -> tuple[str, Any]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select c.status, c.request from connector_call c join parked p on p.call_id = c.id where p.id = %s",
            (park_id,),
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.fixture
def parked(engine: Engine, vendor: Vendor) -> str:
    return park(engine, vendor)


def post(client: TestClient, park_id: str, action: str, **body: Any) -> Any:
    return client.post(f"/v1/parked/{park_id}/{action}", json={"reason": "as agreed"} | body)


def test_what_is_parked_is_shown_and_nobody_in_it(
    client: TestClient, parked: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = client.get(f"/v1/parked/{parked}").json()
    assert (shown["connection"], shown["method"], shown["error_code"]) == (
        "ship",
        "shipping.buy",
        "bad_amount",
    )
    assert shown["payload"]["weight"] == 300
    assert shown["payload"]["order"] == "ship-1"
    assert "line1" in shown["payload"]["to"]
    listed = client.get("/v1/parked", params={"connection": "ship"}).json()
    assert parked in [each["id"] for each in listed["items"]]
    groups = client.get("/v1/parked/groups").text
    told = f"{shown} {listed} {groups} {caplog.text}"
    assert not [canary for canary in CANARIES if canary in told]


def test_a_payload_given_back_as_it_was_shown_with_one_field_changed(
    client: TestClient, url: str, parked: str
) -> None:
    payload = client.get(f"/v1/parked/{parked}").json()["payload"]
    before = call_of(url, parked)[1]
    assert post(client, parked, "edit", payload=payload | {"weight": 250}).status_code == 200
    status, after = call_of(url, parked)
    assert status == "intent"
    assert {name for name in before if before[name] != after[name]} == {"weight"}
    with psycopg.connect(url) as connection:
        audit = connection.execute(
            "select actor, action, reason, detail->'fields' from audit where subject = %s",
            (f"parked/{parked}",),
        ).fetchone()
    assert audit == ("operator", "edit", "as agreed", ["weight"])
    assert post(client, parked, "edit", payload={"weight": 250}).json()["repeated"]
    assert post(client, parked, "edit", payload={"weight": 9}).status_code == 409


def test_a_payload_that_cannot_be_sent_is_refused_field_by_field(
    client: TestClient, url: str, parked: str
) -> None:
    before = call_of(url, parked)
    answer = post(client, parked, "edit", payload={"weight": -1, "to": {"country": "Utopia"}, "order": None})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()["fields"]) == {"weight", "to.country", "order"}
    assert call_of(url, parked) == before
    assert post(client, parked, "edit", payload={"weight": 1}).status_code == 200


@pytest.mark.parametrize(("action", "status"), [("skip", "skipped"), ("fail", "failed"), ("retry", "intent")])
def test_a_decision_is_taken_once(
    client: TestClient, url: str, parked: str, action: str, status: str
) -> None:
    first, again = post(client, parked, action).json(), post(client, parked, action).json()
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert call_of(url, parked)[0] == status
    other = post(client, parked, "fail" if action == "skip" else "skip")
    assert (other.status_code, other.json()["detail"]) == (409, f"This was resolved before: {action}")
    assert parked not in client.get("/v1/parked").text
    assert client.get(f"/v1/parked/{parked}").json()["resolution"] == action


def test_what_may_have_been_done_is_not_sent_in_another_form(
    client: TestClient, url: str, engine: Engine, vendor: Vendor
) -> None:
    doubtful = park(engine, vendor, "mail", "dropped after")
    assert client.get(f"/v1/parked/{doubtful}").json()["in_doubt"]
    refused = post(client, doubtful, "edit", payload={"subject": "Welcome!"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:masthead:problem:in_doubt")
    assert post(client, doubtful, "edit", payload={"subject": "Hello"}, not_applied=True).status_code == 200
    status, request = call_of(url, doubtful)
    assert (status, request["subject"]) == ("intent", "Hello")


def test_an_edit_of_a_mask_into_another_place_is_no_way_to_read_or_send_it(
    client: TestClient, url: str, parked: str
) -> None:
    """A mask stands for what is stored in its own place, and for nothing where nothing is stored."""
    shown = client.get(f"/v1/parked/{parked}").json()["payload"]
    assert post(client, parked, "edit", payload={"order": shown["name"]}).status_code == 200
    assert call_of(url, parked)[1]["order"] == "ship-1"


def test_a_mask_is_never_sent(client: TestClient, url: str, parked: str) -> None:
    before = call_of(url, parked)
    answer = post(client, parked, "edit", payload={"service": "[personal]"})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:masthead:problem:masked")
    assert call_of(url, parked) == before


def test_lists_are_filtered_paged_and_grouped(client: TestClient, engine: Engine, vendor: Vendor) -> None:
    mine = [park(engine, vendor, "users") for _ in range(3)]
    seen: list[str] = []
    after = None
    while True:
        page = client.get(
            "/v1/parked", params={"connection": "users", "limit": 2} | ({"after": after} if after else {})
        ).json()
        seen += [each["id"] for each in page["items"]]
        if (after := page["next"]) is None:
            break
    assert seen == mine
    (group,) = client.get("/v1/parked/groups", params={"connection": "users"}).json()["items"]
    assert (group["count"], group["traces"], group["code"], group["sample"]) == (3, 3, "bad_amount", mine[0])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("get", f"/v1/parked/{NOBODY}", None, 404, "no_such_parked_work"),
        ("get", "/v1/parked/nonsense", None, 422, "invalid_request"),
        ("get", "/v1/parked?colour=blue", None, 422, "invalid_request"),
        ("post", f"/v1/parked/{NOBODY}/skip", {"reason": "x"}, 404, "no_such_parked_work"),
        ("post", f"/v1/parked/{NOBODY}/skip", {"reason": ""}, 422, "invalid_request"),
        ("post", f"/v1/parked/{NOBODY}/forget", {"reason": "x"}, 422, "invalid_request"),
        ("post", f"/v1/parked/{NOBODY}/edit", {"reason": "x"}, 422, "invalid_request"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(
    client: TestClient, method: str, path: str, body: dict[str, str] | None, status: int, kind: str
) -> None:
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:masthead:problem:{kind}")


def test_work_of_a_bill_run_is_shown_and_sent_its_own_way(client: TestClient, url: str) -> None:
    mine = str(uuid4())
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into parked (id, mode, kind, trace_key, error_kind, message, remedy)"
            " values (%s, 'live', 'bill-run', 'x', 'MoneyError', 'no price', 'masthead bill-run --parked')",
            (mine,),
        )
    answer = post(client, mine, "retry")
    assert answer.status_code == 409
    assert "masthead bill-run --parked" in answer.json()["detail"]
    assert client.get("/v1/parked", params={"kind": "bill-run"}).json()["items"][0]["id"] == mine


def test_a_record_of_a_batch_is_edited_where_its_owner_reads_it(client: TestClient, url: str) -> None:
    mine = str(uuid4())
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into parked (id, mode, kind, trace_key, error_kind, message, remedy, connection, method, payload)"
            " values (%s, 'live', 'sync', 'crm/contacts/1', 'rejected', 'no such field', 'edit it', 'crm',"
            " 'crm.upsert', %s)",
            (mine, json.dumps({"kind": "contact", "key": "a-1", "fields": {"email": MAIL, "colour": "x"}})),
        )
    assert MAIL not in client.get(f"/v1/parked/{mine}").text
    wrong = post(client, mine, "edit", payload={"kind": "sofa"})
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["kind"])
    assert post(client, mine, "edit", payload={"fields": {"colour": None}}).status_code == 200
    with psycopg.connect(url) as connection:
        row = connection.execute("select payload, resolution from parked where id = %s", (mine,)).fetchone()
    assert row == ({"kind": "contact", "key": "a-1", "fields": {"email": MAIL}}, "edit")


def test_a_key_may_do_what_its_scopes_say_and_no_more(client: TestClient, parked: str) -> None:
    reader = {"Authorization": "Bearer mh_reader"}
    assert client.get("/v1/parked", headers=reader).status_code == 200
    refused = client.post(f"/v1/parked/{parked}/skip", json={"reason": "x"}, headers=reader)
    assert refused.status_code == 403
    assert client.get("/v1/parked", headers={"Authorization": ""}).status_code == 401


def test_while_temporal_is_away_a_decision_stands_and_is_told_later(
    url: str, engine: Engine, vendor: Vendor, tmp_path: Path
) -> None:
    mine = park(engine, vendor, workflow_id="subscription/1")
    with client_for(url, tmp_path) as lonely:
        answer = post(lonely, mine, "skip")
    assert (answer.status_code, answer.json()["told"]) == (200, False)
    assert call_of(url, mine)[0] == "skipped"
