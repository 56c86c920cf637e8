"""The way out: one request over httpx's types and httpcore's pool, to checked addresses, with caps on size and time.

Nothing here raises for what the network does: how far the request came is a value, so that one table can judge it,
and so that no library's exception, which knows the request, hangs on ours.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from connectors.sdk.guard import GuardedBackend, Refused
from connectors.sdk.outcomes import Phase


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds. connect: until connected; read: between two pieces of an answer; total: for all of one request."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 60.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one request. whole: the body came to its end. problem: in words, where something went wrong.

    refused: the guard stopped it. content: the decoded body. cut: the connection ended within the answer, or stalled.
    """

    phase: Phase
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers, repr=False)
    content: bytes = field(default=b"", repr=False)
    whole: bool = True
    problem: str = ""
    refused: bool = False
    cut: bool = False


@functools.lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Reading the certificates takes some 20 ms; every connector instance shares them.
    return httpx.create_ssl_context()


class Way:
    """Connections of one connector instance, kept alive between its requests."""

    def __init__(
        self, *, allow_loopback: bool, timeouts: Timeouts, max_bytes: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._timeouts = timeouts
        self._max_bytes = max_bytes
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or _tls(),
            max_connections=20,
            max_keepalive_connections=10,
            # Shorter than usual servers' own: a connection that the server just closed costs a write its outcome.
            keepalive_expiry=4.0,
            network_backend=GuardedBackend(allow_loopback=allow_loopback),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def deliver(
        self, method: str, url: str, headers: httpx.Headers, content: bytes, total: float | None = None
    ) -> Delivered:
        """Send one request and read its answer up to the cap. total: seconds, where less than declared are left."""
        limit = self._timeouts.total if total is None else min(total, self._timeouts.total)
        seen = _Seen()
        try:
            async with asyncio.timeout(limit):
                await self._exchange(_request(method, url, headers, content, self._timeouts, seen), seen)
        except Refused as refused:
            return Delivered(Phase.NOT_SENT, problem=str(refused), refused=True)
        except TimeoutError:
            seen.problem = f"took longer than {limit:g} s"
        except httpx.InvalidURL:
            seen.problem = "has a url that cannot be read"
        except httpcore.TimeoutException:
            seen.problem = "stalled" if seen.sent else "could not be connected to in time"
        except (httpcore.ConnectError, httpcore.UnsupportedProtocol):
            seen.problem = "could not be connected to"
        except (httpcore.NetworkError, httpcore.ProtocolError):
            seen.problem = "broke the connection off"
        return seen.delivered()

    async def _exchange(self, request: httpcore.Request, seen: _Seen) -> None:
        answer = await self._pool.handle_async_request(request)
        try:
            seen.status, seen.headers = answer.status, httpx.Headers(answer.headers)
            body = _Body(seen.headers.get("content-encoding", ""), self._max_bytes)
            seen.content, seen.cut = body.content, True
            async for piece in answer.aiter_stream():
                body.add(piece)
            seen.cut = False
            body.end()
            seen.whole = True
        except _UnreadableBody as unreadable:
            seen.problem, seen.cut = str(unreadable), False
        finally:
            await answer.aclose()


@dataclass(slots=True)
class _Seen:
    """How far a request came, written down on the way."""

    sent: bool = False
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    content: bytearray = field(default_factory=bytearray)
    whole: bool = False
    problem: str = ""
    cut: bool = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.sent = True

    def delivered(self) -> Delivered:
        if self.status is None:
            return Delivered(Phase.SENT if self.sent else Phase.NOT_SENT, problem=self.problem)
        return Delivered(
            Phase.ANSWERED,
            self.status,
            self.headers,
            bytes(self.content),
            self.whole,
            self.problem,
            cut=self.cut,
        )


class _UnreadableBody(Exception):
    """Why a body was not read to its end."""


class _Body:
    """A body that is put together, decoded, up to a cap that counts while decoding: a few bytes can stand for many."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self.content = bytearray()
        self._max_bytes = max_bytes
        encoding = encoding.strip().lower()
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise _UnreadableBody("answered with a content encoding that was not asked for")
        # 31: a gzip stream with its header and checksum.
        self._gzip = zlib.decompressobj(31) if encoding in {"gzip", "x-gzip"} else None

    def add(self, piece: bytes) -> None:
        room = self._max_bytes - len(self.content)
        if self._gzip is not None:
            try:
                piece = self._gzip.decompress(piece, room + 1)
            except zlib.error:
                raise _UnreadableBody("answered with a wrong content encoding") from None
        self.content += piece[:room]
        if len(piece) > room:
            raise _UnreadableBody(f"answered with more than {self._max_bytes:,} bytes")

    def end(self) -> None:
        if self._gzip is not None and not self._gzip.eof and self.content:
            raise _UnreadableBody("answered with a content encoding that breaks off")


def _request(
    method: str, url: str, headers: httpx.Headers, content: bytes, timeouts: Timeouts, seen: _Seen
) -> httpcore.Request:
    sent = httpx.Headers({"User-Agent": "masthead", "Accept-Encoding": "gzip"})
    sent.update(headers)
    to = httpx.Request(method, url, headers=sent, content=content)
    return httpcore.Request(
        method=to.method,
        url=httpcore.URL(
            scheme=to.url.raw_scheme, host=to.url.raw_host, port=to.url.port, target=to.url.raw_path
        ),
        headers=to.headers.raw,
        content=content,
        extensions={
            "trace": seen.trace,
            "timeout": {
                "connect": timeouts.connect,
                "pool": timeouts.connect,
                "read": timeouts.read,
                "write": timeouts.read,
            },
        },
    )
