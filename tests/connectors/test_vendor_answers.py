"""Answers that vendors' own libraries and batches make easy to misread, on the wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from connectors.avalara.connector import Avalara
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.connector import HubSpot
from connectors.sdk.config import Secret
from connectors.sdk.errors import Broken, ConnectorError, Rejected, Transient, Unauthorized, Unknown
from connectors.sdk.idempotency import ByFind, idempotency_of
from connectors.sdk.key import Key
from connectors.sdk.memory import MemoryLog, memory_context
from connectors.sdk.testing import samples
from connectors.smtp.config import SmtpConfig
from connectors.smtp.connector import Smtp
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from masthead.sdk import ChargeOrder, RefundOrder
from tests.connectors.sdk.wire import Act, RawServer, answer, html, raw_server, read

TOKEN = Secret("env:TOKEN")
CONTEXT: dict[str, Any] = {"secrets": {"env:TOKEN": "sk_test_of_the_wire"}}
CHARGE = ChargeOrder(reference="pay-1", amount=500, currency="USD", method="pm_1")
REFUND = RefundOrder(reference="ref-1", payment="pi_1", amount=500, currency="USD")


def stripe_at(url: str) -> Stripe:
    return Stripe(StripeConfig(base_url=url, api_key=TOKEN), memory_context(**CONTEXT))


async def test_hubspot_scope_that_is_lacking_is_no_fault_of_a_hundred_records() -> None:
    refusal = {"status": "error", "category": "MISSING_SCOPES", "message": "the token lacks a scope"}
    async with raw_server() as server:
        server.always = answer(403, refusal)
        config = HubSpotConfig(base_url=server.url, access_token=TOKEN)
        connector = HubSpot(config, memory_context(**CONTEXT))
        with pytest.raises(Rejected) as raised:
            await connector.upsert([samples.contact(str(n)) for n in range(100)], Key("k"))
        await connector.aclose()
        assert raised.value.blame == "configuration"
        assert len(server.received) == 1


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (html(402), Unknown),
        (answer(402, {"error": {"type": "card_error", "code": "card_declined", "message": "no"}}), Rejected),
    ],
    ids=["of a gateway", "of Stripe"],
)
async def test_stripe_refund_answered_402_is_an_error_of_ours(act: Act, kind: type[ConnectorError]) -> None:
    async with raw_server(act) as server:
        connector = stripe_at(server.url)
        with pytest.raises(kind):
            await connector.refund(REFUND, Key("k"))
        await connector.aclose()


async def test_stripe_charge_answered_402_by_a_gateway_is_not_a_decline() -> None:
    async with raw_server(html(402)) as server:
        connector = stripe_at(server.url)
        with pytest.raises(Unknown):
            await connector.charge(CHARGE, Key("k"))
        await connector.aclose()


@pytest.mark.parametrize("indexed", [True, False])
async def test_stripe_payment_among_too_many_to_list_is_taken_from_the_index_or_not_denied(
    indexed: bool,
) -> None:
    def intent(n: int, reference: str) -> dict[str, Any]:
        return {
            "id": f"pi_{n}",
            "object": "payment_intent",
            "status": "succeeded",
            "amount": 500,
            "currency": "usd",
            "metadata": {"masthead_reference": reference},
        }

    async def stripe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
        got = await read(reader, server)
        n = len(server.received)
        found = [intent(n, "other")] if "search" not in got.target else [intent(n, "pay-1")] * indexed
        body = {"object": "list", "data": found, "has_more": "search" not in got.target, "url": "/v1"}
        writer.write(_plain(body))
        await writer.drain()

    async with raw_server() as server:
        server.always = stripe
        connector = stripe_at(server.url)
        if indexed:
            found = await connector.find("pay-1")
            assert found is not None
            assert found.reference == "pay-1"
        else:
            with pytest.raises(Broken, match="payments were made meanwhile"):
                await connector.find("pay-1")
        await connector.aclose()


def _plain(body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


def test_avalara_refund_may_still_be_worked_on_when_it_is_looked_up() -> None:
    declared = idempotency_of(Avalara.refund)
    assert isinstance(declared, ByFind)
    assert declared.lag.total_seconds() >= 60


@pytest.mark.parametrize(("code", "kind"), [(454, Transient), (535, Unauthorized)])
async def test_mail_login_that_fails_for_now_does_not_mark_the_connection(
    code: int, kind: type[ConnectorError]
) -> None:
    async def login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        while line := await reader.readline():
            hello = line.upper().startswith(b"EHLO")
            writer.write(b"250-mail.example\r\n250 AUTH PLAIN\r\n" if hello else b"%d 4.7.0 no\r\n" % code)
            await writer.drain()

    log = MemoryLog()
    async with raw_server() as server:
        server.always = login
        config = SmtpConfig(
            host="127.0.0.1", port=server.port, security="none", username="us", password=TOKEN
        )
        connector = Smtp(config, memory_context(log=log, **CONTEXT))
        sample = await samples.WRITES["mail"]["send"](connector, "1")
        with pytest.raises(ConnectorError) as raised:
            await connector.send(sample.request, sample.key)
    assert type(raised.value) is kind
    assert [entry.outcome for entry in log.entries] == [str(code)]
