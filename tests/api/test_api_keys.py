"""API keys over HTTP: shown once, bound to what they may see, rotated with an overlap, revoked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from operations.api_keys import By, rotate_key
from storage.database import make_engine, transaction
from storage.sight import EVERYTHING
from tests.api.served import NOBODY
from tests.api.world import World, build_world, calling, with_key
from tests.conftest import PostgresForTests, wait_until


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "keys")


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("keys")) as client:
        yield client


def made(client: TestClient, **order: Any) -> dict[str, Any]:
    body = {"name": "store", "scopes": ["catalog:read"], "reason": "a test", **order}
    answer = client.post("/v1/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def status(client: TestClient, secret: str, path: str = "/v1/catalog") -> int:
    return client.get(path, headers={"X-API-Key": secret}).status_code


def test_a_key_does_what_its_scopes_say_and_is_shown_once(client: TestClient, world: World) -> None:
    key = made(client)
    assert (status(client, key["secret"]), status(client, key["secret"], "/v1/accounts")) == (200, 403)
    shown = client.get(f"/v1/api-keys/{key['id']}").json()
    assert shown == {name: value for name, value in key.items() if name != "secret"} | {
        "last_used_at": shown["last_used_at"]
    }
    assert shown["last_used_at"] is not None
    with psycopg.connect(world.url) as connection:
        found = connection.execute("select k::text from api_key k where id = %s", (key["id"],)).fetchone()
        audit = connection.execute(
            "select actor, action, reason from audit where subject = %s", (f"api-key/{key['id']}",)
        ).fetchall()
    assert found is not None
    assert key["secret"] not in found[0]
    assert audit == [("operator", "api-keys.create", "a test")]


def test_a_key_of_one_account_sees_that_account(client: TestClient, world: World) -> None:
    key = made(client, scopes=["accounts:read"], account_id=world.test.account)
    assert (key["mode"], key["account_id"]) == ("test", world.test.account)
    assert status(client, key["secret"], f"/v1/accounts/{world.test.account}") == 200
    assert status(client, key["secret"], f"/v1/accounts/{world.mine.account}") == 404


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"scopes": ["shoes:read"]}, "there is no scope 'shoes:read'"),
        ({"scopes": ["*"], "account_id": NOBODY}, "cannot have the scope '*'"),
        ({"scopes": ["bill-runs:read"], "account_id": NOBODY}, "cannot have the scope 'bill-runs:read'"),
        ({"scopes": ["accounts:read"], "account_id": NOBODY}, "there is no account"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expired already"),
        ({"name": " "}, "give the key a name"),
    ],
)
def test_a_key_that_cannot_be_is_refused(client: TestClient, order: dict[str, Any], says: str) -> None:
    body = {"name": "store", "scopes": ["catalog:read"], "reason": "a test", **order}
    answer = client.post("/v1/api-keys", json=body)
    assert (answer.status_code, answer.json()["kind"]) == (422, "bad_key_order")
    assert says in answer.json()["detail"]


def test_a_key_gives_no_more_than_it_has(client: TestClient) -> None:
    maker = made(client, scopes=["keys:write", "keys:read", "catalog:read"], mode="test")
    headers = {"X-API-Key": maker["secret"]}
    body = {"name": "child", "scopes": ["catalog:read"], "reason": "a test"}
    child = client.post("/v1/api-keys", json=body, headers=headers)
    assert (child.status_code, child.json()["mode"]) == (201, "test")
    for more in ({"scopes": ["accounts:read"]}, {"scopes": ["*"]}, {"mode": "live"}):
        answer = client.post("/v1/api-keys", json={**body, **more}, headers=headers)
        assert answer.status_code == 422
    # Nor does it take over a key that can do more, or sees another mode.
    wide = made(client, scopes=["accounts:read"], mode="test")
    live = made(client)
    order = {"reason": "a test"}
    assert client.post(f"/v1/api-keys/{wide['id']}/rotate", json=order, headers=headers).status_code == 422
    assert client.post(f"/v1/api-keys/{live['id']}/revoke", json=order, headers=headers).status_code == 404


def test_a_rotated_key_opens_with_both_secrets_until_the_overlap_is_over(
    client: TestClient, world: World
) -> None:
    key = made(client)
    path = f"/v1/api-keys/{key['id']}/rotate"
    new = client.post(path, json={"overlap_seconds": 3600, "reason": "yearly"}).json()
    assert (status(client, key["secret"]), status(client, new["secret"])) == (200, 200)
    assert new["rotated_at"] is not None
    newest = client.post(path, json={"overlap_seconds": 0, "reason": "leaked"}).json()
    assert [status(client, each["secret"]) for each in (key, new, newest)] == [401, 401, 200]
    # The overlap ends by itself.
    engine = make_engine(world.url)
    with transaction(engine) as connection:
        before = datetime.now(UTC) - timedelta(hours=2)
        last = rotate_key(
            connection,
            key["id"],
            overlap=timedelta(hours=1),
            now=before,
            by=By("me", "late"),
            sight=EVERYTHING,
        )
    engine.dispose()
    wait_until("the overlap is over", lambda: status(client, newest["secret"]) == 401)
    assert status(client, last.secret) == 200


def test_a_revoked_or_expired_key_opens_nothing_with_any_of_its_secrets(
    client: TestClient, world: World
) -> None:
    key = made(client, expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    new = client.post(f"/v1/api-keys/{key['id']}/rotate", json={"reason": "a test"}).json()
    revoked = client.post(f"/v1/api-keys/{key['id']}/revoke", json={"reason": "lost"}).json()
    again = client.post(f"/v1/api-keys/{key['id']}/revoke", json={"reason": "lost"}).json()
    assert revoked["revoked_at"] == again["revoked_at"] is not None
    assert [status(client, each["secret"]) for each in (key, new)] == [401, 401]
    refused = client.post(f"/v1/api-keys/{key['id']}/rotate", json={"reason": "a test"})
    assert (refused.status_code, refused.json()["kind"]) == (409, "key_over")
    assert client.post(f"/v1/api-keys/{NOBODY}/revoke", json={"reason": "x"}).json()["kind"] == "no_such_key"


def test_a_key_that_is_revoked_elsewhere_is_known_here_soon(client: TestClient, world: World) -> None:
    key = made(client)
    assert status(client, key["secret"]) == 200
    with psycopg.connect(world.url) as connection:
        connection.execute("update api_key set revoked_at = now() where id = %s", (key["id"],))
    wait_until("the key is refused", lambda: status(client, key["secret"]) == 401, seconds=10)


def test_keys_are_listed_in_pages_for_their_mode(client: TestClient) -> None:
    made(client, name="last")
    names: list[str] = []
    after: str | None = None
    while True:
        page = client.get("/v1/api-keys", params={"limit": 2} | ({"after": after} if after else {})).json()
        names += [key["name"] for key in page["items"]]
        if (after := page["next"]) is None:
            break
    assert names[:3] == ["operator", "live", "test"]
    assert names[-1] == "last"
    assert "secret" not in page["items"][0]
    bound = client.get("/v1/api-keys", headers=with_key("test")).json()["items"]
    assert {key["mode"] for key in bound} == {"test"}
