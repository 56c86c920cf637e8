"""No card number ever: one that is posted in any string field of any operation, or stands in its address, is refused,
and afterwards it is in no table, no log and no history. The walk is made of the OpenAPI document."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql

from api.app import create_app
from runtime.temporal import connect
from tests.api.described import body_schema, example_body, operations, resolved
from tests.api.served import NOBODY
from tests.api.world import World, build_world, settings_for, with_key
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE

CARD = "4111111111111111"
WRITTEN = (CARD, "4111 1111 1111 1111", "4111-1111-1111-1111", "pay with 4111111111111111, exp 12/29")
# As it may lie somewhere: as text, and as the bytes of a text.
TRACES = (*WRITTEN[:3], CARD.encode().hex())

Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "no_cards")


@pytest.fixture(scope="module")
def client(
    world: World, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    app = create_app(settings_for(world.url, tmp_path_factory.mktemp("no_cards"), temporal_address))
    with TestClient(app, headers=with_key("operator")) as client:
        yield client


def strings(schema: dict[str, Any], place: Place = (), seen: Sequence[str] = ()) -> Iterator[Place]:
    """Where in a body a string may stand."""
    name = schema.get("$ref", "")
    if name in seen:
        return
    schema, seen = resolved(schema), (*seen, name) if name else seen
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from strings(each, place, seen)
    if schema.get("type") == "string":
        yield place
    for field, inner in schema.get("properties", {}).items():
        yield from strings(inner, (*place, field), seen)
    if "items" in schema:
        yield from strings(schema["items"], (*place, 0), seen)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from strings(schema["additionalProperties"], (*place, "anything"), seen)


def with_text(body: Any, place: Place, text: str) -> Any:
    """The body with a text in that place; what is on the way there and missing is made."""
    if not place:
        return text
    head, *rest = place
    if isinstance(head, int):
        first = body[0] if isinstance(body, list) and body else None
        return [with_text(first, tuple(rest), text)]
    made = copy.deepcopy(body) if isinstance(body, dict) else {}
    made[head] = with_text(made.get(head), tuple(rest), text)
    return made


def traces(url: str) -> list[str]:
    """The tables in which a card number stands."""
    with psycopg.connect(url) as connection:
        return found_in(connection)


def found_in(connection: psycopg.Connection[Any]) -> list[str]:
    tables = connection.execute(
        "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
        " and table_schema not in ('pg_catalog', 'information_schema')"
    ).fetchall()
    assert len(tables) > 50
    found = []
    for schema, table in tables:
        query = sql.SQL("select exists (select from {} t where t::text like any(%s))").format(
            sql.Identifier(schema, table)
        )
        if connection.execute(query, ([f"%{each}%" for each in TRACES],)).fetchone() == (True,):
            found.append(table)
    return found


async def test_a_card_number_in_any_field_of_any_operation_is_refused_and_is_nowhere(
    client: TestClient, world: World, temporal_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    began = datetime.now(UTC)
    said, places = [], 0
    with caplog.at_level(logging.DEBUG):
        for method, path, operation in operations():
            address = path.replace("{code}", "reader")
            while "{" in address:
                address = address[: address.index("{")] + NOBODY + address[address.index("}") + 1 :]
            body = example_body(method, path)
            calls: list[dict[str, Any]] = [
                {"url": address, "json": with_text(body, place, WRITTEN[number % len(WRITTEN)])}
                for number, place in enumerate(dict.fromkeys(strings(body_schema(operation))))
            ]
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    calls.append({"url": address, "params": {parameter["name"]: CARD}, "json": body})
                elif parameter["in"] == "path":
                    calls.append({"url": path.replace(f"{{{parameter['name']}}}", CARD), "json": body})
            for call in calls:
                places += 1
                key = {"Idempotency-Key": str(uuid4())}
                given = {name: value for name, value in call.items() if value is not None}
                answer = client.request(method, headers=key, **given)
                assert (answer.status_code, answer.json()["kind"]) == (422, "card_number"), (method, call)
                said.append(answer.text)
        keyed = client.post("/v1/accounts", json={}, headers={"Idempotency-Key": CARD})
        assert keyed.json()["kind"] == "card_number"
    assert places > 150
    for text in (*said, caplog.text):
        # A test client logs the addresses that it calls; nothing of ours does.
        ours = "\n".join(
            line for line in text.splitlines() if "httpx" not in line and "_client.py" not in line
        )
        assert not any(each in ours for each in TRACES)
    assert traces(world.url) == []
    await _no_history_has_it(temporal_address, began)


async def _no_history_has_it(address: str, since: datetime) -> None:
    client = await connect(address, NAMESPACE)
    query = f"StartTime >= '{since.isoformat(timespec='seconds').replace('+00:00', 'Z')}'"
    async for each in client.list_workflows(query):
        history = await client.get_workflow_handle(each.id, run_id=each.run_id).fetch_history()
        assert not any(trace in history.to_json() for trace in TRACES)


def test_what_looks_for_it_finds_it(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        connection.execute("update person set name = 'Ada 4111 1111 1111 1111'")
        connection.execute("update checkout set fingerprint = %s", (CARD.encode(),))
        assert sorted(found_in(connection)) == ["checkout", "person"]
        connection.rollback()


def test_a_walk_reaches_nested_fields(tmp_path: Path) -> None:
    walked = {
        f"{method} {path}": set(strings(body_schema(operation))) for method, path, operation in operations()
    }
    assert ("person", "name") in walked["post /v1/accounts"]
    assert ("reason",) in walked["post /v1/payments/{payment_id}/refunds"]
    assert ("items", 0, "plan") in walked["post /v1/checkouts"]
    assert with_text({"items": [{"plan": "a"}]}, ("items", 0, "plan"), "b") == {"items": [{"plan": "b"}]}
