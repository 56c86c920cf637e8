"""What every stand-in gives: routes, recorded calls, effects, clock, idempotency keys, webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from datetime import timedelta

import httpx
import pytest

from sandbox.webhooks import Webhook
from tests.sandbox import wire
from tests.sandbox.acme import AcmeStandIn, receiving


def test_a_literal_path_wins_and_values_are_unescaped(acme: AcmeStandIn) -> None:
    wire.post(f"{acme.url}/orders/a%2Fb%20c")
    assert acme.orders == ["a/b c"]
    assert wire.get(f"{acme.url}/orders/latest").json() == {"latest": ["a/b c"]}
    assert wire.get(f"{acme.url}/orders/a%2Fb%20c").json() == {"there": True}


def test_unknown_paths_and_methods_are_the_vendors_errors(acme: AcmeStandIn) -> None:
    assert wire.get(f"{acme.url}/nowhere").json() == {"acme_error": "not_found", "status": 404}
    assert wire.delete(f"{acme.url}/orders/a").json() == {"acme_error": "method_not_allowed", "status": 405}
    broken = wire.post(f"{acme.url}/echo", content=b"{")
    assert broken.json() == {"acme_error": "malformed", "status": 400}


def test_calls_are_recorded_with_their_secrets_masked(acme: AcmeStandIn) -> None:
    secrets = {"Authorization": "Bearer hush", "X-Key": "hush", "X-Acme-Token": "hush", "Cookie": "c=hush"}
    wire.post(
        f"{acme.url}/orders/a", params=[("x", "1"), ("x", "2")], content=b"raw", headers={**secrets, "Y": "z"}
    )
    (call,) = acme.requests
    assert (call.method, call.path, call.query, call.body) == (
        "POST",
        "/orders/a",
        [("x", "1"), ("x", "2")],
        b"raw",
    )
    assert call.headers["y"] == "z"
    assert [call.headers[name.lower()] for name in secrets] == ["***"] * 4
    assert "hush" not in json.dumps(call.as_json())
    assert len(acme.request_times) == 1


def test_effects_are_found_by_kind_and_by_every_key(acme: AcmeStandIn) -> None:
    wire.post(f"{acme.url}/orders/a", headers={"Idempotency-Key": "k"})
    wire.post(f"{acme.url}/orders/b")
    assert acme.count() == acme.count("order") == 2
    assert acme.count("order", "a") == acme.count("order", "k") == 1
    assert acme.count("other") == acme.count("order", "c") == 0


def test_a_known_key_replays_until_it_expires_by_the_stand_ins_clock(acme: AcmeStandIn) -> None:
    def order() -> httpx.Response:
        return wire.post(f"{acme.url}/orders/a", headers={"Idempotency-Key": "k"})

    first, again = order(), order()
    assert first.json() == again.json()
    assert (first.headers["replayed"], again.headers["replayed"]) == ("False", "True")
    assert acme.count("order") == 1
    other = wire.post(f"{acme.url}/orders/b", headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["acme_error"]) == (400, "reused")
    acme.advance(timedelta(minutes=59))
    assert order().headers["replayed"] == "True"
    acme.advance(timedelta(minutes=1))
    assert order().headers["replayed"] == "False"
    assert acme.count("order") == 2


def test_a_key_whose_call_is_under_way_is_in_use(acme: AcmeStandIn) -> None:
    headers = {"Idempotency-Key": "k"}
    acme.inject("stall_within")
    first = threading.Thread(target=wire.post, args=(f"{acme.url}/orders/a",), kwargs={"headers": headers})
    first.start()
    while not acme.faults.held:
        assert first.is_alive()
    assert wire.post(f"{acme.url}/orders/a", headers=headers).status_code == 409
    acme.release()
    first.join()
    assert wire.post(f"{acme.url}/orders/a", headers=headers).headers["replayed"] == "True"
    assert acme.count("order") == 1


def test_the_clock_goes_forward_only(acme: AcmeStandIn) -> None:
    with pytest.raises(ValueError, match="only goes forward"):
        acme.advance(timedelta(seconds=-1))


def test_a_crash_in_a_handler_is_a_500_and_fails_the_with_statement() -> None:
    with pytest.raises(RuntimeError, match="acme stand-in crashed") as failed, AcmeStandIn() as acme:
        assert wire.post(f"{acme.url}/crash").status_code == 500
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_reset_forgets_everything(acme: AcmeStandIn) -> None:
    wire.post(f"{acme.url}/orders/a")
    acme.inject("conflict")
    acme.advance(timedelta(days=1))
    acme.reset()
    assert (acme.orders, acme.requests, acme.count(), acme.faults.waiting()) == ([], [], 0, [])
    assert not acme.clock.offset
    assert wire.post(f"{acme.url}/orders/a").json()["number"] == 1


def test_stopped_it_refuses_connections_and_comes_back_with_its_state() -> None:
    acme = AcmeStandIn().start()
    port = int(acme.url.rsplit(":", 1)[1])
    wire.post(f"{acme.url}/orders/a")
    acme.stop()
    with pytest.raises(httpx.ConnectError):
        wire.get(f"{acme.url}/orders/a")
    acme.start(port)
    try:
        assert wire.get(f"{acme.url}/orders/a").json() == {"there": True}
    finally:
        acme.stop()


def test_a_webhook_is_signed_and_sent_as_often_as_wanted(acme: AcmeStandIn) -> None:
    with receiving() as receiver:
        receiver.answers = [500, 200]
        statuses = acme.fire("made", {"n": 1}, url=receiver.url, secret="s3cret", duplicate=2)
    assert statuses == [500, 200, 200]
    headers, body = receiver.got[0]
    assert {b for _, b in receiver.got} == {body}
    assert headers["x-acme-signature"] == hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert json.loads(body)["n"] == 1


def test_a_late_webhook_is_made_in_the_past(acme: AcmeStandIn) -> None:
    from datetime import datetime

    with receiving() as receiver:
        acme.fire("made", {}, url=receiver.url, secret="s", late=3600)
    made = datetime.fromisoformat(json.loads(receiver.got[0][1])["at"])
    assert acme.clock.now() - made >= timedelta(hours=1)


def test_webhooks_go_to_this_machine_only_and_hide_their_secret() -> None:
    for url in ("http://example.com/x", "http://10.0.0.1/x", "ftp://127.0.0.1/x"):
        with pytest.raises(ValueError, match=r"127\.0\.0\.1 only"):
            Webhook("made", {}, url, "s3cret")
    assert "s3cret" not in repr(Webhook("made", {}, "http://127.0.0.1/x", "s3cret"))
