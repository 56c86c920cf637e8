"""The sandbox as a process: mounting, the control over HTTP and the pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sandbox.app import SYSTEMS, stand_ins
from sandbox.server import LocalServer
from tests.sandbox import wire
from tests.sandbox.acme import AcmeStandIn, receiving


class OtherStandIn(AcmeStandIn):
    """A second system beside the first."""

    system = "other"
    title = "<b>Other</b>"


@pytest.fixture
def both() -> Iterator[tuple[AcmeStandIn, OtherStandIn, httpx.Client]]:
    acme, other = AcmeStandIn(), OtherStandIn()
    server = LocalServer({"acme": acme, "other": other, "again": AcmeStandIn()}, mounted=True)
    server.start()
    with wire.client(base_url=server.url, timeout=10) as client:
        yield acme, other, client
    server.stop()


Both = tuple[AcmeStandIn, OtherStandIn, httpx.Client]


def test_each_system_is_at_its_prefix_and_sees_its_own_paths(both: Both) -> None:
    acme, other, client = both
    assert client.post("/acme/orders/a%2Fb").status_code == 200
    assert (acme.orders, other.orders) == (["a/b"], [])
    assert acme.requests[0].path == "/orders/a%2Fb"
    assert acme.url == f"{str(client.base_url).rstrip('/')}/acme"
    assert "there are: acme, other, again" in client.get("/nobody/x").text


def test_faults_are_injected_read_and_cleared(both: Both) -> None:
    _, _, client = both
    wanted = {"fault": "unavailable", "times": 3, "method": "POST", "path": "/orders/*"}
    assert client.post("/_control/acme/faults", json=wanted).json()["times"] == 3
    assert client.post("/acme/orders/a").status_code == 503
    assert client.post("/other/orders/a").status_code == 200
    (waiting,) = client.get("/_control/acme/faults").json()["waiting"]
    assert (waiting["fault"], waiting["times"]) == ("unavailable", 2)
    client.delete("/_control/acme/faults")
    assert client.post("/acme/orders/a").status_code == 200


def test_effects_requests_clock_and_reset(both: Both) -> None:
    acme, other, client = both
    client.post("/acme/orders/a", headers={"x-acme-token": "hush"}, content=b"body")
    (effect,) = client.get("/_control/acme/effects").json()["effects"]
    assert (effect["kind"], effect["key"]) == ("order", "a")
    (request,) = client.get("/_control/acme/requests").json()["requests"]
    assert (request["path"], request["body"], request["headers"]["x-acme-token"]) == (
        "/orders/a",
        "body",
        "***",
    )
    client.post("/_control/acme/clock", json={"hours": 25})
    assert acme.clock.offset.total_seconds() == 25 * 3600
    client.post("/_control/clock", json={"days": 1})
    assert other.clock.offset.days == 1
    client.post("/_control/acme/reset")
    assert acme.count() == 0
    assert client.post("/_control/reset").json() == {
        "acme": {"reset": "acme"},
        "other": {"reset": "other"},
        "again": {"reset": "acme"},
    }


def test_a_webhook_is_fired_over_the_control(both: Both) -> None:
    _, _, client = both
    with receiving() as receiver:
        told = {
            "kind": "made",
            "object": {"n": 1},
            "url": receiver.url,
            "secret": "s",
            "options": {"duplicate": 1},
        }
        assert client.post("/_control/acme/webhooks", json=told).json() == {"statuses": [200, 200]}
    assert len(receiver.got) == 2


@pytest.mark.parametrize(
    ("what", "body", "said"),
    [
        ("faults", {"fault": "nope"}, "no fault is called"),
        ("faults", {"fault": "conflict", "often": 2}, "often"),
        ("faults", [1], "must be a JSON object"),
        ("clock", {"hours": -1}, "only goes forward"),
        ("webhooks", {"kind": "made"}, "object"),
        ("dance", {}, "has no control 'dance'"),
    ],
)
def test_a_bad_control_is_told_what_is_wrong(both: Both, what: str, body: object, said: str) -> None:
    acme, _, client = both
    reply = client.post(f"/_control/acme/{what}", json=body)
    assert reply.status_code == 400
    assert said in reply.json()["error"]
    assert acme.faults.waiting() == []


def test_the_pages_show_what_is_held_and_their_forms_work(both: Both) -> None:
    acme, _, client = both
    client.post("/acme/orders/%3Cscript%3E")
    form = {"fault": "unavailable", "times": "2", "method": "", "path": ""}
    back = client.post("/_control/acme/faults", data=form)
    assert (back.status_code, back.headers["location"]) == (303, "/acme/_page")
    client.post("/_control/acme/clock", data={"days": "1", "hours": "0", "minutes": "0"})
    page = client.get("/acme/_page").text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "1 day, 0:00:00 ahead of real time" in page
    assert [fault.times for fault in acme.faults.waiting()] == [2]
    index = client.get("/").text
    assert "/acme/_page" in index
    assert "/again/_page" in index
    assert 'action="/_control/again/faults"' in client.get("/again/_page").text
    assert client.post("/_control/again/clock", data={"days": "1"}).headers["location"] == "/again/_page"
    assert "<b>Other</b>" not in index


def test_a_stand_in_of_its_own_has_its_page_beside_the_vendors_paths(acme: AcmeStandIn) -> None:
    wire.post(f"{acme.url}/orders/seven")
    assert "seven" in wire.get(f"{acme.url}/_page").text
    assert wire.get(f"{acme.url}/favicon.ico").status_code == 204
    assert wire.get(acme.url).json() == {"acme_error": "not_found", "status": 404}
    assert [call.path for call in acme.requests] == ["/orders/seven", "/"]


def test_every_system_of_the_registry_can_be_made() -> None:
    made = stand_ins()
    assert list(made) == list(SYSTEMS)
    assert all(stand_in.system == name for name, stand_in in made.items())
    with pytest.raises(ValueError, match="no stand-in is called 'nobody'"):
        stand_ins(["nobody"])


def test_the_process_says_when_it_is_ready_and_ends_on_a_signal(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = [
        sys.executable,
        "-m",
        "sandbox",
        "--port",
        "0",
        "--systems",
        "stripe,reference",
        "--ready-file",
        ready,
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"sandbox at http://127.0.0.1:")
            until = time.monotonic() + 30
            while not (ready.exists() and ready.read_text()):
                assert process.poll() is None
                assert time.monotonic() < until
            assert wire.get(f"{ready.read_text()}/reference/health", headers={"X-Key": "k"}).json() == {
                "ok": True
            }
            assert wire.get(f"{ready.read_text()}/stripe/v1/customers").status_code == 401
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_an_unknown_system_is_told_on_the_command_line() -> None:
    command = [sys.executable, "-m", "sandbox", "--systems", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no stand-in is called 'nobody'; there are:" in done.stderr
