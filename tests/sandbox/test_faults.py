"""Every fault on the wire: what the client meets, and whether the call was applied."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from sandbox.faults import FAULTS
from tests.sandbox import wire
from tests.sandbox.acme import AcmeStandIn


@pytest.fixture
def client(acme: AcmeStandIn) -> Iterator[httpx.Client]:
    with wire.client(base_url=acme.url, timeout=10) as made:
        yield made


ANSWERED = {
    "rate_limited_seconds": (429, "rate_limited", 0),
    "rate_limited_date": (429, "rate_limited", 0),
    "rate_limited_plain": (429, "rate_limited", 0),
    "unavailable": (503, "unavailable", 0),
    "server_error": (500, "server_error", 0),
    "server_error_after": (500, "server_error", 1),
    "unauthorized_once": (401, "unauthorized", 0),
    "error_in_200": (200, "error_in_200", 0),
    "conflict": (409, "conflict", 0),
    "rejected": (422, "rejected", 0),
}


@pytest.mark.parametrize("fault", ANSWERED)
def test_a_fault_that_answers_does_so_in_the_vendors_form_and_once(
    fault: str, acme: AcmeStandIn, client: httpx.Client
) -> None:
    status, kind, applied = ANSWERED[fault]
    acme.inject(fault)
    reply = client.post("/orders/a")
    assert reply.status_code == status
    assert reply.json()["acme_error"] == kind
    assert reply.headers["x-acme"] == "1"
    assert acme.count("order", "a") == applied
    assert client.post("/orders/a").status_code == 200
    assert acme.count("order", "a") == applied + 1


@pytest.mark.parametrize(("fault", "applied"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection_gives_no_answer(
    fault: str, applied: int, acme: AcmeStandIn, client: httpx.Client
) -> None:
    acme.inject(fault)
    with pytest.raises(httpx.TransportError):
        client.post("/orders/a")
    assert acme.count("order") == applied
    assert acme.requests[0].status is None
    assert acme.requests[0].fault == fault


def test_retry_after_is_seconds_or_a_date_or_nothing(acme: AcmeStandIn, client: httpx.Client) -> None:
    acme.inject("rate_limited_seconds", after=7)
    assert client.get("/orders/a").headers["retry-after"] == "7"
    before = datetime.now(UTC).replace(microsecond=0)
    acme.inject("rate_limited_date", after=90)
    until = parsedate_to_datetime(client.get("/orders/a").headers["retry-after"])
    assert before + timedelta(seconds=90) <= until <= datetime.now(UTC) + timedelta(seconds=90)
    acme.inject("rate_limited_plain")
    assert "retry-after" not in client.get("/orders/a").headers


def test_a_page_in_between_lacks_the_vendors_headers(acme: AcmeStandIn, client: httpx.Client) -> None:
    acme.inject("html")
    page = client.post("/orders/a")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    assert "x-acme" not in page.headers
    assert acme.count("order") == 1
    acme.inject("bad_gateway")
    gateway = client.post("/orders/b")
    assert (gateway.status_code, gateway.headers["content-type"]) == (502, "text/html")
    assert acme.count("order") == 1


def test_truncated_json_is_whole_to_the_transport_and_broken_to_the_reader(
    acme: AcmeStandIn, client: httpx.Client
) -> None:
    acme.inject("truncated_json")
    reply = client.post("/orders/a")
    assert reply.status_code == 200
    assert int(reply.headers["content-length"]) == len(reply.content) > 0
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        reply.json()
    assert acme.count("order") == 1


@pytest.mark.parametrize(("fault", "applied"), [("stall_before", 0), ("stall_after", 1)])
def test_a_stall_answers_nothing_until_released(
    fault: str, applied: int, acme: AcmeStandIn, client: httpx.Client
) -> None:
    acme.inject(fault)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/orders/a", timeout=0.1)
    assert acme.count("order") == applied
    assert acme.faults.held == 1
    acme.release()
    assert client.post("/orders/a").status_code == 200


def test_a_call_held_within_is_applied_when_released(acme: AcmeStandIn) -> None:
    acme.inject("stall_within")
    answers: list[int] = []

    def call() -> None:
        answers.append(wire.post(f"{acme.url}/orders/a", timeout=20).status_code)

    caller = threading.Thread(target=call)
    caller.start()
    while not acme.faults.held:
        assert caller.is_alive()
    assert acme.count("order") == 0
    acme.release()
    caller.join()
    assert answers == [200]
    assert acme.count("order") == 1


def test_slow_headers_arrive_complete(acme: AcmeStandIn, client: httpx.Client) -> None:
    acme.inject("slow_headers", seconds=0.05)
    reply = client.post("/orders/a")
    assert reply.json()["number"] == 1
    assert reply.headers["x-acme"] == "1"
    acme.inject("slow_headers", seconds=20)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/orders/a", timeout=0.1)


def test_unauthorized_forever_lasts_until_cleared(acme: AcmeStandIn, client: httpx.Client) -> None:
    acme.inject("unauthorized_forever")
    assert [client.get("/orders/a").status_code for _ in range(3)] == [401, 401, 401]
    acme.faults.clear()
    assert client.get("/orders/a").status_code == 200


def test_a_fault_waits_for_the_calls_it_means(acme: AcmeStandIn, client: httpx.Client) -> None:
    acme.inject("unavailable", times=2, method="post", path="/orders/b*", skip=1)
    assert client.get("/orders/b").status_code == 200
    assert client.post("/orders/a").status_code == 200
    assert [client.post("/orders/bb").status_code for _ in range(4)] == [200, 503, 503, 200]


def test_faults_that_make_no_sense_are_refused(acme: AcmeStandIn) -> None:
    with pytest.raises(ValueError, match="no fault is called 'nope'"):
        acme.inject("nope")
    with pytest.raises(ValueError, match="times must be"):
        acme.inject("conflict", times=0)
    with pytest.raises(ValueError, match="must not be negative"):
        acme.inject("conflict", skip=-1)
    assert acme.faults.waiting() == []


def test_every_named_fault_is_met_by_a_test_here() -> None:
    others = {
        "drop_before",
        "drop_after",
        "html",
        "bad_gateway",
        "truncated_json",
        "stall_before",
        "stall_after",
    }
    others |= {"stall_within", "slow_headers", "unauthorized_forever"}
    assert set(FAULTS) == set(ANSWERED) | others
