"""Every list of the OpenAPI document comes in pages: made of the document, so that a new list is covered at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from uuid_utils import uuid7

from api.paging import make_cursor
from operations.charges.run import PaymentRuns
from operations.charges.scope import PaymentScope
from operations.webhooks_out.fan_out import fan_out
from storage.billable import Target
from storage.database import make_engine
from storage.encryption import new_key
from storage.events import NewEvent, append_events
from storage.parked import Park, park
from tests.api.described import IDS, operations, resolved
from tests.api.world import BILLED, World, build_world, calling
from tests.conftest import PostgresForTests

# Lists that are read otherwise, each with the reason.
NOT_IN_PAGES = {"/v1/events": "has no end: test_reading.py reads it in pages of any size"}


def _lists() -> Iterator[tuple[str, dict[str, Any]]]:
    for method, path, operation in operations():
        answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        schema = resolved(answer.get("schema", {}))
        if (
            method == "get"
            and not path.endswith("}")
            and (schema.get("type") == "array" or "items" in schema.get("properties", {}))
        ):
            yield path, operation


LISTS = dict(_lists())


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "pages")


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("pages"), MASTHEAD_SECRET_KEY=new_key()) as client:
        yield client


@pytest.fixture(scope="module")
def places(world: World, client: TestClient) -> dict[str, str]:
    """Several of everything that is listed; what stands in the paths of their lists, by name."""
    for no in (1, 2):
        endpoint = client.post(
            "/v1/webhook-endpoints", json={"url": f"https://n{no}.example.com/", "kinds": ["*"]}
        ).json()["id"]
        clock = client.post(
            "/v1/test-clocks", json={"name": f"clock {no}", "at": "2026-01-05T00:00:00Z"}
        ).json()["id"]
    for key in ("ada", "bob"):
        joined = client.post(
            f"/v1/test-clocks/{clock}/accounts", json={"external_key": key, "currency": "EUR"}
        )
        assert joined.status_code == 200, joined.text
    run = _payment_runs(world)
    with psycopg.connect(world.url) as connection:
        _money(connection, world, run)
        _parked(connection)
        for feature in ("archive", "puzzles"):
            connection.execute(
                "insert into entitlement_grant (account_id, id, subscriber, feature, source_kind, source_id,"
                " starts_at) values (%s, %s, 'mine', %s, 'subscription', %s, now())",
                (world.mine.account, str(uuid7()), feature, world.mine.subscription),
            )
        append_events(connection, [NewEvent("invoice.posted", None, str(uuid4()), 1) for _ in range(2)])
    with psycopg.connect(world.url, autocommit=True) as connection:
        while fan_out(connection).moved:
            pass
    ids = {name: getattr(world.mine, field) for name, field in IDS.items()}
    return {**ids, "endpoint_id": endpoint, "clock_id": clock, "run_id": run}


def _payment_runs(world: World) -> str:
    engine = make_engine(world.url)
    for scope in ("all", "retries"):
        run = PaymentRuns(engine).open(
            workflow_id=f"payment-run/{scope}",
            workflow_run_id=str(uuid4()),
            mode="live",
            scope=PaymentScope.parse(scope),
            target=Target(BILLED, None),
            chunk_size=10,
        )
    engine.dispose()
    return run


def _money(connection: psycopg.Connection[Any], world: World, run: str) -> None:
    """A second payment and two payment methods of one account, and a charge in doubt of two."""
    connection.execute(
        "insert into payment (id, mode, account_id, no, made_on, currency, amount, status, refunded)"
        " values (%s, 'live', %s, 2, %s, 'USD', 500, 'succeeded', 0)",
        (str(uuid7()), world.mine.account, BILLED),
    )
    for token in ("pm_old", "pm_new"):  # added at the same instant: their ids say which is the newer
        connection.execute(
            "insert into payment_method (id, account_id, connection, method, is_default) values (%s, %s, 'cards', %s,"
            " false)",
            (str(uuid7()), world.mine.account, token),
        )
    for reader in (world.mine, world.theirs):
        own = str(uuid7())
        connection.execute(
            "insert into charge (id, mode, account_id, no, collection_id, run_id, made_on, currency, amount,"
            " connection, method, status) values (%s, 'live', %s, 1, %s, %s, %s, 'USD', 100, 'cards', 'pm_old',"
            " 'unknown')",
            (own, reader.account, own, run, BILLED),
        )


def _parked(connection: psycopg.Connection[Any]) -> None:
    """Three causes, two of the same size."""
    for no, kind in enumerate(("invalid", "invalid", "conflict", "declined")):
        park(connection, Park("call", f"trace {no}", kind, "it does not fit", "correct it"))


@pytest.mark.parametrize("path", [path for path in LISTS if path not in NOT_IN_PAGES])
def test_a_list_comes_in_pages_of_the_house(client: TestClient, places: dict[str, str], path: str) -> None:
    operation = LISTS[path]
    asked = {each["name"]: each["schema"] for each in operation["parameters"] if each["in"] == "query"}
    assert (asked["limit"]["default"], asked["limit"]["maximum"]) == (50, 200)
    answered = resolved(operation["responses"]["200"]["content"]["application/json"]["schema"])
    assert {"items", "next"} <= set(answered["required"])
    address = path.format_map(places)
    whole = _page(client, address, limit=200)
    assert whole["next"] is None
    assert len(whole["items"]) >= 2, (
        "make a second one in this module: a page that is the whole list shows nothing"
    )
    single, after = [], None
    for _ in whole["items"]:
        page = _page(client, address, limit=1, **({} if after is None else {"after": after}))
        assert len(page["items"]) == 1
        single += page["items"]
        after = page["next"]
    assert after is None
    assert [_name(each) for each in single] == [_name(each) for each in whole["items"]]
    assert len({_name(each) for each in single}) == len(single)


@pytest.mark.parametrize("path", LISTS)
def test_what_is_no_cursor_of_a_list_is_refused(
    client: TestClient, places: dict[str, str], path: str
) -> None:
    for after in ("x", "MQ", make_cursor("x"), make_cursor("x", "y"), make_cursor(1, 2, 3, 4)):
        answer = client.get(path.format_map(places), params={"after": after})
        assert (answer.status_code, answer.json()["kind"]) == (422, "bad_cursor"), after


def _page(client: TestClient, address: str, **query: Any) -> Any:
    answer = client.get(address, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _name(item: dict[str, Any]) -> str:
    """What tells an item of a list from others."""
    return str(next(item[name] for name in ("id", "sample", "account_id") if name in item))
