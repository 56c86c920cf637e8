"""Commands on a subscription over HTTP: what they come to, once for each key, and what is refused in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from contracts.scopes import SCOPES
from domain.catalog import Catalog
from operations.catalog import load_catalog
from operations.verify import verify
from storage.database import make_engine
from tests.api.served import NOBODY
from tests.api.world import CATALOG, World, add_key, build_world, calling, with_key
from tests.conftest import PostgresForTests

PRICES = {"small": "10.00", "large": "30.00"}


def with_plans(catalog: Catalog) -> Catalog:
    found = catalog.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for code, amount in PRICES.items():
        price = {"code": "base", "type": "recurring", "amounts": {"USD": amount}}
        version = {
            "version": 1,
            "effective": "2020-01-01",
            "interval": {"unit": "month"},
            "phases": [{"kind": "evergreen", "prices": [price]}],
        }
        found["plans"].append({"code": code, "name": code, "product": "digital", "versions": [version]})
    return Catalog.model_validate(found)


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    found = build_world(pg_server, "subscription_commands")
    engine = make_engine(found.url)
    load_catalog(engine, with_plans(CATALOG))
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    # Temporal is away all the time: commands do without it.
    with calling(world, tmp_path_factory.mktemp("commands")) as client:
        yield client


class Subscribed(NamedTuple):
    account: str
    subscription: str
    answer: dict[str, Any]
    etag: str


def once(**more: str) -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4()), **more}


def subscribed(client: TestClient, plan: str = "small") -> Subscribed:
    """A new account in UTC that subscribed today, with its first invoice."""
    order = {"external_key": str(uuid4()), "currency": "USD", "time_zone": "UTC", "locale": "en-US"}
    account = client.post("/v1/accounts", json=order, headers=once()).json()["id"]
    answer = client.post(
        f"/v1/accounts/{account}/subscriptions",
        json={"external_key": str(uuid4()), "plan": plan, "invoice_now": True},
        headers=once(),
    )
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert len(found["invoices"]) == 1
    return Subscribed(account, found["subscription"]["id"], found, answer.headers["etag"])


def ask(client: TestClient, subscription: str, command: str, order: Any = None, **headers: str) -> Any:
    return client.post(
        f"/v1/subscriptions/{subscription}/{command}", json=order, headers={**once(), **headers}
    )


def rows(world: World, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(world.url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def test_a_change_of_plan_is_invoiced_at_once_if_so_asked(client: TestClient, world: World) -> None:
    was = subscribed(client)
    answer = ask(client, was.subscription, "change-plan", {"to": "large", "invoice_now": True})
    assert answer.status_code == 200
    found = answer.json()
    # All of today's month was credited and charged anew.
    assert (found["pending"], found["open"]) == (0, 1000 + 2000)
    (made,) = found["invoices"]
    invoice = client.get(f"/v1/invoices/{made['id']}").json()
    assert (invoice["total"], sorted(line["amount"] for line in invoice["lines"])) == (2000, [-1000, 3000])
    running = [item["plan"] for item in found["subscription"]["items"] if item["ends_on"] is None]
    assert running == ["large"]
    assert rows(
        world, "select count(*) from event_log where subject_id = %s and kind = 'invoice.posted'", made["id"]
    ) == [(1,)]


def test_a_change_of_plan_waits_for_the_next_bill_otherwise(client: TestClient) -> None:
    was = subscribed(client)
    found = ask(client, was.subscription, "change-plan", {"to": "large"}).json()
    assert (found["invoices"], found["pending"], found["open"]) == ([], 2000, 1000)
    # A downgrade comes when what is charged runs out.
    later = ask(client, subscribed(client, "large").subscription, "change-plan", {"to": "small"}).json()
    assert (later["invoices"], later["pending"]) == ([], 0)
    (comes,) = [item for item in later["subscription"]["items"] if item["plan"] == "small"] or [None]
    assert comes is None or comes["starts_on"] == later["subscription"]["charged_through"]
    assert later["subscription"]["next_change_on"] == later["subscription"]["charged_through"]


def test_pause_and_resume(client: TestClient) -> None:
    was = subscribed(client)
    until = str((datetime.now(UTC) + timedelta(days=20)).date())
    paused = ask(client, was.subscription, "pause", {"until": until}).json()["subscription"]
    assert (paused["state"], paused["resumes_on"]) == ("paused", until)
    assert client.get(f"/v1/subscriptions/{was.subscription}").json()["status"] == "paused"
    resumed = ask(client, was.subscription, "resume").json()["subscription"]
    assert (resumed["state"], resumed["resumes_on"]) == ("active", None)
    assert resumed["version"] == paused["version"] + 1


def test_cancel_and_reactivate(client: TestClient) -> None:
    was = subscribed(client)
    canceled = ask(client, was.subscription, "cancel", {}).json()["subscription"]
    assert (canceled["state"], canceled["ends_on"]) == ("active", canceled["charged_through"])
    back = ask(client, was.subscription, "reactivate").json()["subscription"]
    assert (back["state"], back["ends_on"]) == ("active", None)
    gone = ask(client, was.subscription, "cancel", {"when": "now"}).json()["subscription"]
    assert gone["state"] == "canceled"


def test_whoever_has_seen_another_version_is_told(client: TestClient) -> None:
    was = subscribed(client)
    first = ask(client, was.subscription, "pause", {}, **{"If-Match": was.etag})
    assert first.status_code == 200
    late = ask(client, was.subscription, "cancel", {}, **{"If-Match": was.etag})
    assert (late.status_code, late.json()["kind"]) == (412, "changed_meanwhile")
    assert late.headers["etag"] == first.headers["etag"] != was.etag
    assert client.get(f"/v1/subscriptions/{was.subscription}").json()["ends_on"] is None
    assert ask(client, was.subscription, "resume", **{"If-Match": first.headers["etag"]}).status_code == 200


def test_what_the_rules_refuse_is_said_in_plain_words(client: TestClient, world: World) -> None:
    was = subscribed(client)
    answer = ask(client, was.subscription, "resume")
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    problem = answer.json()
    assert problem["kind"] == "refused"
    assert "is not paused" in problem["detail"]
    assert problem["detail"][0].isupper()
    assert problem["detail"].endswith(".")
    unknown = ask(client, was.subscription, "change-plan", {"to": "nothing"})
    assert unknown.status_code == 409
    assert "there is no plan 'nothing'" in unknown.json()["detail"].lower()
    assert (
        client.get(f"/v1/subscriptions/{was.subscription}").json()["version"]
        == was.answer["subscription"]["version"]
    )
    assert rows(world, "select kind from command where account_id = %s", was.account) == [("subscribe",)]


def test_the_same_key_again_is_given_the_same_answer(client: TestClient, world: World) -> None:
    was = subscribed(client)
    headers = once()
    order = {"to": "large", "invoice_now": True}
    address = f"/v1/subscriptions/{was.subscription}/change-plan"
    first = client.post(address, json=order, headers=headers)
    again = client.post(address, json=order, headers=headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert (again.headers["etag"], again.headers["idempotent-replayed"]) == (first.headers["etag"], "true")
    assert rows(world, "select count(*) from invoice where account_id = %s", was.account) == [(2,)]
    other = client.post(address, json={"to": "small"}, headers=headers)
    assert (other.status_code, other.json()["kind"]) == (422, "idempotency_key_reused")


def test_a_command_outlives_the_stored_answer(client: TestClient, world: World) -> None:
    was = subscribed(client)
    headers = once()
    address = f"/v1/subscriptions/{was.subscription}/change-plan"
    first = client.post(address, json={"to": "large"}, headers=headers)
    with psycopg.connect(world.url) as connection:
        connection.execute("delete from idempotency_key where key = %s", (headers["Idempotency-Key"],))
    again = client.post(address, json={"to": "large"}, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())


def test_a_subscriber_does_not_set_the_publishers_terms(client: TestClient, world: World) -> None:
    was = subscribed(client)
    bound = [name for name, scope in SCOPES.items() if scope.for_accounts]
    with psycopg.connect(world.url) as connection:
        add_key(connection, "reader", bound, account=was.account)
    mine = with_key("reader")
    for terms in ({"price_override": "1.00"}, {"version": 1}, {"behaviour": "end_of_period"}):
        answer = ask(client, was.subscription, "change-plan", {"to": "large", **terms}, **mine)
        assert (answer.status_code, answer.json()["kind"]) == (403, "not_for_account_keys")
        assert next(iter(terms)) in answer.json()["detail"]
    assert ask(client, was.subscription, "change-plan", {"to": "large"}, **mine).status_code == 200
    override = ask(client, was.subscription, "change-plan", {"to": "small", "price_override": "1.00"})
    assert override.status_code == 200
    assert ask(client, world.mine.subscription, "pause", {}, **mine).status_code == 404


def test_nobodys_subscription_is_not_found(client: TestClient) -> None:
    answer = ask(client, NOBODY, "pause", {})
    assert (answer.status_code, answer.json()["kind"]) == (404, "no_such_subscription")


def test_the_laws_hold_after_all_of_it(world: World) -> None:
    engine = make_engine(world.url)
    try:
        assert [(law.law, law.violations) for law in verify(engine) if not law.ok] == []
    finally:
        engine.dispose()
