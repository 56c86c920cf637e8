"""A subscriber's system, on a real socket: it writes down what it is sent and answers as told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One request: header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """`answers` are given one after the other, the last of them for ever: a status, or a function of the request."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int | Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=lambda: [204]
    )

    def ids(self) -> list[str]:
        """The webhook-id of each request, in their order."""
        return [each.headers["webhook-id"] for each in self.received]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.path, headers, body))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)

    async def until(self, what: str, true: Callable[[], object], seconds: float = 20) -> None:
        """Wait until `true()` holds."""
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on 127.0.0.1."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
