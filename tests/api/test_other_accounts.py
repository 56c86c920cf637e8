"""Law I11 over HTTP: what belongs to another account is not there. The matrix is made of the OpenAPI document: every
operation, called with a key that is bound to one account and with the ids of another. A new operation is covered as
soon as it exists; a new parameter has to be named below."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from fastapi.testclient import TestClient

from contracts.scopes import SCOPES
from storage.encryption import new_key
from storage.parked import Park, park
from tests.api.described import (
    IDS,
    NAMES,
    NOT_ACCOUNTS,
    body_schema,
    example_body,
    fields_of,
    operations,
    resolved,
)
from tests.api.served import NOBODY
from tests.api.world import READERS, World, build_world, calling, with_key
from tests.conftest import PostgresForTests

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Call(NamedTuple):
    """An operation of the document, and one of its places where an id of the other account can stand."""

    method: str
    path: str
    scope: str | None
    place: str  # path, query or body
    name: str
    operation: dict[str, Any]


def calls() -> Iterator[Call]:
    for method, path, operation in operations():
        scope = operation.get("x-scope")
        for parameter in operation.get("parameters", ()):
            if parameter["in"] in ("path", "query") and parameter["name"] in IDS.keys() | NAMES.keys():
                yield Call(method, path, scope, parameter["in"], parameter["name"], operation)
        for name in fields_of(body_schema(operation)):
            if name in IDS:
                yield Call(method, path, scope, "body", name, operation)


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
    with calling(world, tmp_path_factory.mktemp("others"), MASTHEAD_SECRET_KEY=new_key()) as client:
        yield client


def sent(client: TestClient, world: World, call: Call, *, key: str, nobody: bool = False) -> Any:
    """Send the call with ids of the other reader, or of nobody, and all else as it should be."""
    reader = world.theirs._asdict()

    def their(name: str) -> str:
        if name in IDS:
            return NOBODY if nobody else str(reader[IDS[name]])
        return "nobody" if nobody else str(reader[NAMES[name]])

    path, query = call.path, dict(call.operation.get("x-example-query", {}))
    for parameter in call.operation.get("parameters", ()):
        name = parameter["name"]
        if parameter["in"] == "path":
            whose = their(name) if name in IDS else NOBODY
            if call.place == "body" and name in IDS:
                whose = str(world.mine._asdict()[IDS[name]])  # it is the body that is looked at
            path = path.replace(f"{{{name}}}", whose)
        elif parameter["in"] == "query" and name == call.name:
            query[name] = their(name)
    body = example_body(call.method, call.path)
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
        and parameter["name"] not in IDS.keys() | NAMES.keys() | NOT_ACCOUNTS.keys()
    }
    assert not unknown, (
        f"{sorted(unknown)}: name the parameter in tests/api/described.py. An id of something that an account has goes "
        "to IDS, and Reader in tests/api/world.py gets a field for it; what finds by an account's own name, to NAMES; "
        "all else to NOT_ACCOUNTS, with the reason why it cannot lead to another account"
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
    if call.name in NAMES:
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
    reader = world.theirs._asdict()[IDS[call.name]]
    assert json.loads(answer.text.replace(reader, NOBODY)) == nothing.json()


@pytest.mark.parametrize("call", list(calls()), ids=lambda call: f"{call.method} {call.path} {call.name}")
def test_what_is_of_the_other_mode_is_not_there(client: TestClient, world: World, call: Call) -> None:
    other = world._replace(theirs=world.test)
    answer = sent(client, other, call, key="live")
    if call.name in NAMES:
        assert (answer.status_code, answer.json()["items"]) == (200, [])
    elif call.place == "body" and answer.status_code == 200:
        assert {record["result"] for record in answer.json()["records"]} == {"refused"}
    elif call.place == "body" and answer.status_code == 422:
        assert call.name in answer.json()["detail"]  # a key for an account that its maker cannot see
    else:
        assert answer.status_code == 404, answer.text


def test_lists_hold_only_what_the_key_may_see(client: TestClient, world: World) -> None:
    for method, path, operation in operations():
        if "x-example-query" in operation:
            continue  # an answer about one, and no list
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


def test_operators_routes_keep_to_the_mode_of_a_key(client: TestClient, world: World) -> None:
    with psycopg.connect(world.url) as connection:
        parks = {
            mode: park(connection, Park("subscription", mode, "invalid", "it broke", "mend it", mode=mode))
            for mode in ("live", "test")
        }
    endpoints = {
        mode: client.post(
            "/v1/webhook-endpoints",
            json={"url": f"https://{mode}.example.com/", "kinds": ["*"], "mode": mode},
        ).json()["id"]
        for mode in ("live", "test")
    }
    for mode, other in (("live", "test"), ("test", "live")):
        headers = with_key(mode)
        for path in ("/v1/parked", "/v1/bill-runs", "/v1/webhook-endpoints"):
            items = client.get(path, headers=headers).json()["items"]
            assert {item["mode"] for item in items} == {mode}, path
            shown = client.get(f"{path}/{items[0]['id']}", headers=headers)
            assert shown.status_code == 200
            assert client.get(f"{path}/{items[0]['id']}", headers=with_key(other)).status_code == 404
        assert (
            sum(group["count"] for group in client.get("/v1/parked/groups", headers=headers).json()["items"])
            == 1
        )
        order = {"reason": "not mine"}
        for path in (f"/v1/parked/{parks[other]}/skip", f"/v1/webhook-endpoints/{endpoints[other]}/disable"):
            assert client.post(path, json=order, headers=headers).status_code == 404
    run = client.post("/v1/bill-runs", json={"as_of": "2026-12-01"}, headers=with_key("test"))
    assert (run.status_code, run.json()["kind"]) == (422, "other_mode")
