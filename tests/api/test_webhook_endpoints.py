"""Webhook endpoints over HTTP: who may, what is answered, what is refused, and that the secret is shown once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from operations.webhooks_out.fan_out import fan_out
from storage.encryption import new_key
from storage.events import NewEvent, append_events
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests

PATH = "/v1/webhook-endpoints"
ANY = {"If-Match": "*"}
REASON = {"reason": "the CRM is being moved"}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "api_webhooks", "webhook-endpoints:read")


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_for(url, tmp_path_factory.mktemp("api"), MASTHEAD_SECRET_KEY=new_key()) as client:
        yield client


def added(client: TestClient, *kinds: str) -> dict[str, Any]:
    body = {"url": f"https://n{next(numbers)}.example.com/hook", "kinds": list(kinds) or ["*"]}
    answer = client.post(PATH, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def failed_message(url: str, endpoint: str) -> str:
    """A message to the endpoint that was tried once, in vain, and given up."""
    with psycopg.connect(url, autocommit=True) as connection:
        append_events(connection, [NewEvent("invoice.posted", None, str(uuid4()), 1)])
        while fan_out(connection).moved:
            pass
        row = connection.execute(
            "update webhook_message set status = 'failed', attempts = 1, error_kind = 'http_500',"
            " next_attempt_at = null, ended_at = now() where endpoint_id = %s returning id::text",
            (endpoint,),
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into webhook_attempt (message_id, no, status, milliseconds, error_kind, response)"
            " values (%s, 1, 500, 7, 'http_500', 'oops')",
            row,
        )
    return str(row[0])


def test_the_secret_is_shown_when_it_is_made_and_never_again(client: TestClient) -> None:
    made = added(client, "invoice.*")
    assert made["secret"].startswith("whsec_")
    shown = client.get(f"{PATH}/{made['id']}")
    assert shown.json() == {name: value for name, value in made.items() if name != "secret"}
    rotated = client.post(f"{PATH}/{made['id']}/rotate-secret", json=REASON)
    assert rotated.json()["secret"] not in ("", made["secret"])
    assert rotated.headers["cache-control"] == "no-store"
    assert rotated.json()["previous_secret_until"] is not None
    again = client.post(f"{PATH}/{made['id']}/rotate-secret", json=REASON)
    assert (again.status_code, again.json()["type"]) == (409, "urn:masthead:problem:rotated_lately")
    forced = client.post(f"{PATH}/{made['id']}/rotate-secret", json={**REASON, "force": True})
    assert forced.status_code == 200
    for text in (client.get(PATH).text, client.get(f"{PATH}/{made['id']}").text):
        assert "whsec_" not in text
        assert 'secret"' not in text


def test_changed_disabled_enabled_deleted(client: TestClient, url: str) -> None:
    path = f"{PATH}/{added(client)['id']}"
    changed = client.patch(
        path, json={"kinds": ["invoice.posted", "invoice.posted"], "description": "CRM"}, headers=ANY
    ).json()
    assert (changed["kinds"], changed["description"], changed["version"]) == (["invoice.posted"], "CRM", 2)
    disabled = client.post(f"{path}/disable", json=REASON).json()
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", REASON["reason"])
    assert client.post(f"{path}/resend", json={"since": "2026-01-01T00:00:00Z"}).status_code == 409
    assert client.post(f"{path}/enable", json=REASON).json()["status"] == "enabled"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == client.delete(path).status_code == 404
    with psycopg.connect(url) as connection:
        actions = connection.execute(
            "select action, actor from audit where subject = %s order by at",
            (f"webhook-delivery/{path.rpartition('/')[2]}",),
        ).fetchall()
    assert actions == [
        (f"webhooks-out.{action}", "operator") for action in ("add", "change", "disable", "enable", "delete")
    ]


def test_what_was_told_is_listed_and_sent_again(client: TestClient, url: str) -> None:
    endpoint = added(client, "invoice.posted")["id"]
    message = failed_message(url, endpoint)
    (item,) = client.get(f"{PATH}/{endpoint}/deliveries", params={"status": "failed"}).json()["items"]
    assert (item["id"], item["kind"], item["attempts"]) == (message, "invoice.posted", 1)
    (attempt,) = item["log"]
    assert (attempt["status"], attempt["milliseconds"], attempt["response"]) == (500, 7, "oops")
    again = client.post(f"{PATH}/{endpoint}/resend", json={"since": "2026-01-01T00:00:00Z"})
    assert (again.status_code, again.json()) == (202, {"messages": 1})
    assert client.get(f"{PATH}/{endpoint}/deliveries", params={"status": "failed"}).json()["items"] == []
    assert client.post(f"{PATH}/{endpoint}/resend", json={"message_id": message}).json() == {"messages": 1}
    assert client.get(f"{PATH}/{endpoint}").json()["waiting"] == 1
    (item,) = client.get(f"{PATH}/{endpoint}/deliveries").json()["items"]
    assert item["id"] == message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"url": "http://example.com/", "kinds": ["*"]}, "bad_url"),
        ({"url": "https://10.1.2.3/", "kinds": ["*"]}, "bad_url"),
        ({"url": "http://127.0.0.1:9/", "kinds": ["*"]}, "bad_url"),
        ({"url": "https://example.com/", "kinds": ["Invoice"]}, "bad_kinds"),
        ({"url": "https://example.com/", "kinds": []}, "invalid_request"),
        ({"url": "https://example.com/", "kinds": ["*"], "secret": "whsec_mine"}, "invalid_request"),
        ({"url": "https://example.com/", "kinds": ["*"], "mode": "both"}, "invalid_request"),
    ],
)
def test_what_cannot_be_an_endpoint_is_said_as_a_problem(
    client: TestClient, body: dict[str, Any], kind: str
) -> None:
    before = client.get(PATH).json()
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:masthead:problem:{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "whsec_mine" not in answer.text
    assert client.get(PATH).json() == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("get", f"/{NOBODY}", None, 404, "no_such_endpoint"),
        ("patch", f"/{NOBODY}", {"kinds": ["*"]}, 404, "no_such_endpoint"),
        ("get", f"/{NOBODY}/deliveries", None, 404, "no_such_endpoint"),
        ("post", f"/{NOBODY}/disable", REASON, 404, "no_such_endpoint"),
        ("post", f"/{NOBODY}/resend", {"since": "2026-01-01T00:00:00Z"}, 404, "no_such_endpoint"),
        ("get", "/nonsense", None, 422, "invalid_request"),
        ("post", f"/{NOBODY}/resend", {}, 422, "invalid_request"),
        ("post", f"/{NOBODY}/resend", {"since": "2026-01-01T00:00:00"}, 422, "invalid_request"),
        ("post", f"/{NOBODY}/rotate-secret", {}, 422, "invalid_request"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(
    client: TestClient, method: str, path: str, body: dict[str, str] | None, status: int, kind: str
) -> None:
    answer = client.request(method, PATH + path, json=body, headers=ANY)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:masthead:problem:{kind}")


def test_a_message_of_another_endpoint_is_not_sent_again(client: TestClient, url: str) -> None:
    mine, other = added(client, "invoice.posted")["id"], added(client)["id"]
    message = failed_message(url, mine)
    answer = client.post(f"{PATH}/{other}/resend", json={"message_id": message})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:masthead:problem:no_such_message")


def test_a_second_endpoint_at_a_url_is_refused_with_the_id_of_the_first(client: TestClient) -> None:
    first, second = added(client), added(client)
    again = client.post(PATH, json={"url": first["url"], "kinds": ["*"]})
    moved = client.patch(f"{PATH}/{second['id']}", json={"url": first["url"]}, headers=ANY)
    for answer in (again, moved):
        assert (answer.status_code, answer.json()["endpoint_id"]) == (409, first["id"])


def test_a_key_may_do_what_its_scopes_say_and_no_more(client: TestClient) -> None:
    reader = {"Authorization": "Bearer mh_reader"}
    path = f"{PATH}/{added(client)['id']}"
    assert client.get(path, headers=reader).status_code == 200
    assert client.get(f"{path}/deliveries", headers=reader).status_code == 200
    body = {"url": "https://example.com/", "kinds": ["*"]}
    assert client.post(PATH, json=body, headers=reader).status_code == 403
    for action in ("rotate-secret", "disable", "enable", "resend"):
        assert client.post(f"{path}/{action}", json=REASON, headers=reader).status_code == 403
    assert client.delete(path, headers=reader).status_code == 403
    assert client.get(PATH, headers={"Authorization": "Bearer mh_guess"}).status_code == 401


@pytest.mark.parametrize("key", ["", "not-a-key"])
def test_without_a_usable_key_no_secret_is_taken(url: str, tmp_path: Path, key: str) -> None:
    with client_for(url, tmp_path, MASTHEAD_SECRET_KEY=key) as keyless:
        answer = keyless.post(PATH, json={"url": "https://keyless.example.com/", "kinds": ["*"]})
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:masthead:problem:no_secret_key")
        assert key == "" or key not in answer.text
        assert keyless.get(PATH).status_code == 200
