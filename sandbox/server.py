"""Serving stand-ins over real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from aiohttp import web

from sandbox.control import add_control
from sandbox.delivery import respond
from sandbox.stand_in import StandIn

HOST = "127.0.0.1"
_T = TypeVar("_T")
_MOST_BYTES = 64 * 1024 * 1024


def build_application(stand_ins: Mapping[str, StandIn], *, mounted: bool) -> web.Application:
    """A web application that serves them: each at `/<system>` when mounted, else the only one at the root.

    The control is at `/_control/<system>/...`, the pages at `/<system>/_page` (or `/_page`) and the index at `/`.
    """
    app = web.Application(client_max_size=_MOST_BYTES)
    add_control(app, stand_ins, mounted=mounted)

    async def serve(request: web.Request) -> web.StreamResponse:
        origin = f"http://{request.host}"
        raw = request.rel_url.raw_path
        if not mounted:
            (stand_in,) = stand_ins.values()
            return await respond(stand_in, request, raw, origin)
        system = raw.split("/", 2)[1]
        if system not in stand_ins:
            raise web.HTTPNotFound(
                text=f"no stand-in is mounted at /{system}; there are: {', '.join(stand_ins)}\n"
            )
        return await respond(stand_ins[system], request, raw[len(system) + 1 :] or "/", f"{origin}/{system}")

    app.router.add_route("*", "/{path:.*}", serve)

    async def opened(_: web.Application) -> None:
        for stand_in in stand_ins.values():
            await stand_in.background.open()
            await stand_in.opened()

    async def closed(_: web.Application) -> None:
        for stand_in in stand_ins.values():
            stand_in.faults.release()
            await stand_in.closed()
            await stand_in.background.close()

    app.on_startup.append(opened)
    app.on_cleanup.append(closed)
    return app


class LocalServer:
    """Stand-ins served by a thread with a loop of its own."""

    def __init__(self, stand_ins: Mapping[str, StandIn], *, mounted: bool, port: int = 0) -> None:
        self.stand_ins = stand_ins
        self.mounted = mounted
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Listen; OSError when the port is taken."""
        self._thread.start()
        try:
            self.run(self._open())
        except BaseException:
            self._end()
            raise

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """Stop listening, close all connections and end the thread."""
        if self._runner is not None:
            self.run(self._runner.cleanup())
        self._end()

    async def _open(self) -> None:
        app = build_application(self.stand_ins, mounted=self.mounted)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        for system, stand_in in self.stand_ins.items():
            stand_in.base_url = f"{self.url}/{system}" if self.mounted else self.url

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
