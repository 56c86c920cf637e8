"""A small vendor of the tests' own, and a receiver of webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from sandbox.calls import Answer, Call, json_answer
from sandbox.idempotency import IdempotencyKeys, KeyInUse, KeyReused
from sandbox.routes import route
from sandbox.stand_in import StandIn


class AcmeStandIn(StandIn):
    """Orders that are numbered, with idempotency keys that live an hour."""

    system = "acme"
    title = "Acme"
    secret_headers = frozenset({"x-acme-token"})

    def reset(self) -> None:
        super().reset()
        self.orders: list[str] = []
        self.keys = IdempotencyKeys(self.clock, timedelta(hours=1))

    def headers(self, call: Call) -> Mapping[str, str]:
        return {"X-Acme": "1"}

    def error_body(self, status: int, kind: str) -> Any:
        return {"acme_error": kind, "status": status}

    async def around(self, call: Call, apply: Callable[[], Awaitable[Answer]]) -> Answer:
        key = call.headers.get("idempotency-key")
        if key is None:
            await call.processing()
            return await apply()
        try:
            answer, replayed = await self.keys.answer(key, call, apply)
        except KeyReused:
            return json_answer({"acme_error": "reused"}, 400)
        except KeyInUse:
            return self.error(409, "conflict")
        return Answer(answer.status, answer.body, headers={"Replayed": str(replayed)})

    @route("POST", "/orders/{name}")
    def order(self, call: Call) -> Answer:
        self.orders.append(call.params["name"])
        self.effect("order", call.params["name"], also=(call.headers.get("idempotency-key", ""),))
        return json_answer({"number": len(self.orders), "padding": "x" * 40})

    @route("GET", "/orders/latest")
    def latest(self, call: Call) -> Answer:
        return json_answer({"latest": self.orders[-1:]})

    @route("GET", "/orders/{name}")
    def read(self, call: Call) -> Answer:
        return json_answer({"there": call.params["name"] in self.orders})

    @route("POST", "/crash")
    def crash(self, call: Call) -> Answer:
        raise ZeroDivisionError("a mistake in a handler")

    @route("POST", "/echo")
    def echo(self, call: Call) -> Answer:
        return json_answer(call.json())

    def webhook_body(self, kind: str, object: Mapping[str, Any], now: datetime) -> bytes:
        return json.dumps({"kind": kind, "at": now.isoformat(), **object}).encode()

    def sign(self, body: bytes, secret: str, now: datetime, url: str) -> Mapping[str, str]:
        mark = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Acme-Signature": mark}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return {"Orders": [{"name": name} for name in self.orders]}


class Receiver:
    """What came in at `url`; `answers` are the statuses to give, the last one for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers = [200]

    def status(self) -> int:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver of webhooks on a port of its own."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.status())
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
