"""The client against a server of odd bytes: what is sent, what is answered, and which error each mishap is."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, HttpUrl

from connectors.sdk.config import Secret
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
from connectors.sdk.key import Key
from connectors.sdk.ports import Rate
from connectors.sdk.retry_after import Quota, RetryAfter
from tests.connectors.sdk import wire
from tests.connectors.sdk.wire import CANARY, Shop, ShopConfig, answer, log_of, raw_server, shop


class Thing(BaseModel):
    id: str
    size: int


async def _kinds(act: wire.Act, **options: Any) -> tuple[ConnectorError, ConnectorError]:
    """The errors of a read and of a write that meet `act`."""
    async with raw_server(act, act) as server, shop(server.url, **options) as connector:
        with pytest.raises(ConnectorError) as read:
            await connector.read(into=Thing)
        with pytest.raises(ConnectorError) as write:
            await connector.write(into=Thing)
        return read.value, write.value


@pytest.mark.parametrize(
    ("act", "read", "write"),
    [
        (wire.drop_before, Transient, Unknown),
        (wire.drop_after, Transient, Unknown),
        (wire.raw(b""), Transient, Unknown),
        (wire.raw(b"SSH-2.0-hello\r\n\r\n"), Transient, Unknown),
        (wire.raw(b"HTTP/1.1 200 OK\r\nContent-Le"), Transient, Unknown),
        (wire.html(), Broken, Unknown),
        (wire.truncated(), Transient, Unknown),
        (wire.half_json(), Broken, Unknown),
        (answer(200, {"id": "1"}), Broken, Unknown),
        (answer(200, b"\x1f\x8bnot gzip", {"Content-Encoding": "gzip"}), Broken, Unknown),
        (answer(204), Broken, Unknown),
        (wire.endless, Broken, Unknown),
        (answer(500, {"message": "oh"}), Transient, Unknown),
        (wire.html(502), Transient, Unknown),
        (wire.html(503), Transient, Transient),
        (answer(408, {}), Transient, Unknown),
        (answer(429, {}), RateLimited, RateLimited),
        (answer(401, {}), Unauthorized, Unauthorized),
        (answer(404, {}), Rejected, Rejected),
        (wire.truncated(400), Rejected, Rejected),
        (answer(409, {}), Rejected, Rejected),
        (answer(302, b"", {"Location": "http://169.254.169.254/"}), Broken, Unknown),
        (answer(308, b"", {"Location": "https://elsewhere.example/"}), Rejected, Rejected),
        (answer(200, {"ok": False, "why": "closed"}), Rejected, Rejected),
        (answer(403, {"code": "QUOTA"}), RateLimited, RateLimited),
    ],
)
async def test_each_mishap_is_its_error(
    act: wire.Act, read: type[ConnectorError], write: type[ConnectorError]
) -> None:
    on_read, on_write = await _kinds(act)
    assert (type(on_read), type(on_write)) == (read, write), (on_read, on_write)


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_a_stall_ends_with_the_total_time(first: bytes) -> None:
    on_read, on_write = await _kinds(wire.stall(first), timeout=0.2)
    assert type(on_read) is Transient
    assert type(on_write) is Unknown
    assert "longer than 0.2 s" in on_read.message


async def test_what_is_never_sent_is_transient_also_on_a_write() -> None:
    async with raw_server() as server:
        url = server.url
    async with shop(url) as connector:
        with pytest.raises(Transient):
            await connector.write()
        with pytest.raises(Transient):
            await connector.read()


async def test_the_request_is_what_was_asked_for_and_its_path_values_stay_in_their_place() -> None:
    async with raw_server(answer(200, {"id": "7", "size": 2})) as server, shop(server.url) as connector:
        thing = await connector.http.put(
            "/things/{id}",
            path={"id": "a/../b?c#d%"},
            params={"q": "å &", "flag": True, "none": None, "each": [1, 2]},
            json={"n": 1},
            key=Key.of("put", "7"),
            into=Thing,
        )
        assert thing == Thing(id="7", size=2)
        (sent,) = server.received
        assert sent.method == "PUT"
        assert sent.target == "/things/a%2F..%2Fb%3Fc%23d%25?q=%C3%A5+%26&flag=true&each=1&each=2"
        assert sent.headers["x-key"] == CANARY
        assert sent.headers["idempotency-key"] == "put:7"
        assert sent.headers["content-type"] == "application/json"
        assert sent.json == {"n": 1}


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_a_path_value_that_names_another_resource_is_refused_unsent(value: str) -> None:
    async with raw_server() as server, shop(server.url) as connector:
        with pytest.raises(Rejected, match="cannot stand in a path"):
            await connector.read(path={"id": value})
        assert server.received == []


async def test_a_header_cannot_be_broken_out_of() -> None:
    async with raw_server() as server, shop(server.url) as connector:
        with pytest.raises(Rejected, match="X-Note"):
            await connector.read(headers={"X-Note": "a\r\nX-Admin: 1"})
        assert server.received == []


async def test_find_answers_none_for_404_and_passing_statuses_come_as_replies() -> None:
    acts = (answer(404, {}), answer(200, {"id": "1", "size": 1}), answer(409, {"there": "already"}))
    async with raw_server(*acts) as server, shop(server.url) as connector:
        assert await connector.http.find("/things/1", into=Thing) is None
        assert await connector.http.find("/things/1", into=Thing) == Thing(id="1", size=1)
        reply = await connector.http.post("/things", json={}, passing={409})
        assert (reply.status, reply.json) == (409, {"there": "already"})


async def test_an_error_carries_the_vendors_words_place_and_request_id() -> None:
    body = {"error": {"code": "E7", "message": "size is negative", "fields": {"size": "negative"}}}
    async with (
        raw_server(answer(422, body, {"X-Request-Id": "r-99"})) as server,
        shop(server.url) as connector,
    ):
        with pytest.raises(Rejected) as raised:
            await connector.write()
    error = raised.value
    assert (error.code, error.fields, error.status) == ("E7", {"size": "negative"}, 422)
    assert error.message == ("shop-1: POST /things answered 422; size is negative; code E7 (request r-99)")


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "form", "after"),
    [
        ("7", "seconds_or_date", 7),
        ("Sun, 01 Mar 2026 12:00:09 GMT", "seconds_or_date", 9),
        ("Sun, 01 Mar 2026 11:00:00 GMT", "date", 0),
        ("7", "date", None),
        ("1500", "milliseconds", 1.5),
        (str(int(NOW.timestamp()) + 30), "epoch", 30),
        (str(int(NOW.timestamp()) + 30), "seconds", None),
        ("soon", "seconds", None),
        ("", "seconds", None),
        ("nan", "seconds", None),
    ],
)
def test_a_wait_is_read_in_the_declared_form_only(header: str, form: Any, after: float | None) -> None:
    wanted = None if after is None else timedelta(seconds=after)
    assert RetryAfter("Retry-After", form).read({"Retry-After": header}, NOW) == wanted


async def test_retry_after_is_told_and_holds_the_next_call_unsent() -> None:
    limited = answer(429, {}, {"Retry-After": "30"})
    async with raw_server(limited) as server, shop(server.url) as connector:
        with pytest.raises(RateLimited) as first:
            await connector.read()
        assert first.value.after == timedelta(seconds=30)
        with pytest.raises(RateLimited, match="was not sent") as second:
            await connector.read()
        assert second.value.after is not None
        assert timedelta(seconds=20) < second.value.after <= timedelta(seconds=30)
        assert len(server.received) == 1


class Metered(Shop):
    name = "metered"
    http = Http(rate=Rate(1000), quota=Quota("X-Left", RetryAfter("X-Reset", "seconds")))


async def test_a_used_up_quota_holds_calls_though_the_answer_was_good() -> None:
    spent = answer(200, {}, {"X-Left": "0", "X-Reset": "60"})
    left = answer(200, {}, {"X-Left": "1", "X-Reset": "60"})
    async with raw_server(left, spent) as server, shop(server.url, Metered) as connector:
        await connector.read()
        await connector.read()
        with pytest.raises(RateLimited):
            await connector.read()


async def test_calls_beyond_the_rate_come_back_with_a_wait_and_take_nothing_from_later_ones() -> None:
    async with raw_server() as server, shop(server.url, rate=Rate(1, per=100)) as connector:
        await connector.read()
        waits = []
        for _ in range(3):
            with pytest.raises(RateLimited) as raised:
                await connector.read()
            waits.append(raised.value.after)
        assert all(wait is not None and wait <= timedelta(seconds=100) for wait in waits)
        assert len(server.received) == 1


class Following(Shop):
    name = "following"
    http = Http(rate=Rate(1000), redirects=2)


async def test_declared_redirects_are_followed_on_the_same_host_only() -> None:
    async with raw_server() as other, raw_server() as server, shop(server.url, Following) as connector:
        server.plan(answer(302, b"", {"Location": "/there"}), answer(200, {"here": 1}))
        assert (await connector.read()).json == {"here": 1}
        server.plan(answer(302, b"", {"Location": other.url + "/there"}))
        with pytest.raises(Broken, match=r"it leads to 127\.0\.0\.1"):
            await connector.read()
        assert other.received == []


class Rekeyed:
    """Secrets that somebody rotates."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)

    def resolve(self, reference: str) -> str:
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


async def test_a_key_that_was_rotated_meanwhile_is_shown_once_after_a_401() -> None:
    async with raw_server(answer(401, {}), answer(200, {})) as server:
        context = wire.context()
        object.__setattr__(context, "secrets", Rekeyed("old-key-1", "new-key-2"))
        connector = Shop(ShopConfig(base_url=HttpUrl(server.url)), context)
        assert (await connector.write()).status == 200
        assert [each.headers["x-key"] for each in server.received] == ["old-key-1", "new-key-2"]
        await connector.aclose()


async def test_one_that_was_not_is_sent_no_second_time() -> None:
    async with raw_server(answer(401, {}), answer(401, {})) as server, shop(server.url) as connector:
        with pytest.raises(Unauthorized):
            await connector.write()
        assert len(server.received) == 1


async def test_each_request_is_logged_with_its_outcome_by_template_without_query_values() -> None:
    async with raw_server(answer(200, {"a": 1}), wire.drop_after) as server, shop(server.url) as connector:
        await connector.read(params={"q": "needle"})
        with pytest.raises(Unknown):
            await connector.write()
        read, write = log_of(connector).entries
    assert (read.method, read.url, read.outcome) == ("GET", f"{server.url}/things/{{id}}?q=…", "200")
    assert (write.method, write.outcome, write.request) == ("POST", "unknown", '{"a": 1}')


async def test_a_canceled_call_is_logged_as_such() -> None:
    async with raw_server(wire.stall()) as server, shop(server.url) as connector:
        going_on = asyncio.create_task(connector.write())
        await server.arrived.wait()
        going_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going_on
        assert [entry.outcome for entry in log_of(connector).entries] == ["canceled"]


def _packed(size: int, times: int = 1) -> bytes:
    content = b'"' + b"a" * size + b'"'
    for _ in range(times):
        content = gzip.compress(content)
    return content


async def test_a_packed_answer_is_unpacked_and_counted_as_what_it_becomes() -> None:
    packed = {"Content-Encoding": "gzip"}
    acts = (
        answer(200, _packed(50_000), packed),
        answer(200, _packed(50_000_000), packed),
        answer(200, _packed(50_000)[:-9], packed),
        answer(200, _packed(50_000_000, 2), {"Content-Encoding": "gzip, gzip"}),
    )
    async with raw_server(*acts) as server, shop(server.url) as connector:
        assert await connector.read(into=str) == "a" * 50_000
        with pytest.raises(Broken, match="more than 100,000 bytes"):
            await connector.read()
        with pytest.raises(Broken, match="breaks off"):
            await connector.read()
        with pytest.raises(Broken, match="not asked for"):
            await connector.read()


async def test_a_secret_that_is_not_there_parks_the_call_unsent_and_names_its_reference() -> None:
    async with raw_server() as server:
        config = ShopConfig(base_url=HttpUrl(server.url), api_key=Secret("env:NOBODY_HAS_SET_THIS"))
        connector = Shop(config, wire.context())
        with pytest.raises(Unauthorized, match="no secret at env:NOBODY_HAS_SET_THIS"):
            await connector.write()
        assert server.received == []
        await connector.aclose()


async def test_a_log_that_fails_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        async def record(self, entry: object) -> None:
            raise OSError(f"disk full: {entry}")

    async with raw_server() as server, shop(server.url, log=Full()) as connector:
        assert (await connector.read()).status == 200
    assert "was not logged: OSError" in caplog.text
    assert "things" not in caplog.text


async def test_cookies_are_not_kept() -> None:
    acts = (answer(200, {}, {"Set-Cookie": "session=abc"}), answer(200, {}))
    async with raw_server(*acts) as server, shop(server.url) as connector:
        await connector.read()
        await connector.read()
        assert "cookie" not in server.received[1].headers


async def test_a_wrong_declaration_is_told_with_what_is_wrong() -> None:
    class Odd(Shop):
        name = "odd"
        http = Http(base="home")

    async with shop("http://127.0.0.1:9", Odd) as connector:
        with pytest.raises(DefinitionError, match="no field 'home'"):
            await connector.read()
    async with shop("http://127.0.0.1:9", allow_loopback=False) as connector:
        with pytest.raises(DefinitionError, match="may not reach this machine"):
            await connector.read()
    async with shop("http://127.0.0.1:9") as connector:
        with pytest.raises(DefinitionError, match="below the base URL"):
            await connector.read("https://elsewhere.example/")
        with pytest.raises(DefinitionError, match="one of json="):
            await connector.http.post("/", json={}, form={})
