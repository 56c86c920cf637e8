"""What the OpenAPI document says of Idempotency-Key and If-Match, operation by operation, is what its route does; and
an edit that was decided on a version that moved meanwhile changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from storage.encryption import new_key
from tests.api.described import IDS, example_body, operations
from tests.api.served import NOBODY
from tests.api.world import World, build_world, calling
from tests.conftest import PostgresForTests

# POSTs without an Idempotency-Key, each with the reason why it may be sent again.
_ABSOLUTE = "says how it shall be: again it is so already, or 409"
_ONCE = "is decided once: again it changes nothing, otherwise 409"
_JOINS = "joins the run that goes on; a later one finds nothing left to do"
KEYLESS = {
    "/v1/quotes": "changes nothing",
    "/v1/checkouts/{checkout_id}/confirm": "asks it to look at the gateway",
    "/v1/checkouts/{checkout_id}/cancel": "asks it to give up, which it does once",
    "/v1/checkouts/{checkout_id}/claim": "is one command for the gift, its reader and its day",
    "/v1/refunds/{refund_id}/decision": _ONCE,
    "/v1/payments-in-doubt/{charge_id}/resolve": _ONCE,
    "/v1/parked/{park_id}/edit": _ONCE,
    "/v1/parked/{park_id}/{action}": _ONCE,
    "/v1/usage": "each record has a key",
    "/v1/usage/batch": "each record has a key",
    "/v1/entitlements/use": "a resource counts once",
    "/v1/entitlements/merge": "a resource counts once",
    "/v1/bill-runs": _JOINS,
    "/v1/bill-runs/{run_id}/pause": _ABSOLUTE,
    "/v1/bill-runs/{run_id}/resume": _ABSOLUTE,
    "/v1/bill-runs/{run_id}/cancel": _ABSOLUTE,
    "/v1/payment-runs": _JOINS,
    "/v1/payment-runs/{run_id}/pause": _ABSOLUTE,
    "/v1/payment-runs/{run_id}/resume": _ABSOLUTE,
    "/v1/payment-runs/{run_id}/cancel": _ABSOLUTE,
    "/v1/webhook-endpoints": "there is one at a URL: again 409 with its id",
    "/v1/webhook-endpoints/{endpoint_id}/rotate-secret": "again 409, unless it is forced",
    "/v1/webhook-endpoints/{endpoint_id}/disable": _ABSOLUTE,
    "/v1/webhook-endpoints/{endpoint_id}/enable": _ABSOLUTE,
    "/v1/webhook-endpoints/{endpoint_id}/resend": "receivers know a message by its id",
    "/v1/test-clocks": "there is one of a name: again it is the same",
    "/v1/test-clocks/{clock_id}/accounts": "an account that is on the clock stays as it is",
    "/v1/test-clocks/{clock_id}/advance": _ABSOLUTE,
    "/v1/api-keys": "moves no money: again another key, whose secret nobody has seen",
    "/v1/api-keys/{key_id}/rotate": "moves no money: again another secret, and the one before opens for a while",
    "/v1/api-keys/{key_id}/revoke": _ABSOLUTE,
}
OTHER = '"v999999"'
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "headers")


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with calling(world, tmp_path_factory.mktemp("headers"), MASTHEAD_SECRET_KEY=new_key()) as client:
        yield client


@pytest.fixture(scope="module")
def clock(client: TestClient) -> str:
    """A test clock with the account `ada`."""
    made = client.post("/v1/test-clocks", json={"name": "edited", "at": "2026-01-05T00:00:00Z"}).json()["id"]
    joined = client.post(f"/v1/test-clocks/{made}/accounts", json={"external_key": "ada", "currency": "EUR"})
    assert joined.status_code == 200, joined.text
    return str(made)


def new_endpoint(client: TestClient) -> Any:
    body = {"url": f"https://n{next(numbers)}.example.com/", "kinds": ["*"]}
    return client.post("/v1/webhook-endpoints", json=body)


@pytest.mark.parametrize(("method", "path", "operation"), list(operations()))
def test_the_document_says_of_headers_what_the_route_does(
    client: TestClient, world: World, clock: str, method: str, path: str, operation: dict[str, Any]
) -> None:
    ids = {name: getattr(world.mine, field) for name, field in IDS.items()}
    ids |= {"clock_id": clock, "account": "ada", "code": "reader", "action": "retry"}
    if "{endpoint_id}" in path:
        ids["endpoint_id"] = new_endpoint(client).json()["id"]
    described = {each["name"]: each for each in operation.get("parameters", ())}
    address = path.format_map({name: ids.get(name, NOBODY) for name in described})
    body = example_body(method, path)
    if body is not None:
        body = {name: ids.get(name, value) for name, value in body.items()}

    def send(**headers: str) -> tuple[int, str | None]:
        asked = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = client.request(method, address, json=body, headers=asked, params=query)
        kind = answer.json().get("kind") if answer.status_code >= 400 else None
        return answer.status_code, kind

    query = {name: ids.get(name, value) for name, value in operation.get("x-example-query", {}).items()}
    query |= {"wait": "0"} if "wait" in described else {}
    moved = send(If_Match=OTHER, Idempotency_Key=f"other-{next(numbers)}")
    assert (moved == (412, "changed_meanwhile")) is ("If-Match" in described), moved
    plain = send(Idempotency_Key=f"plain-{next(numbers)}")
    assert (plain == (428, "no_if_match")) is _required(described, "If-Match"), plain
    keyless = send(If_Match="*")
    assert (keyless == (400, "no_idempotency_key")) is _required(described, "Idempotency-Key"), keyless


def test_a_post_takes_a_key_or_may_be_sent_again_without_one() -> None:
    without = {path for method, path, operation in operations() if method == "post" and not _keyed(operation)}
    assert without == KEYLESS.keys()


def _keyed(operation: dict[str, Any]) -> bool:
    return any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ()))


def _required(described: dict[str, Any], header: str) -> bool:
    return bool(described.get(header, {}).get("required", False))


def test_of_two_who_edit_an_endpoint_the_second_is_told(client: TestClient) -> None:
    made = new_endpoint(client)
    path, seen = f"/v1/webhook-endpoints/{made.json()['id']}", made.headers["etag"]
    assert client.get(path).headers["etag"] == seen
    first = client.patch(path, json={"kinds": ["invoice.*"]}, headers={"If-Match": seen})
    second = client.patch(path, json={"kinds": ["account.*"]}, headers={"If-Match": seen})
    assert (first.status_code, second.status_code) == (200, 412)
    assert second.headers["etag"] == first.headers["etag"] == client.get(path).headers["etag"] != seen
    assert client.get(path).json()["kinds"] == ["invoice.*"]
    order = {"reason": "it moves"}
    assert client.post(f"{path}/disable", json=order, headers={"If-Match": seen}).status_code == 412
    off = client.post(f"{path}/disable", json=order, headers={"If-Match": first.headers["etag"]})
    assert (off.status_code, off.json()["status"]) == (200, "disabled")
    assert client.delete(path, headers={"If-Match": seen}).status_code == 412
    assert client.delete(path, headers={"If-Match": off.headers["etag"]}).status_code == 204


def test_declines_are_shown_and_replaced_as_they_were_seen(client: TestClient, clock: str) -> None:
    path = f"/v1/test-clocks/{clock}/accounts/ada/declines"
    shown = client.get(path)
    seen = {"If-Match": shown.headers["etag"]}
    wanted = {"2026-03-05": "expired_card", "2026-02-05": "insufficient_funds"}
    first = client.put(path, json={"declines": wanted}, headers=seen)
    assert (first.status_code, first.json()["declines"]) == (200, wanted)
    assert client.put(path, json={"declines": {}}, headers=seen).status_code == 412
    again = client.get(path)
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
    assert first.json()["id"] == shown.json()["id"]
    assert client.put(path, json={"declines": {}}).json()["declines"] == {}


def test_a_command_on_an_account_may_say_which_version_it_was_decided_on(
    client: TestClient, world: World
) -> None:
    path = f"/v1/accounts/{world.theirs.account}"
    seen = client.get(path).headers["etag"]

    def move(day: int, match: str) -> Any:
        headers = {"If-Match": match, "Idempotency-Key": f"day-{day}-{next(numbers)}"}
        return client.post(f"{path}/bill-cycle-day", json={"day": day}, headers=headers)

    first, second = move(15, seen), move(20, seen)
    assert (first.status_code, second.status_code) == (200, 412)
    now = client.get(path)
    assert (now.json()["bill_cycle_day"], now.headers["etag"]) == (15, second.headers["etag"])
    assert move(20, second.headers["etag"]).status_code == 200


def test_a_transfer_may_say_which_version_it_was_decided_on(client: TestClient, world: World) -> None:
    path = f"/v1/subscriptions/{world.theirs.subscription}"
    seen = client.get(path).headers["etag"]
    changed = client.post(
        f"{path}/change-quantity",
        json={"quantity": "2"},
        headers={"Idempotency-Key": f"quantity-{next(numbers)}", "If-Match": seen},
    )
    assert changed.status_code == 200, changed.text

    def transfer(match: str) -> Any:
        headers = {"If-Match": match, "Idempotency-Key": f"transfer-{next(numbers)}"}
        return client.post(f"{path}/transfer", json={"to_account_id": world.mine.account}, headers=headers)

    assert transfer(seen).status_code == 412
    done = transfer(changed.headers["etag"])
    assert (done.status_code, done.headers["etag"]) == (200, client.get(path).headers["etag"])
    assert done.headers["etag"] != changed.headers["etag"]


def test_a_hold_on_dunning_may_say_which_case_it_was_decided_on(client: TestClient, world: World) -> None:
    path = f"/v1/dunning-cases/{world.theirs.account}"
    seen = client.get(path).headers["etag"]

    def pause(match: str) -> Any:
        headers = {"If-Match": match, "Idempotency-Key": f"pause-{next(numbers)}"}
        return client.post(f"{path}/pause", json={"reason": "she called"}, headers=headers)

    first = pause(seen)
    assert first.status_code == 200, first.text
    assert pause(seen).status_code == 412
    assert client.get(path).headers["etag"] == first.headers["etag"] != seen
