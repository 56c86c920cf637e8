"""Webhooks of a payment gateway in the inbox: its own account's are kept, another's change nothing and are parked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.config import Secret
from operations.webhooks_in.apply import TRIES, apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime import webhook_dispatcher
from runtime.connection_source import ConnectionSpec
from runtime.gateway_webhooks import take_gateway_webhooks
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put, rows

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
