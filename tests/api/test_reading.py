"""Catalog, subscriptions, invoices and events over HTTP: what is read is what the books hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from operations.catalog import load_catalog
from storage.database import make_engine
from storage.events import NewEvent, append_events
from tests.api.served import NOBODY
from tests.api.world import CATALOG, World, build_world, calling, with_key
from tests.conftest import PostgresForTests


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "reading")


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("reading")) as client:
        yield client


def test_the_catalog_shows_what_is_sold_on_a_day(client: TestClient) -> None:
    catalog = client.get("/v1/catalog").json()
    assert (catalog["currencies"], catalog["features"]) == (["EUR", "USD"], ["archive"])
    assert [meter["code"] for meter in catalog["meters"]] == ["articles", "tips"]
    (plan,) = catalog["plans"]
    assert (plan["code"], plan["product"], plan["current"]["version"]) == ("reader", "digital", 1)
    intro, evergreen = plan["current"]["phases"]
    assert (intro["kind"], intro["periods"], intro["prices"][0]["amounts"]) == (
        "intro",
        1,
        {"EUR": "5.50", "USD": "6.45"},
    )
    assert evergreen["prices"][0]["amounts"] == {"EUR": "11.00", "USD": "12.90"}
    assert evergreen["prices"][1]["currencies"] == ["EUR", "USD"]
    later = client.get("/v1/catalog", params={"on": "2100-01-01"}).json()
    assert later["plans"][0]["current"]["version"] == 2
    before = client.get("/v1/catalog", params={"on": "1999-01-01"}).json()
    assert (before["plans"][0]["current"], before["features"]) == (None, [])


def test_a_catalog_that_is_loaded_anew_is_shown(pg_server: PostgresForTests, tmp_path: Any) -> None:
    world = build_world(pg_server, "reloaded")
    engine = make_engine(world.url)
    with calling(world, tmp_path) as client:
        assert client.get("/v1/catalog/plans/reader").json()["name"] == "Reader"
        renamed = CATALOG.plans[0].model_copy(update={"name": "Read it all"})
        load_catalog(engine, CATALOG.model_copy(update={"plans": (renamed,)}))
        assert client.get("/v1/catalog/plans/reader").json()["name"] == "Read it all"
    engine.dispose()


def test_a_plan_is_shown_with_all_its_versions(client: TestClient) -> None:
    plan = client.get("/v1/catalog/plans/reader").json()
    assert (plan["current"]["version"], [each["version"] for each in plan["versions"]]) == (1, [1, 2])
    missing = client.get("/v1/catalog/plans/nothing")
    assert (missing.status_code, missing.json()["kind"]) == (404, "no_such_plan")


def test_a_subscription_is_shown_as_its_dates_say(client: TestClient, world: World) -> None:
    answer = client.get(f"/v1/subscriptions/{world.mine.subscription}")
    shown = answer.json()
    assert (shown["status"], shown["account_id"], shown["currency"]) == ("active", world.mine.account, "USD")
    assert (shown["items"][0]["plan"], shown["items"][0]["quantity"]) == ("reader", "1")
    assert (shown["discounts"][0]["code"], shown["discounts"][0]["percent"]) == ("FRIENDS", "10")
    assert answer.headers["etag"] == f'"v{shown["version"]}"'
    listed = client.get("/v1/subscriptions", params={"account_id": world.mine.account}).json()
    assert listed == {"items": [shown], "next": None}
    assert client.get(f"/v1/subscriptions/{NOBODY}").json()["kind"] == "no_such_subscription"


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({"ends_on": -2}, "expired"),
        ({"ends_on": 2}, "active"),
        ({"ends_on": -2, "canceled_on": -9}, "canceled"),
        ({"status": "paused", "resumes_on": -2}, "active"),
        ({"status": "paused", "resumes_on": 2}, "paused"),
        ({"status": "past_due"}, "past_due"),
    ],
)
def test_a_status_that_nobody_has_written_down_yet_is_told(
    client: TestClient, world: World, columns: dict[str, Any], status: str
) -> None:
    today = datetime.now(UTC).date()
    values = {
        name: today + timedelta(days=value) if isinstance(value, int) else value
        for name, value in columns.items()
    }
    with psycopg.connect(world.url) as connection:
        sets = ", ".join(f"{name} = %({name})s" for name in values)
        connection.execute(
            f"update subscription set {sets} where id = %(id)s".encode(),
            {**values, "id": world.theirs.subscription},
        )
    shown = client.get(f"/v1/subscriptions/{world.theirs.subscription}").json()
    with psycopg.connect(world.url) as connection:
        connection.execute(
            "update subscription set status = 'active', ends_on = null, canceled_on = null, resumes_on = null"
            " where id = %s",
            (world.theirs.subscription,),
        )
    assert (shown["status"], date.fromisoformat(shown["as_of"]) <= today) == (status, True)


def test_an_invoice_is_shown_with_lines_that_sum_up(client: TestClient, world: World) -> None:
    shown = client.get(f"/v1/invoices/{world.mine.invoice}").json()
    assert sum(line["amount"] for line in shown["lines"]) == shown["subtotal"]
    assert sum(tax["amount"] for line in shown["lines"] for tax in line["taxes"]) == shown["tax"]
    assert shown["taxes"] == [{"jurisdiction": "State of Test", "rate": "0.0825", "amount": shown["tax"]}]
    assert shown["total"] == shown["subtotal"] + shown["tax"] > 0
    kinds = [line["kind"] for line in shown["lines"]]
    assert (kinds.count("recurring"), kinds.count("discount"), kinds.count("tax")) == (3, 3, 0)
    charged = {line["subscription_id"] for line in shown["lines"] if line["kind"] == "recurring"}
    assert charged == {world.mine.subscription}
    assert client.get(f"/v1/invoices/{NOBODY}").json()["kind"] == "no_such_invoice"


def test_invoices_are_listed_by_account_and_status(client: TestClient, world: World) -> None:
    def ids(**query: Any) -> list[str]:
        return [each["id"] for each in client.get("/v1/invoices", params=query).json()["items"]]

    assert ids(account_id=world.mine.account, status="open") == [world.mine.invoice]
    assert ids(account_id=world.mine.account, status="paid") == []
    assert len(ids()) == 3
    first = client.get("/v1/invoices", params={"limit": 2}).json()
    rest = client.get("/v1/invoices", params={"limit": 2, "after": first["next"]}).json()
    assert [each["id"] for each in first["items"] + rest["items"]] == ids()
    assert rest["next"] is None
    assert client.get("/v1/invoices", params={"status": "torn"}).status_code == 422


def everything(
    client: TestClient, after: str | None = None, **query: Any
) -> tuple[list[dict[str, Any]], str]:
    events: list[dict[str, Any]] = []
    while True:
        page = client.get("/v1/events", params={**query, **({"after": after} if after else {})}).json()
        events += page["items"]
        after = page["next"]
        if not page["more"]:
            return events, str(after)


def test_events_are_read_in_order_in_pages_of_any_size(client: TestClient, world: World) -> None:
    events, upto = everything(client)
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "catalog.loaded"
    assert (kinds.count("subscription.imported"), kinds.count("invoice.posted")) == (3, 3)
    assert everything(client, limit=1) == (events, upto)
    assert len({event["id"] for event in events}) == len(events)
    only, _ = everything(client, kind="invoice.*")
    assert {event["kind"] for event in only} == {"invoice.posted"}
    for key, reader, hidden in (("live", world.mine, world.test), ("test", world.test, world.mine)):
        page = client.get("/v1/events", headers=with_key(key)).json()
        accounts = {event["account_id"] for event in page["items"]}
        assert reader.account in accounts
        assert hidden.account not in accounts


def test_an_event_that_commits_late_is_not_passed_over(client: TestClient, world: World) -> None:
    _, upto = everything(client)
    first, second = str(uuid4()), str(uuid4())
    with psycopg.connect(world.url) as slow, psycopg.connect(world.url) as quick:
        append_events(slow, [NewEvent("slow", None, first, 1)])
        append_events(quick, [NewEvent("quick", None, second, 1)])
        quick.commit()
        seen, upto = everything(client, upto)
        assert seen == []
        slow.commit()
    seen, _ = everything(client, upto)
    assert [event["subject_id"] for event in seen] == [first, second]


@pytest.mark.parametrize(
    "after", ["x", "MQ", "MSwxLDIsYQ", "MSw5OTk5OSwxLDE", "MSwxLDk5OTk5OTk5OTk5OTk5OTk5OTksMQ"]
)
def test_what_is_no_place_in_the_log_is_refused(client: TestClient, after: str) -> None:
    answer = client.get("/v1/events", params={"after": after})
    assert (answer.status_code, answer.json()["kind"]) == (422, "bad_cursor")
