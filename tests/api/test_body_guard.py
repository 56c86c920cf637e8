"""What no request to /v1 may hold: card numbers, what cannot be stored, too much."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.body_guard import LARGEST_BODY
from tests.api.served import NOBODY
from tests.api.world import World, build_world, calling, settings_for, with_key
from tests.conftest import PostgresForTests

CARD = "4111111111111111"
NEW: dict[str, Any] = {"external_key": "guarded", "currency": "USD", "time_zone": "UTC"}


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "guard")


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("guard")) as client:
        yield client


def opened(client: TestClient, order: dict[str, Any]) -> Any:
    return client.post("/v1/accounts", json=order, headers={"Idempotency-Key": str(uuid4())})


@pytest.mark.parametrize(
    "order",
    [
        {**NEW, "external_key": CARD},
        {**NEW, "person": {"name": "Ada 4111 1111 1111 1111 12/29"}},
        {**NEW, "person": {"address": {"line1": "card: 5555-5555-5555-4444"}}},
        {**NEW, "person": {"name": "\uff14111111111111111"}},
        {**NEW, "person": {"name": "378282246310005, exp 12/29"}},
        {**NEW, CARD: "as a field"},
        {**NEW, "bill_cycle_day": int(CARD)},
        {**NEW, "nested": [{"deep": ["6011 1111 1111 1117"]}]},
    ],
)
def test_a_card_number_is_refused_and_stands_nowhere(
    client: TestClient, world: World, caplog: pytest.LogCaptureFixture, order: dict[str, Any]
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = opened(client, order)
    assert (answer.status_code, answer.json()["kind"]) == (422, "card_number")
    said = f"{answer.text}{caplog.text}"
    for digits in (CARD, "4111 1111", "5555-5555", "378282246310005", "6011 1111"):
        assert digits not in said
    with psycopg.connect(world.url) as connection:
        assert connection.execute(
            "select count(*) from account where external_key <> all(%s)", (["mine", "theirs", "tested"],)
        ).fetchone() == (0,)
        assert connection.execute("select count(*) from idempotency_key").fetchone() == (0,)


def test_an_escaped_card_number_in_the_body_or_the_address_is_found(client: TestClient) -> None:
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in CARD)
    headers = {"Idempotency-Key": "escaped", "Content-Type": "application/json"}
    body = json.dumps(NEW)[:-1] + f', "person": {{"name": "{escaped}"}}}}'
    assert client.post("/v1/accounts", content=body, headers=headers).json()["kind"] == "card_number"
    assert (
        client.get("/v1/accounts", params={"external_key": "4111 1111 1111 1111"}).json()["kind"]
        == "card_number"
    )
    assert client.get(f"/v1/catalog/plans/{CARD}").json()["kind"] == "card_number"
    assert CARD not in client.get(f"/v1/catalog/plans/{CARD}").text


@pytest.mark.parametrize(
    "key",
    [
        "4111111111111112",
        "01a205bd-1234-7123-8123-123456789012",
        "2026-12-01 2027-01-01",
        "123456789012",
        NOBODY,
    ],
)
def test_other_numbers_pass(client: TestClient, key: str) -> None:
    assert client.get("/v1/accounts", params={"external_key": key}).status_code == 200


def test_what_cannot_be_stored_is_refused_before_the_database_sees_it(client: TestClient) -> None:
    headers = {"Idempotency-Key": "nul", "Content-Type": "application/json"}
    for text in (r"a\u0000b", r"a\ud800b"):
        body = json.dumps(NEW)[:-1] + f', "person": {{"name": "{text}"}}}}'
        answer = client.post("/v1/accounts", content=body, headers=headers)
        assert (answer.status_code, answer.json()["kind"]) == (422, "not_storable")
    for path in ("/v1/accounts?external_key=%00", "/v1/catalog/plans/a%00b", "/v1/accounts?external_key=%ff"):
        assert client.get(path).json()["kind"] == "not_storable"


def test_a_body_that_is_too_large_is_refused_also_where_its_length_is_not_told(client: TestClient) -> None:
    large = json.dumps({**NEW, "person": {"name": "x" * LARGEST_BODY}}).encode()
    headers = {"Idempotency-Key": "large", "Content-Type": "application/json"}
    told = client.post("/v1/accounts", content=large, headers=headers)
    untold = client.post("/v1/accounts", content=iter([large[:1000], large[1000:]]), headers=headers)
    for answer in (told, untold):
        assert (answer.status_code, answer.json()["kind"]) == (413, "body_too_large")
        assert answer.headers["content-type"] == "application/problem+json"


def test_every_error_is_a_problem_with_a_kind_and_a_remedy(client: TestClient) -> None:
    answers = {
        "not_found": client.get("/v1/nowhere"),
        "method_not_allowed": client.delete("/v1/accounts"),
        "invalid_request": client.get("/v1/accounts?limit=0"),
        "no_such_account": client.get(f"/v1/accounts/{NOBODY}"),
        "no_key": client.get("/v1/accounts", headers={"Authorization": ""}),
    }
    for kind, answer in answers.items():
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert said["kind"] == kind
        assert said["type"] == f"urn:masthead:problem:{kind}"
        assert said["remedy"]
    assert answers["method_not_allowed"].headers["allow"]
    for content in ("{", "[" * 100_000, "\ud7ff\x01"):
        broken = client.post(
            "/v1/accounts", content=content.encode(), headers={"Content-Type": "application/json"}
        )
        assert 400 <= broken.status_code < 500
        assert broken.json()["remedy"]


def test_a_database_that_is_away_is_said_so(tmp_path: Path) -> None:
    away = settings_for("postgresql://me@127.0.0.1:1/x", tmp_path)
    with TestClient(create_app(away), headers=with_key("operator")) as client:
        answer = client.get("/v1/catalog")
    assert (answer.status_code, answer.json()["kind"]) == (503, "database_away")
    assert answer.headers["retry-after"]
    assert "127.0.0.1" not in answer.text
