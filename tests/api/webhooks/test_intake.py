"""Webhooks over a real socket into a real inbox: what is taken, what is refused and how, and what happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from api.webhooks import intake, secret_cache
from api.webhooks.routes import LARGEST_BODY
from runtime.stack.postgres import EmbeddedPostgres
from storage import statements
from storage.inbound_endpoints import change_secrets, disable_endpoint
from storage.migrate import upgrade
from tests.api.webhooks.hub import Endpoint, endpoint_for, serving
from tests.conftest import PostgresForTests
from tests.connectors.sdk.webhooks.senders import BY_NAME, SENDERS, Sender, hubspot_event

REFUSED = {"type": "urn:masthead:problem:not_accepted"}
MakeEndpoint = Callable[..., Endpoint]


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("webhooks_in")


@pytest.fixture(scope="module")
async def base(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with serving(url, tmp_path_factory.mktemp("hub")) as address:
        yield address


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    async with httpx.AsyncClient(limits=limits, timeout=20) as opened:
        yield opened


@pytest.fixture
def make(url: str, base: str, tmp_path: Path) -> MakeEndpoint:
    """Makes endpoints whose secrets are files."""

    def made(sender: Sender, *secrets: str) -> Endpoint:
        references = {}
        for number, secret in enumerate(secrets or (sender.secret,)):
            file = tmp_path / f"{sender.name}-{number}"
            file.write_text(secret)
            references[f"file:{file}"] = secret
        return endpoint_for(url, base, sender, references)

    return made


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
async def test_a_genuine_webhook_is_stored_once_and_answered_as_its_sender_expects(
    client: httpx.AsyncClient, make: MakeEndpoint, sender: Sender
) -> None:
    endpoint = make(sender)
    for at in (datetime.now(UTC), datetime.now(UTC) - timedelta(seconds=200)):
        answer = await endpoint.post(client, endpoint.signed(at=at))
        assert (answer.status_code, answer.text) == (200, "[accepted]" if sender.name == "adyen" else "")
    stored = endpoint.rows("delivery_key, kind, object_key, status, body, headers")
    assert [row[:4] for row in stored] == [(sender.key, sender.kind, sender.object_key, "new")]
    if sender.recipe.items is None:
        assert stored[0][4] == sender.body
    assert "signature" not in json.dumps(stored[0][5])


async def test_each_wrong_one_is_refused_in_one_shape_and_the_reason_is_in_the_log(
    client: httpx.AsyncClient, make: MakeEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = make(BY_NAME["stripe"])
    good = endpoint.signed()
    old, ahead = (
        endpoint.signed(at=datetime.now(UTC) + timedelta(seconds=seconds)) for seconds in (-310, 310)
    )
    wrong = {
        "the signature does not fit": replace(good, body=good.body.replace(b"ch_1", b"ch_2")),
        "the timestamp is too old": old,
        "the timestamp lies in the future": ahead,
        "the timestamp is missing": replace(good, headers={}),
        "the signature is missing": replace(
            good, headers={"stripe-signature": f"t={int(datetime.now().timestamp())}"}
        ),
        "the body is empty": endpoint.signed(body=b""),
    }
    with caplog.at_level(logging.WARNING, "masthead.api.webhooks"):
        answers = {reason: await endpoint.post(client, request) for reason, request in wrong.items()}
        other_secret = await endpoint.post(client, endpoint.signed(secret="another"))
    assert {answer.status_code for answer in (*answers.values(), other_secret)} == {401}
    assert len({answer.content for answer in (*answers.values(), other_secret)}) == 1
    for reason, answer in answers.items():
        assert reason not in answer.text
        assert any(endpoint.id in line and reason in line for line in caplog.messages)
    logged = "\n".join(caplog.messages)
    for private in (endpoint.token, endpoint.sender.secret, "ch_1", "v1="):
        assert private not in logged
    assert endpoint.rows() == []


@pytest.mark.parametrize(("name", "live"), [("adyen", "true"), ("stripe", True)])
async def test_live_and_test_of_a_vendor_are_kept_apart(
    client: httpx.AsyncClient,
    url: str,
    base: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    live: object,
) -> None:
    sender = BY_NAME[name]
    (tmp_path / "secret").write_text(sender.secret)
    secrets = {f"file:{tmp_path / 'secret'}": sender.secret}
    place = "live" if name == "adyen" else "livemode"
    off = "false" if name == "adyen" else False
    bodies = {
        mode: json.dumps({**json.loads(sender.body), place: said}).encode()
        for mode, said in (("live", live), ("test", off))
    }
    with caplog.at_level(logging.WARNING, "masthead.api.webhooks"):
        for mode, other in (("live", "test"), ("test", "live")):
            endpoint = endpoint_for(url, base, sender, secrets, mode=mode)
            for said, status in ((other, 401), (mode, 200)):
                answer = await endpoint.post(client, endpoint.signed(bodies[said]))
                assert answer.status_code == status
            assert len(endpoint.rows()) == 1
    assert any("test system" in line for line in caplog.messages)


async def test_a_secret_is_replaced_while_both_are_valid_and_none_means_no(
    client: httpx.AsyncClient,
    make: MakeEndpoint,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(secret_cache, "KEPT_SECONDS", 0.0)
    sender = BY_NAME["zendesk"]
    endpoint = make(sender, sender.secret, sender.other_secret)
    for secret in (sender.secret, sender.other_secret):
        assert (await endpoint.post(client, endpoint.signed(secret=secret))).status_code == 200
    (tmp_path / "zendesk-0").unlink()
    old, new = [
        (await endpoint.post(client, endpoint.signed(secret=secret))).status_code
        for secret in (sender.secret, sender.other_secret)
    ]
    assert (old, new) == (401, 200)
    with psycopg.connect(url) as connection:
        assert change_secrets(connection, endpoint.id, [])
    assert (await endpoint.post(client, endpoint.signed())).status_code == 401


async def test_an_unknown_or_disabled_endpoint_is_not_found(
    client: httpx.AsyncClient,
    make: MakeEndpoint,
    url: str,
    base: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "KEPT_SECONDS", 0.0)
    endpoint = make(BY_NAME["stripe"])
    assert (await endpoint.post(client, endpoint.signed())).status_code == 200
    with psycopg.connect(url) as connection:
        assert disable_endpoint(connection, endpoint.id)
        assert not disable_endpoint(connection, endpoint.id)
    disabled = await endpoint.post(client, endpoint.signed())
    for token in ("in_guess", "%00", "a" * 3000):
        unknown = await client.post(f"{base}/webhooks/{token}", content=b"{}")
        assert (unknown.status_code, unknown.content) == (404, disabled.content)
    assert unknown.json() == {**REFUSED, "title": "Not Found", "status": 404}
    assert (await client.get(endpoint.address)).status_code == 405


async def test_a_large_body_is_refused_announced_or_not(
    client: httpx.AsyncClient, make: MakeEndpoint
) -> None:
    endpoint = make(BY_NAME["shopify"])
    just = b"[" + b" " * (LARGEST_BODY - 2) + b"]"
    assert (await endpoint.post(client, endpoint.signed(body=just))).status_code == 200
    too_large = endpoint.signed(body=just + b" ")
    assert (await endpoint.post(client, too_large)).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    assert (await client.post(endpoint.address, content=pieces())).status_code == 413
    assert len(endpoint.rows()) == 1


async def test_fifty_at_once_of_one_event_are_one_row_and_all_are_taken(
    client: httpx.AsyncClient, make: MakeEndpoint
) -> None:
    endpoint = make(BY_NAME["easypost"])
    request = endpoint.signed()
    answers = await asyncio.gather(*(endpoint.post(client, request) for _ in range(150)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(endpoint.rows()) == 1


async def test_a_list_of_events_is_a_row_each_also_when_it_comes_again_with_others(
    client: httpx.AsyncClient, make: MakeEndpoint
) -> None:
    endpoint = make(BY_NAME["hubspot"])
    for first, last in ((0, 40), (20, 60), (0, 60)):
        events = [hubspot_event(number) for number in range(first, last)]
        events += events[:3]
        answer = await endpoint.post(client, endpoint.signed(body=json.dumps(events).encode()))
        assert answer.status_code == 200
    stored = endpoint.rows("body")
    assert [json.loads(body)["eventId"] for (body,) in stored] == list(range(60))
    empty = await endpoint.post(client, endpoint.signed(body=b"[]"))
    assert empty.status_code == 200


async def test_the_address_that_is_signed_is_the_public_one(
    client: httpx.AsyncClient, url: str, base: str, tmp_path: Path
) -> None:
    sender = BY_NAME["hubspot"]
    (tmp_path / "s").write_text(sender.secret)
    endpoint = endpoint_for(
        url, "https://hub.example.com/behind", sender, {f"file:{tmp_path / 's'}": sender.secret}
    )
    request = endpoint.signed(url=f"{endpoint.address}?a=%2Fb&c=d%20e")
    headers = dict(request.headers)
    inside = f"{base}/webhooks/{endpoint.token}?a=%2Fb&c=d%20e"
    assert (await client.post(inside, content=request.body, headers=headers)).status_code == 200
    other = inside.replace("c=d", "c=x")
    assert (await client.post(other, content=request.body, headers=headers)).status_code == 401


async def test_what_postgres_cannot_keep_as_json_is_kept_as_bytes(
    client: httpx.AsyncClient, make: MakeEndpoint
) -> None:
    endpoint = make(BY_NAME["stripe"])
    for body in (b'{"id": "a\\u0000b\\ud800", "type": "\\u0000"}', b"not json", b"\xff\xfe\x00"):
        assert (await endpoint.post(client, endpoint.signed(body=body))).status_code == 200
    assert len(endpoint.rows()) == 3


async def test_while_the_database_is_away_the_sender_is_asked_to_come_again(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """With a server of its own, which is stopped and started again in between."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        url = server.url("postgres")
        upgrade(url)
        sender = BY_NAME["stripe"]
        (tmp_path / "s").write_text(sender.secret)
        async with serving(url, tmp_path) as base:
            endpoint = endpoint_for(url, base, sender, {f"file:{tmp_path / 's'}": ""})
            bodies = [json.dumps({"id": f"evt_{number}"}).encode() for number in range(3)]
            assert (await endpoint.post(client, endpoint.signed(body=bodies[0]))).status_code == 200
            await asyncio.to_thread(server.stop)
            away = await endpoint.post(client, endpoint.signed(body=bodies[1]))
            assert (away.status_code, away.json()["status"]) == (503, 503)
            assert int(away.headers["retry-after"]) > 0
            await asyncio.to_thread(server.start)
            assert server.url("postgres") == url
            statuses = []
            while 200 not in statuses:
                assert len(statuses) < 30, "the inbox did not come back"
                statuses.append((await endpoint.post(client, endpoint.signed(body=bodies[2]))).status_code)
            assert set(statuses) <= {200, 503}
            assert {key for key, _ in endpoint.rows()} == {"evt_0", "evt_2"}
    finally:
        server.stop()


async def test_a_statement_that_hangs_is_given_up_and_the_sender_is_asked_to_come_again(
    client: httpx.AsyncClient, make: MakeEndpoint, url: str
) -> None:
    endpoint = make(BY_NAME["stripe"])
    with psycopg.connect(url) as holder:
        holder.execute("lock table webhook_delivery in exclusive mode")
        held = await asyncio.gather(*(endpoint.post(client, endpoint.signed()) for _ in range(3)))
        assert {answer.status_code for answer in held} == {503}
        assert holder.info.transaction_status.name == "INTRANS"
    assert endpoint.rows() == []
    assert (await endpoint.post(client, endpoint.signed())).status_code == 200


async def test_a_database_that_neither_answers_nor_hangs_up_holds_no_sender(
    client: httpx.AsyncClient, make: MakeEndpoint, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "ANSWER_SECONDS", 0.5)
    endpoint = make(BY_NAME["stripe"])
    with psycopg.connect(url, autocommit=True) as watching:
        backends = watching.execute(
            "select pid from pg_stat_activity where application_name = 'masthead webhooks'"
            " and datname = current_database()"
        ).fetchall()
        assert backends
        for (pid,) in backends:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert (await endpoint.post(client, endpoint.signed())).status_code == 503
        finally:
            for (pid,) in backends:
                os.kill(pid, signal.SIGCONT)
    statuses: list[int] = []
    while 200 not in statuses:
        assert len(statuses) < 30, "the inbox did not come back"
        statuses.append((await endpoint.post(client, endpoint.signed())).status_code)
    assert len(endpoint.rows()) == 1


async def test_shopify_under_another_id_is_a_repetition_as_the_id_is_not_signed(
    client: httpx.AsyncClient, make: MakeEndpoint
) -> None:
    endpoint = make(BY_NAME["shopify"])
    request = endpoint.signed()
    for number in ("1", "2"):
        again = replace(request, headers={**request.headers, "x-shopify-webhook-id": number})
        assert (await endpoint.post(client, again)).status_code == 200
    assert len(endpoint.rows()) == 1


async def test_other_routes_still_need_a_key(client: httpx.AsyncClient, base: str) -> None:
    assert (await client.get(f"{base}/v1/bill-runs")).status_code == 401
    assert (await client.post(f"{base}/webhooks")).status_code in (401, 404)
