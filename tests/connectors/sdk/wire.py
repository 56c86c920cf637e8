"""A server of odd bytes on a real socket, and a connector that speaks to it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, overload

from pydantic import HttpUrl

from connectors.sdk.auth import ApiKey
from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.config import Config, Secret
from connectors.sdk.connector import Connector
from connectors.sdk.context import Context
from connectors.sdk.error_table import on
from connectors.sdk.errors import RateLimited, Rejected
from connectors.sdk.http import Http
from connectors.sdk.idempotency import never
from connectors.sdk.memory import MemoryLog, memory_context
from connectors.sdk.ports import Rate
from connectors.sdk.transport import Timeouts

CANARY = "canary-secret-8d1f77"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came. headers: names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter, "RawServer"], Awaitable[None]]


@dataclass(slots=True)
class RawServer:
    """Does `script` act by act, one for each connection's request; then `always`."""

    script: deque[Act] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    always: Act | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def plan(self, *acts: Act) -> None:
        self.script.extend(acts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        act = self.script.popleft() if self.script else self.always or answer(200, {})
        try:
            await act(reader, writer, self)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def read(reader: asyncio.StreamReader, server: RawServer) -> Received:
    """Read one request and write it down."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    server.received.append(Received(method, target, headers, body))
    server.arrived.set()
    return server.received[-1]


def answer(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Act:
    """A whole answer; what is no bytes goes as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {**(JSON if not isinstance(body, bytes) else {}), **(headers or {})}
    return raw(_head(status, {"Content-Length": str(len(content)), "Connection": "close", **sent}) + content)


def raw(content: bytes) -> Act:
    """These bytes after the request was read, then the end."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
        await read(reader, server)
        writer.write(content)
        await writer.drain()

    return act


def html(status: int = 200) -> Act:
    return answer(status, b"<html><title>Sorry</title>Anna Karlsson</html>", {"Content-Type": "text/html"})


def truncated(status: int = 200) -> Act:
    return raw(_head(status, {**JSON, "Content-Length": "500"}) + b'{"id": "12')


def half_json(status: int = 200) -> Act:
    return answer(status, b'{"id": "12', JSON)


async def drop_before(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
    """Close without reading to the end of the request."""
    await reader.read(1)


async def drop_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
    """Read all, say nothing."""
    await read(reader, server)


def stall(first: bytes = b"") -> Act:
    """Read all, say `first`, then nothing until the test lets go."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
        await read(reader, server)
        writer.write(first)
        await writer.drain()
        await server.released.wait()

    return act


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
    """More and more bytes, without a length."""
    await read(reader, server)
    writer.write(_head(200, JSON))
    while not server.released.is_set():
        writer.write(b"[" * 50_000)
        await writer.drain()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode()


@asynccontextmanager
async def raw_server(*acts: Act, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A running server on a free port of this machine."""
    server = RawServer(deque(acts))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.released.set()
        listening.close()


class ShopConfig(Config):
    base_url: HttpUrl
    api_key: Secret = Secret("env:SHOP_KEY")


class Shopping(Capability):
    capability = "shopping"


class Shop(Connector[ShopConfig], Shopping):
    """A connector of all that the client can do."""

    name = "shop"
    http: ClassVar[Http] = Http(
        auth=ApiKey("api_key", header="X-Key"),
        rate=Rate(1000, per=1),
        errors=[
            on(403, RateLimited, when="code == 'QUOTA'"),
            on(422, Rejected, code="error.code", message="error.message", fields="error.fields"),
            on(200, Rejected, when="ok == `false`", code="why"),
        ],
        key_header="Idempotency-Key",
        key_length=64,
        timeouts=Timeouts(connect=2, read=2, total=3),
        max_bytes=100_000,
    )

    async def read(self, url: str = "/things/{id}", **request: Any) -> Any:
        request.setdefault("path", {"id": "1"})
        return await self.http.get(url, **request)

    @never()
    async def write(self, body: object = None, **request: Any) -> Any:
        return await self.http.post("/things", json=body or {"a": 1}, **request)


S = TypeVar("S", bound=Shop)


def context(**options: Any) -> Context:
    return memory_context("shop-1", secrets={"env:SHOP_KEY": CANARY}, **options)


def log_of(connector: Connector[Any]) -> MemoryLog:
    log = connector.context.log
    assert isinstance(log, MemoryLog)
    return log


@overload
def shop(url: str, **options: Any) -> AbstractAsyncContextManager[Shop]: ...
@overload
def shop(url: str, kind: type[S], **options: Any) -> AbstractAsyncContextManager[S]: ...
@asynccontextmanager
async def shop(url: str, kind: Any = Shop, **options: Any) -> AsyncIterator[Any]:
    """An instance of the shop's connector for `url`."""
    made = kind(ShopConfig(base_url=HttpUrl(url)), context(**options))
    try:
        yield made
    finally:
        await made.aclose()
