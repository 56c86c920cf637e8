"""A real API process's worth of server: the application on uvicorn, on a socket of this machine, and its inbox."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import uvicorn

from api.app import create_app
from connectors.sdk.webhooks.sign import headers_to_send
from connectors.sdk.webhooks.values import WebhookRequest
from runtime.settings import Settings
from storage.inbound_endpoints import add_endpoint
from tests.connectors.sdk.webhooks.senders import Sender


@asynccontextmanager
async def serving(url: str, home: Path) -> AsyncIterator[str]:
    """The base URL of an API on the database at `url`; Temporal is away, which webhooks do not need."""
    app = create_app(Settings(MASTHEAD_HOME=home, DATABASE_URL=url, TEMPORAL_ADDRESS="127.0.0.1:1"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        # Signals are for the test process.
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                assert not task.done(), "the server did not start"
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@dataclass
class Endpoint:
    """An endpoint with its sender: what it sends is signed for the address that is called."""

    id: str
    token: str
    sender: Sender
    base: str
    url: str  # of the database

    @property
    def address(self) -> str:
        """Where webhooks go."""
        return f"{self.base}/webhooks/{self.token}"

    def signed(self, body: bytes | None = None, **more: Any) -> WebhookRequest:
        """A request as its sender signs it now."""
        return self.sender.send(body=body, **{"at": datetime.now(UTC), "url": self.address, **more})

    async def post(self, client: httpx.AsyncClient, request: WebhookRequest) -> httpx.Response:
        """Send it."""
        return await client.post(self.address, content=request.body, headers=dict(headers_to_send(request)))

    def rows(self, columns: str = "delivery_key, kind") -> list[tuple[Any, ...]]:
        """What lies in the inbox."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                f"select {columns} from webhook_delivery where endpoint_id = %s order by id".encode(),
                (self.id,),
            ).fetchall()


def endpoint_for(url: str, base: str, sender: Sender, secrets: Mapping[str, str], **more: Any) -> Endpoint:
    """A new endpoint of `sender` whose secrets are the references `secrets` leads from."""
    with psycopg.connect(url) as connection:
        made, token = add_endpoint(
            connection,
            name=f"my-{sender.name}",
            recipe=sender.name,
            secret_references=list(secrets),
            public_url=base,
            **more,
        )
    return Endpoint(made, token, sender, base, url)
