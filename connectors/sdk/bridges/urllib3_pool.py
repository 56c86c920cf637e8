"""A urllib3 pool that sends through our way out, for generated clients (hubspot-api-client)."""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import Any

import urllib3

from connectors.sdk.bridges.library_request import outgoing, plain_headers
from connectors.sdk.bridges.threads import send_from_thread
from connectors.sdk.http_client import HttpClient
from connectors.sdk.redaction import silence
from connectors.sdk.sending import Sender

silence("urllib3", "urllib3.connectionpool", "hubspot")


class Urllib3Pool(urllib3.PoolManager):
    """Put it where a generated client keeps its pool: `api_client.rest_client.pool_manager = Urllib3Pool(self.http)`.

    The client's calls are made within `in_thread`. Errors are raised as ours at once, so the client sees good
    answers, and those with a status in `passing`.
    """

    def __init__(self, http: HttpClient, *, passing: Collection[int] = (), json_only: bool = True) -> None:
        super().__init__(num_pools=1)
        self._sender: Sender = http.sender
        self._passing = passing
        self._json_only = json_only
        # A generated client logs every body; its loggers exist once it is imported.
        silence("hubspot", below=True)

    def urlopen(  # type: ignore[override]  # the names of the rest are urllib3's own matter
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.HTTPResponse:
        """Send; timeouts, retries and redirects are ours, whatever is asked for."""
        out = outgoing(
            self._sender,
            method,
            url,
            options.get("headers") or {},
            options.get("body"),
            self._passing,
            json_only=self._json_only,
        )
        answer = send_from_thread(self._sender, out)
        return urllib3.HTTPResponse(
            body=io.BytesIO(answer.content),
            headers=dict(plain_headers(answer)),
            status=answer.status,
            preload_content=bool(options.get("preload_content", True)),
            request_method=method,
            request_url=url,
        )
