"""Webhooks of a payment gateway in the inbox: its own account's are kept, another's change nothing and are parked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.capabilities.payment_facts import PaymentFact, standing
from connectors.sdk.config import Secret
from masthead.sdk import ChargeOrder, Key, PaymentStatus, RefundOrder, memory_context
from masthead.testing import AdyenStandIn
from operations.webhooks_in.apply import TRIES, apply_batch
from operations.webhooks_in.handlers import Signal, WebhookHandlers
from runtime import webhook_dispatcher
from runtime.connection_source import ConnectionSpec
from runtime.gateway_webhooks import take_gateway_webhooks
from storage.database import make_engine
from storage.inbound_endpoints import InboundEndpoint
from tests.api.webhooks.hub import endpoint_for, serving
from tests.conftest import PostgresForTests
from tests.connectors.sdk.webhooks.senders import BY_NAME
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put, rows
from tests.workflows.refunding import Till

CONFIG = AdyenConfig(api_key=Secret("env:KEY"), merchant_account="OurShop")
SPEC = ConnectionSpec(name="cards", connector=Adyen, mode="live", config=CONFIG)


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("gateway_webhooks")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def handlers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> WebhookHandlers:
    monkeypatch.setattr(webhook_dispatcher, "_registrars", [])
    take_gateway_webhooks([SPEC])
    made = WebhookHandlers()
    for registrar in webhook_dispatcher._registrars:
        registrar(made, engine)
    return made


def notification(psp: str, account: str = "OurShop", **more: Any) -> Told:
    item = {
        "pspReference": psp,
        "merchantAccountCode": account,
        "merchantReference": f"pay-{psp}",
        "amount": {"value": 1250, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
        **more,
    }
    body = json.dumps(item).encode()
    return Told(f"AUTHORISATION:{psp}", psp, kind="AUTHORISATION", body=body)


def test_another_account_s_notification_is_parked_and_holds_up_nobody(
    url: str, engine: Engine, handlers: WebhookHandlers
) -> None:
    endpoint = make_endpoint(url, "cards")
    put(url, endpoint, [notification("P1"), notification("P2", "TheirShop"), notification("P3")])
    for _ in range(TRIES):
        apply_batch(engine, endpoint, handlers)
        with psycopg.connect(url) as connection:
            connection.execute("update webhook_delivery set retry_at = null where status = 'new'")
    assert rows(url, "select object_key from vendor_fact order by 1") == [("P1",), ("P3",)]
    statuses = rows(url, "select object_key, status from webhook_delivery order by id")
    assert statuses == [("P1", "done"), ("P2", "parked"), ("P3", "done")]
    ((kind, message),) = rows(url, "select error_kind, message from parked")
    assert kind == "OtherAccount"
    assert "TheirShop" in message
    assert "OurShop" in message


def test_the_checkout_that_is_named_is_woken(url: str, engine: Engine, handlers: WebhookHandlers) -> None:
    own = "01a205bd-0000-7000-8000-000000000001"
    endpoint = make_endpoint(url, "cards")
    put(url, endpoint, [notification("P1", merchantReference=f"checkout:{own}"), notification("P2")])
    assert apply_batch(engine, endpoint, handlers).signals == [Signal(f"checkout/{own}", "confirm")]
    assert rows(url, "select count(*) from vendor_fact") == [(2,)]


@pytest.mark.parametrize("order", ["sent", "reversed", "shuffled"])
async def test_what_the_gateway_sends_is_known_here_once_in_every_order(
    url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """The stand-in, the wire, the intake, the inbox and the facts, with each notification sent three times."""
    sandbox = AdyenConfig(api_key=Secret("env:KEY"), merchant_account="MastheadSandbox")
    spec = ConnectionSpec(name="my-adyen", connector=Adyen, mode="test", config=sandbox)
    monkeypatch.setattr(webhook_dispatcher, "_registrars", [])
    take_gateway_webhooks([spec])
    handlers = WebhookHandlers()
    for registrar in webhook_dispatcher._registrars:
        registrar(handlers, engine)
    sender = BY_NAME["adyen"]
    (tmp_path / "key").write_text(sender.secret)
    with AdyenStandIn() as stand_in:
        async with serving(url, tmp_path) as base:
            endpoint = endpoint_for(
                url, base, sender, {f"file:{tmp_path / 'key'}": sender.secret}, mode="test"
            )
            stand_in.send_to(endpoint.address, sender.secret)
            stand_in.hold()
            connector = Adyen(
                sandbox.model_copy(update={"base_url": stand_in.url}),
                memory_context(secrets={"env:KEY": "k"}),
            )
            fields = {"amount": 1000, "currency": "EUR", "customer": "acct-1"}
            for reference, method in (("pay-1", "stored_visa"), ("pay-2", "stored_refused")):
                given = ChargeOrder(reference=reference, method=method, **fields)
                paid = await connector.charge(given, Key.of("charge", reference))
                if reference == "pay-1":
                    back = RefundOrder(reference="ref-1", payment=paid.id, amount=400, currency="EUR")
                    await connector.refund(back, Key("refund"))
            await connector.aclose()
            stand_in.deliver(order, copies=3, seed=11)
            await asyncio.to_thread(stand_in.settle)
            assert {status for each in stand_in.told for status in each.statuses} == {200}
    row = InboundEndpoint(endpoint.id, "test", "my-adyen", "adyen", [], "")
    assert apply_batch(engine, row, handlers).decided == 3
    told = [
        fact
        for (body,) in rows(url, "select body from webhook_delivery order by id")
        for fact in Adyen.facts(sandbox, json.loads(bytes(body)))
    ]
    assert len(told) == 3
    first = standing([each for each in told if each.payment == told_of(told, "pay-1")])
    assert (first.status, first.captured, first.refunded) == (PaymentStatus.SUCCEEDED, 1000, 400)
    second = standing([each for each in told if each.payment == told_of(told, "pay-2")])
    assert second.status is PaymentStatus.FAILED
    assert len(rows(url, "select 1 from vendor_fact where connection = 'my-adyen'")) == 2


def told_of(told: list[PaymentFact], reference: str) -> str:
    return next(each.payment for each in told if each.reference == reference)


def test_a_test_endpoint_does_not_take_what_is_the_live_connection_s(
    url: str, engine: Engine, handlers: WebhookHandlers
) -> None:
    endpoint = make_endpoint(url, "cards", mode="test")
    put(url, endpoint, [notification("P1")])
    applied = apply_batch(engine, endpoint, handlers)
    assert (applied.decided, applied.put_back) == (0, 1)
    assert rows(url, "select 1 from vendor_fact") == []


def test_gateways_that_are_off_or_not_reachable_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_dispatcher, "_registrars", [])
    off = ConnectionSpec(name="off", connector=Adyen, mode="live", config=CONFIG, enabled=False)
    away = ConnectionSpec(name="away", connector=Adyen, mode="test", config=None, sandbox=True)
    take_gateway_webhooks([off, away])
    assert webhook_dispatcher._registrars == []


def test_what_is_told_of_a_refund_is_in_the_books_once(
    url: str, engine: Engine, handlers: WebhookHandlers
) -> None:
    till = Till(engine, None, {})  # type: ignore[arg-type]  # no workflow runs here
    account, total = till.invoiced()
    row = till.ask(till.settled(account, total, "cards", "PAID"), "2.00")
    endpoint = make_endpoint(url, "cards")
    told = {
        "originalReference": "PAID",
        "merchantReference": row.key,
        "amount": {"value": 200, "currency": "USD"},
        "eventCode": "REFUND",
    }
    body = notification("REFUND1", **told)
    put(url, endpoint, [body, Told("REFUND:again", "REFUND1", kind="REFUND", body=body.body)])
    applied = apply_batch(engine, endpoint, handlers)
    assert applied.decided == 2
    assert {(each.workflow_id, each.name) for each in applied.signals} == {
        (f"refund/{row.id}", "told"),
        (f"refund/{row.id}", "call_changed"),
    }
    after = till.row(row)
    assert (after.status, after.promise, after.gateway_id) == ("succeeded", "paid", "REFUND1")
    assert till.balance("payments_in_clearing") == total - 200
    till.check_books()
