"""A vendor with rotating refresh tokens on a real socket, and a connector to it.

As a script it is a worker that asks once whether the vendor takes its token: `python vendor.py DATABASE VENDOR GRACE`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from connectors.sdk.auth import Auth
from connectors.sdk.capabilities.mail import Mail, Mailer, MailReceipt
from connectors.sdk.config import Config, Secret
from connectors.sdk.connector import Connector
from connectors.sdk.context import Context
from connectors.sdk.http import Http
from connectors.sdk.idempotency import never
from connectors.sdk.key import Key
from connectors.sdk.memory import EnvSecrets, LocalBudget, MemoryLog, SystemClock
from connectors.sdk.oauth import OAuth2Refresh
from connectors.sdk.ports import TokenStore
from connectors.sdk.values import Health
from storage.encryption import Encryption
from storage.pool import Pool
from storage.tokens import PostgresTokens

CONNECTION = "press"


class Vendor(ThreadingHTTPServer):
    """Access tokens a1, a2, ...; refresh tokens r0, r1, ...: each refresh ends the tokens before.

    grace: whether the refresh token before the last is taken, too. at_token, at_me: called, with whatever they wait
    for, before an answer is sent.
    """

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, *, grace: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.grace = grace
        self.refreshes = 0
        self.at_token: Callable[[], object] = lambda: None
        self.at_me: Callable[[], object] = lambda: None
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def refreshed(self, refresh: str) -> dict[str, Any] | None:
        with self.lock:
            good = {f"r{self.refreshes}"} | ({f"r{self.refreshes - 1}"} if self.grace else set())
            if refresh not in good:
                return None
            self.refreshes += 1
            return {
                "access_token": f"a{self.refreshes}",
                "refresh_token": f"r{self.refreshes}",
                "token_type": "Bearer",
                "expires_in": 3600,
            }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Vendor

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        told = self.server.refreshed(form["refresh_token"][0])
        self.server.at_token()
        self._answer(400 if told is None else 200, told or {"error": "invalid_grant"})

    def do_GET(self) -> None:
        good = (
            self.server.refreshes and self.headers.get("Authorization") == f"Bearer a{self.server.refreshes}"
        )
        if good:
            self.server.at_me()
        self._answer(200 if good else 401, {"me": "press"} if good else {"error": "unauthorized"})

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


class PressConfig(Config):
    base_url: str
    client_id: str = "masthead"
    client_secret: Secret = Secret("env:PRESS_SECRET")


class Press(Connector[PressConfig], Mailer):
    name = "press"
    auth: Auth = OAuth2Refresh(
        token_url=lambda connector: f"{connector.config.base_url}/token",
        client_id="client_id",
        client_secret="client_secret",
    )
    http = Http(auth=auth)

    @never()
    async def send(self, mail: Mail, key: Key) -> MailReceipt:
        raise NotImplementedError

    async def health(self) -> Health:
        await self.http.get("/me")
        return Health(ok=True)


class GracefulPress(Press):
    name = "graceful_press"
    http = Http(
        auth=OAuth2Refresh(
            token_url=lambda connector: f"{connector.config.base_url}/token",
            client_id="client_id",
            client_secret="client_secret",
            grace=timedelta(minutes=10),
        )
    )


def press(vendor_url: str, tokens: TokenStore, *, grace: bool = False) -> Press:
    """A worker's connector to the vendor, with these tokens."""
    context = Context(
        connection=CONNECTION,
        mode="test",
        secrets=EnvSecrets({"PRESS_SECRET": "hush"}),
        tokens=tokens,
        budget=LocalBudget(),
        log=MemoryLog(),
        clock=SystemClock(),
        allow_loopback=True,
    )
    return (GracefulPress if grace else Press)(PressConfig(base_url=vendor_url), context)


async def ask_once(database: str, vendor_url: str, grace: bool) -> None:
    pool = Pool(database)
    tokens = PostgresTokens(pool, Encryption.of(os.environ["MASTHEAD_SECRET_KEY"]))
    await press(vendor_url, tokens, grace=grace).health()


if __name__ == "__main__":
    asyncio.run(ask_once(sys.argv[1], sys.argv[2], sys.argv[3] == "True"))
