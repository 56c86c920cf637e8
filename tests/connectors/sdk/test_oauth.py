"""Many workers, one refresh; a token is stored before it is used; what cannot be mended waits for a person."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import HttpUrl

from connectors.sdk.config import Config, Secret
from connectors.sdk.connector import Connector
from connectors.sdk.errors import DefinitionError, Rejected, Transient, Unauthorized
from connectors.sdk.http import Http
from connectors.sdk.idempotency import never
from connectors.sdk.memory import MemoryTokens, memory_context
from connectors.sdk.oauth import LEASE, ClientCredentials, JwtBearer, OAuth2, OAuth2Refresh
from connectors.sdk.ports import Rate, StoredToken, Token, Turn
from tests.connectors.sdk import wire
from tests.connectors.sdk.wire import RawServer, Received, Shopping, answer, raw_server

OLD = Token("access-0-canary", "refresh-0-canary")


class BankConfig(Config):
    base_url: HttpUrl
    token_url: str
    client_id: str = "client-7"
    client_secret: Secret = Secret("env:BANK_SECRET")
    user: str = "hub@bank.example"


class Bank(Connector[BankConfig], Shopping):
    name = "bank"
    auth: OAuth2 = OAuth2Refresh(token_url="token_url", client_id="client_id", client_secret="client_secret")
    http = Http(auth=auth, rate=Rate(1000))

    async def read(self) -> Any:
        return (await self.http.get("/accounts")).json

    @never()
    async def write(self) -> Any:
        return (await self.http.post("/payments", json={"amount": 1})).json


class Graceful(Bank):
    name = "graceful"
    http = Http(
        auth=OAuth2Refresh(
            token_url="token_url",
            client_id="client_id",
            client_secret="client_secret",
            client_in="basic",
            grace=timedelta(minutes=30),
        ),
        rate=Rate(1000),
    )


class Machine(Bank):
    name = "machine"
    http = Http(
        auth=ClientCredentials(
            token_url="token_url", client_id="client_id", client_secret="client_secret", scope="pay"
        ),
        rate=Rate(1000),
    )


class Signing(Bank):
    name = "signing"
    http = Http(
        auth=JwtBearer(
            token_url="token_url", client_id="client_id", private_key="client_secret", subject="user"
        ),
        rate=Rate(1000),
    )


class Clock:
    """Time that the test moves; waiting for it lets others run."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0.002)


class Vendor:
    """A vendor with a token endpoint. It takes each refresh token once, and only the newest access token."""

    def __init__(self) -> None:
        self.number = 0
        self.asked: list[Mapping[str, str]] = []
        self.hold: asyncio.Event | None = None
        self.was_asked = asyncio.Event()

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer
    ) -> None:
        request = await wire.read(reader, server)
        status, body = await self._answer(request)
        content = json.dumps(body).encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(content)
        await writer.drain()

    async def _answer(self, request: Received) -> tuple[int, object]:
        if request.target != "/token":
            good = request.headers.get("authorization") == f"Bearer access-{self.number}-canary"
            return (200, {"ok": 1}) if good else (401, {"message": "token expired"})
        form = dict(parse_qsl(request.body.decode()))
        self.asked.append(form)
        self.was_asked.set()
        if self.hold is not None:
            await self.hold.wait()
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != f"refresh-{self.number}-canary":
            return 400, {"error": "invalid_grant"}
        self.number += 1
        return 200, {
            "access_token": f"access-{self.number}-canary",
            "refresh_token": f"refresh-{self.number}-canary",
            "expires_in": 3600,
        }


class World:
    """A vendor, a store, and workers on them."""

    def __init__(self, server: RawServer, vendor: Vendor, secret: str) -> None:
        self.server, self.vendor = server, vendor
        self.clock = Clock()
        self.tokens = MemoryTokens(self.clock)
        self.secret = secret
        self.made: list[Bank] = []

    def worker(self, kind: type[Bank] = Bank) -> Bank:
        context = memory_context(
            "bank-1", clock=self.clock, tokens=self.tokens, secrets={"env:BANK_SECRET": self.secret}
        )
        config = BankConfig(base_url=HttpUrl(self.server.url), token_url=f"{self.server.url}/token")
        self.made.append(kind(config, context))
        return self.made[-1]

    async def stored(self) -> StoredToken:
        return await self.tokens.read("bank-1")


@asynccontextmanager
async def world(secret: str = "client-secret-canary", *, token: Token | None = OLD) -> AsyncIterator[World]:
    async with raw_server() as server:
        server.always = vendor = Vendor()
        made = World(server, vendor, secret)
        if token is not None:
            made.tokens.put("bank-1", token)
        yield made
        for worker in made.made:
            await worker.aclose()


async def test_many_workers_that_are_refused_at_once_refresh_once() -> None:
    async with world() as w:
        w.vendor.number = 0
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        answers = await asyncio.gather(*(w.worker().write() for _ in range(12)))
        assert answers == [{"ok": 1}] * 12
        assert len(w.vendor.asked) == 1
        token = (await w.stored()).token
        assert token is not None
        assert (token.access, token.refresh) == ("access-1-canary", "refresh-1-canary")


async def test_a_token_is_refreshed_before_it_ends() -> None:
    async with world() as w:
        w.tokens.put(
            "bank-1", Token("access-9-canary", "refresh-0-canary", w.clock.now() + timedelta(seconds=30))
        )
        assert await w.worker().read() == {"ok": 1}
        assert [request.target for request in w.server.received] == ["/token", "/accounts"]


async def test_the_new_token_is_stored_before_it_is_used() -> None:
    async with world() as w:
        stored_at: list[int] = []
        finish = w.tokens.finish_refresh

        async def noted(connection: str, version: int, token: Token) -> StoredToken:
            stored_at.append(len(w.server.received))
            return await finish(connection, version, token)

        object.__setattr__(w, "tokens", _Store(w.tokens, noted))
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        await w.worker().read()
        # Refused call, token request; stored; then the call again.
        assert (stored_at, len(w.server.received)) == ([2], 3)


async def test_a_store_that_is_away_for_seconds_does_not_lose_the_new_refresh_token() -> None:
    async with world() as w:
        finish, away = w.tokens.finish_refresh, [Transient("away")] * 5

        async def failing(connection: str, version: int, token: Token) -> StoredToken:
            if away:
                raise away.pop()
            return await finish(connection, version, token)

        object.__setattr__(w, "tokens", _Store(w.tokens, failing))
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        assert await w.worker().write() == {"ok": 1}
        assert (away, len(w.vendor.asked)) == ([], 1)
        token = (await w.stored()).token
        assert token is not None
        assert token.refresh == "refresh-1-canary"


@pytest.mark.parametrize("missing", ["secret", "token_url", "store"])
async def test_a_refresh_that_fails_before_it_is_sent_leaves_its_turn_to_the_next(missing: str) -> None:
    async with world() as w:
        store = w.tokens
        store.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        if missing == "store":
            object.__setattr__(w, "tokens", _Forgetful(store))
        worker = w.worker()
        if missing == "secret":
            object.__setattr__(worker.context, "secrets", memory_context("bank-1").secrets)
        elif missing == "token_url":
            worker.config = worker.config.model_copy(update={"token_url": "http://10.0.0.1/token"})
        with pytest.raises((Unauthorized, DefinitionError, Transient)):
            await worker.write()
        assert w.vendor.asked == []
        stored = await store.read("bank-1")
        assert stored.needs_authorisation is None
        assert await store.begin_refresh("bank-1", stored.version, LEASE) is Turn.MINE


class _Forgetful:
    """A store that is away for one reading, the one after the turn was given."""

    def __init__(self, inner: MemoryTokens) -> None:
        self._inner, self._away = inner, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def begin_refresh(self, connection: str, version: int, lease: timedelta) -> Turn:
        self._away = True
        return await self._inner.begin_refresh(connection, version, lease)

    async def read(self, connection: str) -> StoredToken:
        if self._away:
            self._away = False
            raise Transient("away")
        return await self._inner.read(connection)


class _Store:
    def __init__(self, inner: MemoryTokens, finish: Any) -> None:
        self._inner, self.finish_refresh = inner, finish

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_refused_refresh_marks_the_connection_and_nobody_asks_again() -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-used-canary"))
        for _ in range(3):
            with pytest.raises(Unauthorized, match="invalid_grant"):
                await w.worker().write()
        assert len(w.vendor.asked) == 1
        assert "invalid_grant" in ((await w.stored()).needs_authorisation or "")


async def test_a_fresh_token_that_is_refused_too_ends_in_a_mark_not_in_a_loop() -> None:
    async with world() as w:
        w.server.always = None
        w.server.plan(
            answer(401, {}),
            answer(200, {"access_token": "access-x-canary", "refresh_token": "r-x-canary"}),
            answer(401, {}),
        )
        with pytest.raises(Unauthorized):
            await w.worker().write()
        assert len(w.server.received) == 3
        with pytest.raises(Unauthorized, match="just after its refresh"):
            await w.worker().write()
        assert len(w.server.received) == 3


async def test_without_a_token_a_person_has_to_authorise_first() -> None:
    async with world(token=None) as w:
        with pytest.raises(Unauthorized, match="nobody has authorised it yet"):
            await w.worker().read()
        assert w.server.received == []


@pytest.mark.parametrize("act", [answer(503, {}), answer(500, {}), answer(429, {}), wire.html(502)])
async def test_a_token_endpoint_that_is_down_marks_nothing(act: wire.Act) -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        w.server.plan(answer(401, {}), act)
        with pytest.raises(Transient):
            await w.worker().write()
        assert (await w.stored()).needs_authorisation is None
        assert await w.worker().write() == {"ok": 1}


async def test_killed_between_answer_and_store_the_old_token_is_not_sent_again_without_grace() -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        version = (await w.stored()).version
        assert await w.tokens.begin_refresh("bank-1", version, LEASE) is Turn.MINE  # and then it dies
        w.vendor.number = 1
        with pytest.raises(Unauthorized, match="interrupted"):
            await w.worker().write()
        assert w.vendor.asked == []
        assert (await w.stored()).needs_authorisation is not None


async def test_with_grace_the_old_token_is_sent_once_more() -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        version = (await w.stored()).version
        assert await w.tokens.begin_refresh("bank-1", version, LEASE) is Turn.MINE
        assert await w.worker(Graceful).write() == {"ok": 1}
        assert [form["refresh_token"] for form in w.vendor.asked] == ["refresh-0-canary"]


async def test_a_second_interruption_marks_also_with_grace() -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        await w.tokens.begin_refresh("bank-1", (await w.stored()).version, LEASE)
        w.server.plan(answer(401, {}), wire.drop_after)
        with pytest.raises(Unauthorized, match="second refresh was interrupted"):
            await w.worker(Graceful).write()


async def test_an_unanswered_refresh_leaves_its_turn_to_run_out() -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        w.server.plan(answer(401, {}), wire.drop_after)
        with pytest.raises(Transient, match="the request itself was not sent"):
            await w.worker().write()
        stored = await w.stored()
        assert stored.needs_authorisation is None
        assert await w.tokens.begin_refresh("bank-1", stored.version, LEASE) is Turn.BUSY


async def test_a_canceled_caller_does_not_lose_the_answer() -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        w.vendor.hold = asyncio.Event()
        going_on = asyncio.create_task(w.worker().write())
        async with asyncio.timeout(5):
            await w.vendor.was_asked.wait()
        going_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going_on
        w.vendor.hold.set()
        assert await w.worker().write() == {"ok": 1}
        assert len(w.vendor.asked) == 1


async def test_client_credentials_are_asked_for_when_there_is_no_token_and_again_after_an_interruption() -> (
    None
):
    async with world(token=None) as w:
        await w.tokens.begin_refresh("bank-1", 0, LEASE)
        assert await w.worker(Machine).read() == {"ok": 1}
        (form,) = w.vendor.asked
        assert form == {
            "grant_type": "client_credentials",
            "scope": "pay",
            "client_id": "client-7",
            "client_secret": "client-secret-canary",
        }


async def test_the_client_may_show_itself_in_the_header() -> None:
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        await w.worker(Graceful).read()
        (asked,) = (each for each in w.server.received if each.target == "/token")
        expected = base64.b64encode(b"client-7:client-secret-canary").decode()
        assert asked.headers["authorization"] == f"Basic {expected}"
        assert b"client_secret" not in asked.body


async def test_an_assertion_is_signed_with_the_private_key() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    async with world(pem, token=None) as w:
        assert await w.worker(Signing).read() == {"ok": 1}
        (form,) = w.vendor.asked
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        head, claims, signature = form["assertion"].split(".")
        key.public_key().verify(
            _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        told = json.loads(_decoded(claims))
        assert (told["iss"], told["sub"], told["aud"]) == (
            "client-7",
            "hub@bank.example",
            f"{w.server.url}/token",
        )
        assert 0 < told["exp"] - told["iat"] <= 180


async def test_a_key_that_is_none_is_told_without_it() -> None:
    async with world("no-pem-canary", token=None) as w:
        with pytest.raises(DefinitionError, match="no RSA key") as raised:
            await w.worker(Signing).read()
        assert "no-pem-canary" not in repr(raised.value)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_tokens_are_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with world() as w:
        w.tokens.put("bank-1", Token("access-old-canary", "refresh-0-canary"))
        worker = w.worker()
        w.server.plan(answer(401, {"message": "access-old-canary is no good"}))
        await worker.write()
        w.server.plan(answer(422, {"message": "do not send access-1-canary"}))
        with pytest.raises(Rejected) as refused:
            await worker.write()
        shown = (
            caplog.text + repr(worker.context.log) + repr(refused.value) + repr(vars(worker)) + repr(w.tokens)
        )
        assert "canary" not in shown
