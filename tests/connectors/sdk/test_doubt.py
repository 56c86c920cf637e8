"""What is known of a write of several requests when one of them fails: an error never hides what was applied."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.sdk.bridges.requests_session import requests_session
from connectors.sdk.bridges.threads import in_thread
from connectors.sdk.config import Config
from connectors.sdk.context import Rehearsed
from connectors.sdk.errors import Broken, ConnectorError, RateLimited, Rejected, Transient, Unknown
from connectors.sdk.idempotency import by_find, native, never
from tests.connectors.sdk.test_http import Thing
from tests.connectors.sdk.wire import Shop, answer, drop_after, html, raw_server, shop, stall

DAY = timedelta(hours=24)


async def _two_steps(connector: Shop, second: str) -> Any:
    await connector.http.post("/things", json={})
    return await getattr(connector.http, second)("/things/1")


class Steps(Shop):
    """Writes of two requests, by what they declare."""

    name = "steps"

    @never()
    async def once(self, second: str) -> Any:
        return await _two_steps(self, second)

    @by_find("read")
    async def found(self, second: str) -> Any:
        return await _two_steps(self, second)

    @native(DAY)
    async def keyed(self, second: str) -> Any:
        return await _two_steps(self, second)

    @native()
    async def numbered(self, second: str) -> Any:
        return await _two_steps(self, second)

    @native()
    async def around(self, second: str) -> Any:
        return await self.once(second)

    @never()
    async def looked_after(self, second: str) -> Any:
        try:
            return await self.http.post("/things", json={})
        except Unknown:
            return await self.http.get("/things/1")


@pytest.mark.parametrize(
    ("write", "second", "status", "kind"),
    [
        ("once", "get", 503, Unknown),
        ("found", "get", 503, Unknown),
        ("keyed", "get", 503, Unknown),
        ("found", "get", 429, Unknown),
        ("found", "get", 401, Unknown),
        ("found", "get", 404, Unknown),
        ("found", "post", 503, Unknown),
        ("around", "get", 503, Unknown),
        # Refused is refused; and what may be sent again at any time needs no doubt.
        ("found", "post", 422, Rejected),
        ("numbered", "get", 503, Transient),
        ("numbered", "get", 429, RateLimited),
    ],
)
async def test_nothing_was_applied_is_not_said_after_a_step_that_was(
    write: str, second: str, status: int, kind: type[ConnectorError]
) -> None:
    acts = (answer(201, {}), answer(status, {}), answer(status, {}))
    async with raw_server(*acts) as server, shop(server.url, Steps) as connector:
        with pytest.raises(ConnectorError) as raised:
            await getattr(connector, write)(second)
    assert type(raised.value) is kind
    assert raised.value.status == status


async def test_a_lost_answer_stays_in_doubt_when_the_look_up_fails() -> None:
    async with raw_server(drop_after, answer(503, {})) as server, shop(server.url, Steps) as connector:
        with pytest.raises(Unknown, match="may have been applied"):
            await connector.looked_after("get")


async def test_a_first_step_that_was_not_taken_leaves_no_doubt() -> None:
    async with raw_server(answer(503, {})) as server, shop(server.url, Steps) as connector:
        with pytest.raises(Transient):
            await connector.once("get")


class Library(Shop):
    """A write through a library, whose patience ends before the request does."""

    name = "library"

    @never()
    async def buy(self) -> Any:
        session = requests_session(self.http)
        return await in_thread(self, lambda: session.post(f"{self.http.sender.base}/things"), total=30)


async def test_a_library_given_up_while_its_write_is_on_its_way_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.sdk.bridges.threads._GRACE", -29.0)
    async with raw_server(stall()) as server, shop(server.url, Library) as connector:
        with pytest.raises(Unknown, match="did not come back"):
            await connector.buy()
        assert [each.method for each in server.received] == ["POST"]


@pytest.mark.parametrize(
    "act", [html(404), answer(404, b""), answer(404, b"default backend - 404")], ids=["page", "empty", "text"]
)
async def test_a_404_that_says_nothing_of_the_thing_is_not_there_is_none(act: Any) -> None:
    async with raw_server(act) as server, shop(server.url) as connector:
        with pytest.raises(Broken, match="404"):
            await connector.http.find("/things/1", into=Thing)


async def test_what_a_404_must_say_can_be_declared() -> None:
    route, none = answer(404, {"message": "no route"}), answer(404, {"code": "not_found"})
    async with raw_server(none, route) as server, shop(server.url) as connector:
        asked: Callable[[], Any] = lambda: connector.http.find(  # noqa: E731
            "/things/1", into=Thing, missing="code == 'not_found'"
        )
        assert await asked() is None
        with pytest.raises(Broken):
            await asked()


async def test_a_rehearsal_sends_nothing_though_the_client_was_made_before() -> None:
    async with raw_server() as server, shop(server.url) as connector:
        await connector.read()
        connector.context = replace(connector.context, rehearsing=True)
        with pytest.raises(Rehearsed):
            await connector.write()
        assert [each.method for each in server.received] == ["GET"]


def test_a_subclass_may_have_a_configuration_of_its_own() -> None:
    class Other(Config):
        base_url: str

    class Elsewhere(Shop):
        name = "elsewhere"
        Config = Other

    assert Elsewhere.Config is Other


async def test_a_cancelled_write_was_perhaps_applied() -> None:
    class Hasty(Shop):
        name = "hasty"

        @never()
        async def buy(self) -> Any:
            try:
                async with asyncio.timeout(0.1):
                    await self.http.post("/things", json={})
            except TimeoutError:
                raise Transient("it took too long") from None

    async with raw_server(stall()) as server, shop(server.url, Hasty) as connector:
        with pytest.raises(Unknown, match="may have been applied"):
            await connector.buy()
