"""Law I11 over HTTP: what belongs to another account is not there. The matrix is made of the OpenAPI document: every
operation, called with a key that is bound to one account and with the ids of another. A new operation is covered as
soon as it exists; a new parameter has to be named below."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from contracts.scopes import SCOPES
from tests.api.served import NOBODY
from tests.api.world import READERS, World, build_world, calling, settings_for, with_key
from tests.conftest import PostgresForTests

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# A parameter or a field of a body by its name: which of the other reader's ids it is given. A path or query parameter
# that is no account's stands in NOT_ACCOUNTS with the reason.
THEIR_IDS: dict[str, str] = {
    "account_id": "account",
    "subscription_id": "subscription",
    "invoice_id": "invoice",
    "item_id": "item",
}
# These find by what the other account is called: a list without it is as good as 404.
THEIR_NAMES = {"external_key": "key"}
NOT_ACCOUNTS = {
    "code": "a plan's, and the catalog is everybody's",
    "on": "a day",
    "after": "a cursor",
    "before": "a cursor",
    "limit": "a number",
    "status": "a word",
    "kind": "a word; routes of parked work and events are not for keys of one account",
    "action": "a word",
    "run_id": "a bill run's: not for keys of one account",
    "park_id": "parked work's: not for keys of one account",
    "endpoint_id": "a webhook endpoint's: not for keys of one account",
    "key_id": "an API key's: not for keys of one account",
    "account": "a filter of parked work: not for keys of one account",
    "connection": "a filter of parked work",
    "error_kind": "a filter of parked work",
    "method": "a filter of parked work",
    "trace_key": "a filter of parked work",
}
# What a body needs to be valid, where its example in the document is not enough.
BODIES: dict[str, dict[str, Any]] = {}


class Call(NamedTuple):
    """An operation of the document, and one of its places where an id of the other account can stand."""

    method: str
    path: str
    scope: str | None
    place: str  # path, query or body
    name: str
    operation: dict[str, Any]


def document() -> dict[str, Any]:
    app = create_app(settings_for("postgresql://me@127.0.0.1:1/x", Path()))
    return app.openapi()


DOCUMENT = document()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1/"):
                yield method, path, operation


def calls() -> Iterator[Call]:
    for method, path, operation in operations():
        scope = operation.get("x-scope")
        for parameter in operation.get("parameters", ()):
            if parameter["in"] in ("path", "query") and parameter["name"] not in NOT_ACCOUNTS:
                yield Call(method, path, scope, parameter["in"], parameter["name"], operation)
        for name in fields_of(body_schema(operation)):
            if name in THEIR_IDS:
                yield Call(method, path, scope, "body", name, operation)


def body_schema(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return schema


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def fields_of(schema: dict[str, Any]) -> Iterator[str]:
    schema = resolved(schema)
    for name, inner in schema.get("properties", {}).items():
        yield name
        for each in (inner, *inner.get("anyOf", ())):
            yield from fields_of(each)
    if "items" in schema:
        yield from fields_of(schema["items"])


def example_body(operation: dict[str, Any]) -> Any:
    if operation.get("operationId") in BODIES:
        return BODIES[operation["operationId"]]
    schema = resolved(body_schema(operation))
    if not schema:
        return None
    assert "example" in schema, f"the body of {operation['operationId']} has no example in its model: add one"
    return schema["example"]


def replaced(value: Any, name: str, their_id: str) -> Any:
    """The body with their id in every place of that name."""
    if isinstance(value, dict):
        return {
            key: their_id if key == name else replaced(each, name, their_id) for key, each in value.items()
        }
    if isinstance(value, list):
        return [replaced(each, name, their_id) for each in value]
    return value


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "others")


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("others")) as client:
        yield client


def sent(client: TestClient, world: World, call: Call, *, key: str, nobody: bool = False) -> Any:
    """Send the call with ids of the other reader, or of nobody, and all else as it should be."""
    reader = world.theirs._asdict()

    def their(name: str) -> str:
        if name in THEIR_IDS:
            return NOBODY if nobody else str(reader[THEIR_IDS[name]])
        return "nobody" if nobody else str(reader[THEIR_NAMES[name]])

    path, query = call.path, {}
    for parameter in call.operation.get("parameters", ()):
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", their(name) if name in THEIR_IDS else NOBODY)
        elif parameter["in"] == "query" and name == call.name:
            query[name] = their(name)
    body = example_body(call.operation)
    if call.place == "body":
        body = replaced(body, call.name, their(call.name))
        if call.name in resolved(body_schema(call.operation))["properties"]:
            body = {**body, call.name: their(call.name)}  # also where the example does without
    headers = {
        **with_key(key),
        "If-Match": "*",
        "Idempotency-Key": f"{call.method}{call.path}{call.name}{nobody}",
    }
    return client.request(call.method, path, params=query, headers=headers, json=body)


def test_every_parameter_is_known_to_the_matrix() -> None:
    unknown = {
        f"{parameter['name']} of {method.upper()} {path}"
        for method, path, operation in operations()
        for parameter in operation.get("parameters", ())
        if parameter["in"] in ("path", "query")
        and parameter["name"] not in THEIR_IDS.keys() | THEIR_NAMES.keys() | NOT_ACCOUNTS.keys()
    }
    assert not unknown, (
        f"{sorted(unknown)}: add the name to THEIR_IDS (an id of something that an account has: give Reader a field "
        "for it in tests/api/world.py), to THEIR_NAMES (finds by an account's own name), or to NOT_ACCOUNTS with the "
        "reason why it cannot lead to another account"
    )


def test_every_operation_asks_for_a_scope() -> None:
    without = [f"{method} {path}" for method, path, operation in operations() if "x-scope" not in operation]
    assert without == []


@pytest.mark.parametrize("call", list(calls()), ids=lambda call: f"{call.method} {call.path} {call.name}")
def test_what_is_another_accounts_is_not_there(client: TestClient, world: World, call: Call) -> None:
    answer = sent(client, world, call, key="mine")
    for name, _mode in READERS[1:]:
        assert f"{name}@example.com" not in answer.text
    if call.scope is None or not SCOPES[call.scope].for_accounts:
        # The whole route is closed to such keys, whatever the id.
        assert answer.status_code == 403
        assert answer.json()["kind"] == "missing_scope"
        return
    if answer.status_code == 403:
        assert answer.json()["kind"] == "not_for_account_keys"
        return
    if call.name in THEIR_NAMES:
        assert (answer.status_code, answer.json()["items"]) == (200, [])
        return
    if call.place == "body" and answer.status_code == 200:
        # A batch: refused record by record.
        assert {record["kind"] for record in answer.json()["records"]} == {
            f"no_such_{call.name.removesuffix('_id')}"
        }
        return
    assert answer.status_code == 404, answer.text
    # And it looks just as if there were nothing of that id at all.
    nothing = sent(client, world, call, key="mine", nobody=True)
    reader = world.theirs._asdict()[THEIR_IDS[call.name]]
    assert json.loads(answer.text.replace(reader, NOBODY)) == nothing.json()


@pytest.mark.parametrize("call", list(calls()), ids=lambda call: f"{call.method} {call.path} {call.name}")
def test_what_is_of_the_other_mode_is_not_there(client: TestClient, world: World, call: Call) -> None:
    other = world._replace(theirs=world.test)
    answer = sent(client, other, call, key="live")
    if call.name in THEIR_NAMES:
        assert (answer.status_code, answer.json()["items"]) == (200, [])
    elif call.place == "body" and answer.status_code == 200:
        assert {record["result"] for record in answer.json()["records"]} == {"refused"}
    elif call.place == "body" and answer.status_code == 422:
        assert call.name in answer.json()["detail"]  # a key for an account that its maker cannot see
    else:
        assert answer.status_code == 404, answer.text


def test_lists_hold_only_what_the_key_may_see(client: TestClient, world: World) -> None:
    for method, path, operation in operations():
        if method != "get" or "{" in path or not SCOPES[operation["x-scope"]].for_accounts:
            continue
        for key, hidden in (
            ("mine", (world.theirs, world.test)),
            ("live", (world.test,)),
            ("test", (world.mine, world.theirs)),
        ):
            answer = client.get(path, headers=with_key(key))
            assert answer.status_code == 200, (path, answer.text)
            ids = {found[0] for found in UUID.finditer(answer.text)}
            assert not ids & {each for reader in hidden for each in reader}, (path, key)


def test_the_matrix_does_meet_what_is_there(client: TestClient, world: World) -> None:
    """The same calls with the other's own key succeed, so that a 404 above is not for another reason."""
    met = 0
    for call in calls():
        if call.method == "get" and SCOPES[call.scope or "events:read"].for_accounts:
            answer = sent(client, world, call, key="theirs")
            assert answer.status_code == 200, (call.path, answer.text)
            met += 1
    assert met > 5
    with psycopg.connect(world.url) as connection:
        assert connection.execute("select count(*) from usage_record").fetchone() == (0,)
