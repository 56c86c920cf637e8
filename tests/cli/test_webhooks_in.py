"""`masthead connectors webhook`, as an integrator meets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from operations.webhooks_in.apply import TRIES, apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.webhooks import webhook_app
from storage.database import make_engine, transaction
from storage.inbound_endpoints import endpoints_with_work
from tests.api.webhooks.hub import serving
from tests.conftest import PostgresForTests
from tests.connectors.sdk.webhooks.senders import BY_NAME
from tests.operations.webhooks_in.inbox import rows

Capture = pytest.CaptureFixture[str]
SENDER = BY_NAME["stripe"]


@pytest.fixture(scope="module")
def untouched(pg_server: PostgresForTests) -> str:
    """A database for all that is refused."""
    return pg_server.fresh_database("webhook_cli")


@pytest.fixture
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    refused = "arguments" in request.fixturenames
    url: str = (
        request.getfixturevalue("untouched")
        if refused
        else request.getfixturevalue("pg_server").fresh_database("webhook_cli")
    )
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")  # these commands need no Temporal
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIGNING_SECRET", SENDER.secret)
    return url


@pytest.fixture
async def base(url: str, tmp_path: Path) -> AsyncIterator[str]:
    async with serving(url, tmp_path) as address:
        yield address


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "event.json"
    file.write_bytes(SENDER.body)
    return file


@pytest.fixture
def no_json(tmp_path: Path) -> Path:
    file = tmp_path / "event.txt"
    file.write_text("this is no JSON")
    return file


def run(*arguments: str) -> None:
    webhook_app(args=list(arguments), standalone_mode=False)


async def in_thread(*arguments: str) -> None:
    """Beside the server that runs in this loop."""
    await asyncio.to_thread(run, *arguments)


SIGNING = ("--recipe", "stripe", "--secret", "env:SIGNING_SECRET")


async def test_an_endpoint_is_made_sent_to_listed_and_disabled(
    url: str, base: str, body: Path, capsys: Capture
) -> None:
    await in_thread("add", "my-payments", *SIGNING, "--public-url", base, "--json")
    made = json.loads(capsys.readouterr().out)
    await in_thread("send", *SIGNING, "--body", str(body), "--url", made["address"], "--copies", "3")
    assert capsys.readouterr().out == "200 × 3\n"
    with pytest.raises(CommandFailed, match="not all"):
        await in_thread("send", *SIGNING, "--body", str(body), "--url", made["address"][:-1])
    capsys.readouterr()
    run("list", "--json")
    shown = capsys.readouterr().out
    assert made["address"].rpartition("/")[2] not in shown
    assert SENDER.secret not in shown
    (endpoint,) = json.loads(shown)
    assert (endpoint["waiting"], endpoint["secrets"]) == (1, ["env:SIGNING_SECRET"])
    run("secrets", made["id"], "--secret", "env:A", "--secret", "env:B")
    assert rows(url, "select secrets from inbound_endpoint") == [(["env:A", "env:B"],)]
    run("disable", made["id"])
    with pytest.raises(UserError, match="no open endpoint"):
        run("disable", made["id"])


async def test_a_delivery_is_applied_again(url: str, base: str, body: Path, capsys: Capture) -> None:
    await in_thread("add", "my-payments", *SIGNING, "--public-url", base)
    address = capsys.readouterr().out.strip()
    await in_thread("send", *SIGNING, "--body", str(body), "--url", address)
    engine = make_engine(url)
    with transaction(engine) as connection:
        (endpoint,) = endpoints_with_work(connection)
    assert apply_batch(engine, endpoint, WebhookHandlers()).decided == 1
    capsys.readouterr()
    run("replay", "--key", "evt_1", "--connection", "my-payments")
    run("replay", "--since", "2000-01-01", "--status", "parked")
    assert capsys.readouterr().out == "1 to be applied again\n0 to be applied again\n"
    assert apply_batch(engine, endpoint, WebhookHandlers()).decided == 1
    engine.dispose()
    assert rows(url, "select version, seen from vendor_fact") == [(2, 1)]


async def test_a_parked_delivery_is_given_up_with_a_reason(
    url: str, base: str, no_json: Path, capsys: Capture
) -> None:
    await in_thread("add", "my-payments", *SIGNING, "--public-url", base)
    address = capsys.readouterr().out.strip()
    await in_thread("send", *SIGNING, "--body", str(no_json), "--url", address)
    engine = make_engine(url)
    with pytest.raises(UserError, match="no parked webhook"):
        run("skip", "1", "--reason", "not yet")
    for _ in range(TRIES):
        with transaction(engine) as connection:
            connection.execute("update webhook_delivery set retry_at = null")
            (endpoint,) = endpoints_with_work(connection)
        apply_batch(engine, endpoint, WebhookHandlers())
    ((number, message),) = rows(
        url, "select substring(remedy from 'skip ([0-9]+)'), message from parked where resolved_at is null"
    )
    assert "my-payments" in message
    run("skip", number, "--reason", "the sender's test")
    engine.dispose()
    assert rows(url, "select resolution from parked") == [("skipped",)]
    assert rows(url, "select status from webhook_delivery") == [("ignored",)]
    assert rows(url, "select action, reason from audit") == [("skip", "the sender's test")]


def test_an_endpoint_has_the_mode_of_its_connection(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "masthead.yaml"
    file.write_text(
        "connections:\n  tried: {connector: crm, mode: test}\n  boxed: {connector: crm, sandbox: true}\n"
        "  real: {connector: crm, mode: live, config: {key: env:NOT_SET_HERE}}\n"
    )
    monkeypatch.setenv("MASTHEAD_CONFIG", str(file))
    for wrong in (["tried"], ["boxed"], ["real", "--test"]):
        with pytest.raises(UserError, match=f"{wrong[0]} is in (test|live) mode in masthead.yaml"):
            run("add", *wrong, *SIGNING)
    for right in (["tried", "--test"], ["boxed", "--test"], ["real"], ["unknown"]):
        run("add", *right, *SIGNING)
    assert rows(url, "select connection, mode from inbound_endpoint order by 1") == [
        ("boxed", "test"),
        ("real", "live"),
        ("tried", "test"),
        ("unknown", "live"),
    ]


def test_what_is_signed_is_printed_as_it_is_sent(url: str, body: Path, capsys: Capture) -> None:
    run("sign", *SIGNING, "--body", str(body), "--header", "X-Trace: 7")
    shown = json.loads(capsys.readouterr().out)
    assert shown["headers"]["stripe-signature"].startswith("t=")
    assert shown["headers"]["x-trace"] == "7"
    assert shown["body"].encode() == SENDER.body


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sign", "--recipe", "nobody", "--secret", "env:SIGNING_SECRET"], "no recipe 'nobody'"),
        (["sign", "--recipe", "stripe", "--secret", "whsec_hush"], "not the secret itself"),
        (["sign", "--recipe", "stripe", "--secret", "env:NOT_SET_ANYWHERE"], "env:NOT_SET_ANYWHERE"),
        (["sign", "--recipe", "adyen", "--secret", "env:SIGNING_SECRET"], "expected hex"),
        (["sign", *SIGNING, "--header", "nonsense"], "'nonsense'"),
        (["send", *SIGNING, "--url", "https://example.com/webhooks/x"], "this machine only"),
    ],
)
def test_what_cannot_be_signed_or_sent_is_said(url: str, body: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        run(*arguments, "--body", str(body))
    assert "hush" not in error.value.message


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "--status", "new"],
        ["disable", "nonsense"],
        ["secrets", "019a0000-0000-7000-8000-000000000000", "--secret", "env:A"],
        ["add", "x", *SIGNING, "--public-url", "nonsense"],
        ["sign", *SIGNING, "--body", "/nowhere"],
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(url: str, arguments: list[str]) -> None:
    with pytest.raises(UserError):
        run(*arguments)
    assert rows(url, "select 1 from inbound_endpoint") == []
