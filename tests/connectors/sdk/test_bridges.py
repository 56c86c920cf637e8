"""The vendors' own libraries over the wire: one table of errors, guard and log for all, and nothing shown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

import hubspot  # type: ignore[import-untyped]
import pytest
import stripe
from hubspot.crm.contacts import (  # type: ignore[import-untyped]
    BatchInputSimplePublicObjectBatchInputUpsert,
)
from pydantic import HttpUrl
from simple_salesforce.api import Salesforce

from connectors.sdk.auth import Bearer
from connectors.sdk.bridges.avatax import avatax_client
from connectors.sdk.bridges.requests_session import requests_session
from connectors.sdk.bridges.stripe_http import StripeHttp
from connectors.sdk.bridges.threads import in_thread
from connectors.sdk.bridges.urllib3_pool import Urllib3Pool
from connectors.sdk.error_table import on
from connectors.sdk.errors import (
    Broken,
    ConnectorError,
    DefinitionError,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    Unknown,
)
from connectors.sdk.http import Http
from connectors.sdk.idempotency import never
from connectors.sdk.ports import Rate
from connectors.sdk.transport import Timeouts
from tests.connectors.sdk import wire
from tests.connectors.sdk.test_redaction import CANARIES, everything_of
from tests.connectors.sdk.wire import Shop, ShopConfig, answer, log_of, raw_server

TIMES = Timeouts(connect=2, read=2, total=3)
NAME = {
    "first": "Annabella",
    "last": "Karlssonova",
    "mail": "annabella@kund.example",
    "street": "Storgatan 5 C",
}


class Bridged(Shop):
    """What the connectors with a library of the vendor's have in common here: one read, one write."""

    name = "bridged"
    http: ClassVar[Http] = Http(
        auth=Bearer("api_key"),
        rate=Rate(1000),
        errors=[on(422, Rejected, code="code", message="message", fields="fields")],
        timeouts=TIMES,
        max_bytes=100_000,
    )

    async def look(self) -> Any:
        raise NotImplementedError

    async def send(self) -> Any:
        raise NotImplementedError


class ByStripe(Bridged):
    name = "by_stripe"

    def _api(self) -> stripe.StripeClient:
        return stripe.StripeClient(
            "added-when-sent",
            http_client=StripeHttp(self.http, passing={402}),
            base_addresses={"api": self.http.sender.base},
        )

    async def look(self) -> Any:
        return await self._api().v1.payment_intents.retrieve_async("pi_1")

    @never()
    async def send(self) -> Any:
        return await self._api().v1.customers.create_async(
            {
                "name": f"{NAME['first']} {NAME['last']}",
                "email": NAME["mail"],
                "address": {"line1": NAME["street"]},
            },
            {"idempotency_key": "k-1"},
        )


class ByHubspot(Bridged):
    name = "by_hubspot"

    def _batch(self) -> Any:
        api = hubspot.HubSpot(
            access_token="added-when-sent", host=self.http.sender.base
        ).crm.contacts.batch_api
        api.api_client.rest_client.pool_manager = Urllib3Pool(self.http)
        return api

    async def look(self) -> Any:
        def call() -> Any:
            api = hubspot.HubSpot(access_token="x", host=self.http.sender.base).crm.contacts.basic_api
            api.api_client.rest_client.pool_manager = Urllib3Pool(self.http)
            return api.get_by_id("1")

        return await in_thread(self, call)

    @never()
    async def send(self) -> Any:
        properties = {"firstname": NAME["first"], "lastname": NAME["last"], "address": NAME["street"]}
        batch = BatchInputSimplePublicObjectBatchInputUpsert(
            inputs=[{"idProperty": "email", "id": NAME["mail"], "properties": properties}]
        )
        return await in_thread(self, lambda: self._batch().upsert(batch))


class BySalesforce(Bridged):
    name = "by_salesforce"

    def _api(self) -> Any:
        host = self.http.sender.base.removeprefix("http://")
        return Salesforce(
            instance=host, session_id="added-when-sent", version="62.0", session=requests_session(self.http)
        )

    async def look(self) -> Any:
        return await in_thread(self, lambda: self._api().Contact.get("003"))

    @never()
    async def send(self) -> Any:
        record = {"FirstName": NAME["first"], "LastName": NAME["last"], "MailingStreet": NAME["street"]}
        return await in_thread(self, lambda: self._api().Contact.create({**record, "Email": NAME["mail"]}))


class ByAvatax(Bridged):
    name = "by_avatax"

    async def look(self) -> Any:
        return await in_thread(self, lambda: avatax_client(self.http, "masthead", "1").ping().json())

    @never()
    async def send(self) -> Any:
        model = {
            "code": "d-1",
            "customerName": f"{NAME['first']} {NAME['last']}",
            "email": NAME["mail"],
            "addresses": {"shipTo": {"line1": NAME["street"]}},
        }

        def call() -> Any:
            return avatax_client(self.http, "masthead", "1").create_or_adjust_transaction(
                model, {"$include": "Lines"}
            )

        return (await in_thread(self, call)).json()


ALL = [ByStripe, ByHubspot, BySalesforce, ByAvatax]
GOOD = {
    ByStripe: {"id": "pi_1", "object": "payment_intent"},
    ByHubspot: {
        "id": "1",
        "properties": {},
        "createdAt": "2026-03-01T00:00:00Z",
        "updatedAt": "2026-03-01T00:00:00Z",
    },
    BySalesforce: {"Id": "003"},
    ByAvatax: {"version": "26"},
}


def _made(kind: type[Bridged], url: str, **options: Any) -> Bridged:
    return kind(ShopConfig(base_url=HttpUrl(url)), wire.context(**options))


async def _error(call: Callable[[], Awaitable[Any]]) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised:
        await call()
    return raised.value


@pytest.mark.parametrize("kind", ALL)
async def test_a_library_reads_through_the_bridge_with_the_connectors_own_credentials(
    kind: type[Bridged],
) -> None:
    async with raw_server(answer(200, GOOD[kind], {"Set-Cookie": "a=b"})) as server:
        connector = _made(kind, server.url)
        assert await connector.look()
        (sent,) = server.received
        assert sent.headers["authorization"] == f"Bearer {wire.CANARY}"
        assert "added-when-sent" not in repr(sent)
        assert not [name for name in sent.headers if "user-agent" in name and name != "user-agent"]
        assert [entry.outcome for entry in log_of(connector).entries] == ["200"]
        await connector.aclose()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("act", "read", "write"),
    [
        (wire.drop_before, Transient, Unknown),
        (wire.drop_after, Transient, Unknown),
        (wire.html(), Broken, Unknown),
        (wire.truncated(), Transient, Unknown),
        (wire.half_json(), Broken, Unknown),
        (wire.endless, Broken, Unknown),
        (answer(500, {"message": "oh"}), Transient, Unknown),
        (answer(503, {}), Transient, Transient),
        (answer(429, {}, {"Retry-After": "7"}), RateLimited, RateLimited),
        (answer(401, {}), Unauthorized, Unauthorized),
        (answer(404, {}), Rejected, Rejected),
        (answer(302, b"", {"Location": "http://169.254.169.254/"}), Broken, Unknown),
    ],
)
async def test_each_mishap_is_its_error_in_each_library(
    kind: type[Bridged], act: wire.Act, read: type[ConnectorError], write: type[ConnectorError]
) -> None:
    async with raw_server(act) as server:
        connector = _made(kind, server.url)
        on_read = await _error(connector.look)
        assert len(server.received) <= 1, "a library tried again by itself"
        await connector.aclose()
    async with raw_server(act) as server:
        connector = _made(kind, server.url)
        on_write = await _error(connector.send)
        assert len(server.received) <= 1, "a library tried again by itself"
        await connector.aclose()
    assert (type(on_read), type(on_write)) == (read, write), (on_read, on_write)
    if isinstance(on_write, RateLimited):
        assert on_write.after == timedelta(seconds=7)


@pytest.mark.parametrize("kind", ALL)
async def test_refused_and_stalled_are_told_apart_in_each_library(kind: type[Bridged]) -> None:
    async with raw_server(wire.stall(), wire.stall()) as server:
        connector = _made(kind, server.url, timeout=0.6)
        assert type(await _error(connector.send)) is Unknown
        assert type(await _error(connector.look)) is Transient
        await connector.aclose()
        url = server.url
    connector = _made(kind, url)
    assert type(await _error(connector.send)) is Transient
    await connector.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_no_secret_and_no_person_is_shown_by_any_library(
    kind: type[Bridged], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("stripe", "hubspot", "urllib3", "requests", "httpcore", "hubspot.crm.contacts.rest"):
        caplog.set_level(logging.DEBUG, logger=name)
    words = f"{NAME['last']} of {NAME['street']}, {NAME['mail']}: {wire.CANARY} is wrong"
    echo = {"message": words, "code": "E1", "fields": {"email": words}, "error": {"message": words}}
    acts = (answer(422, echo), answer(500, echo), answer(200, json.dumps(echo).encode()[:-3], wire.JSON))
    async with raw_server(*acts) as server:
        connector = _made(kind, server.url)
        errors = [await _error(connector.send) for _ in acts]
        assert NAME["last"].encode() in server.received[0].body
        await connector.aclose()
    shown = "".join(map(everything_of, errors)) + caplog.text + repr(log_of(connector).entries)
    shown += repr([record.__dict__ for record in caplog.records])
    for canary in CANARIES:
        assert canary.lower() not in shown.lower(), canary
    assert all(error.__context__ is None for error in errors)
    rejected = errors[0]
    assert isinstance(rejected, Rejected)
    assert (rejected.code, "is wrong" in rejected.message, "is wrong" in rejected.fields["email"]) == (
        "E1",
        True,
        True,
    )


@pytest.mark.parametrize("kind", ALL)
async def test_budget_and_guard_hold_for_each_library(kind: type[Bridged]) -> None:
    async with raw_server(answer(200, GOOD[kind])) as server:
        connector = _made(kind, server.url, rate=Rate(1, per=100))
        await connector.look()
        assert isinstance(await _error(connector.look), RateLimited)
        assert len(server.received) == 1
        await connector.aclose()
        outside = _made(kind, server.url, allow_loopback=False)
        with pytest.raises(DefinitionError, match="may not reach this machine"):
            await outside.look()


async def test_a_declined_card_reaches_the_author_as_the_librarys_own_error() -> None:
    declined = {"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}
    async with raw_server(answer(402, declined)) as server:
        connector = _made(ByStripe, server.url)
        with pytest.raises(stripe.CardError) as raised:
            await connector.send()
        assert raised.value.error is not None
        assert raised.value.error.decline_code == "lost_card"
        await connector.aclose()


async def test_a_reply_without_avalaras_correlation_header_is_read_all_the_same() -> None:
    async with raw_server(answer(201, {"code": "d-1"})) as server:
        connector = _made(ByAvatax, server.url)
        assert await connector.send() == {"code": "d-1"}
        assert server.received[0].target == "/api/v2/transactions/createoradjust?%24include=Lines"
        await connector.aclose()


async def test_credentials_go_to_no_other_host() -> None:
    async with raw_server() as other, raw_server() as server:
        connector = _made(BySalesforce, server.url)

        def elsewhere() -> Any:
            return requests_session(connector.http).get(f"{other.url}/steal")

        with pytest.raises(DefinitionError, match="a library wanted to call"):
            await in_thread(connector, elsewhere)
        assert other.received == []


class Stumbling(Bridged):
    name = "stumbling"

    def _call(self, method: str) -> Any:
        requests_session(self.http).request(method, f"{self.http.sender.base}/x", json={"a": 1})
        raise KeyError(f"x-header of {wire.CANARY}")

    async def look(self) -> Any:
        return await in_thread(self, lambda: self._call("GET"))

    @never()
    async def send(self) -> Any:
        return await in_thread(self, lambda: self._call("POST"))


async def test_a_library_that_stumbles_after_a_write_leaves_it_unknown_and_after_a_read_broken() -> None:
    async with raw_server() as server:
        connector = _made(Stumbling, server.url)
        read, write = await _error(connector.look), await _error(connector.send)
        assert (type(read), type(write)) == (Broken, Unknown)
        assert "KeyError" in write.message
        assert wire.CANARY not in everything_of(write)
        await connector.aclose()


class Wrapping(Bridged):
    name = "wrapping"

    async def look(self) -> Any:
        def call() -> Any:
            try:
                return requests_session(self.http).get(f"{self.http.sender.base}/x")
            except Exception as error:
                raise RuntimeError(f"request failed with {wire.CANARY}") from error

        return await in_thread(self, call)


async def test_our_error_is_found_where_a_library_wraps_it() -> None:
    async with raw_server(answer(429, {})) as server:
        connector = _made(Wrapping, server.url)
        error = await _error(connector.look)
        assert type(error) is RateLimited
        assert wire.CANARY not in everything_of(error)
        await connector.aclose()


async def test_after_the_total_time_a_library_that_goes_on_sends_nothing_more() -> None:
    async with raw_server(wire.stall()) as server:
        connector = _made(Stumbling, server.url)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stubborn() -> None:
            for _ in range(3):
                with contextlib.suppress(ConnectorError):
                    requests_session(connector.http).post(f"{connector.http.sender.base}/x", json={})
            loop.call_soon_threadsafe(ended.set)

        await in_thread(connector, stubborn, total=0.3)
        assert ended.is_set()
        assert len(server.received) == 1
        await connector.aclose()


async def test_a_canceled_call_breaks_its_request_off_and_lets_the_thread_go() -> None:
    async with raw_server(wire.stall()) as server:
        connector = _made(Stumbling, server.url)
        going_on = asyncio.create_task(connector.send())
        await server.arrived.wait()
        going_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going_on
        async with asyncio.timeout(2):
            await in_thread(connector, lambda: None)
        await connector.aclose()


async def test_many_blocked_threads_do_not_keep_each_other_from_being_served() -> None:
    async with raw_server() as server:
        server.always = answer(200, GOOD[BySalesforce])
        connectors = [_made(BySalesforce, server.url) for _ in range(40)]
        async with asyncio.timeout(20):
            await asyncio.gather(*(connector.look() for connector in connectors))
        assert len(server.received) == 40
        for connector in connectors:
            await connector.aclose()


async def test_a_library_outside_in_thread_is_refused() -> None:
    connector = _made(BySalesforce, "http://127.0.0.1:9")
    with pytest.raises(DefinitionError, match="within `await in_thread"):
        requests_session(connector.http).get("http://127.0.0.1:9/x")
