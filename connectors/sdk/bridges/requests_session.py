"""A `requests.Session` that sends through our way out, for libraries that take one (simple-salesforce)."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from connectors.sdk.bridges.library_request import outgoing, plain_headers
from connectors.sdk.bridges.threads import send_from_thread
from connectors.sdk.http_client import HttpClient
from connectors.sdk.redaction import silence
from connectors.sdk.sending import Sender

silence("requests", "urllib3", "urllib3.connectionpool", "simple_salesforce")


def requests_session(
    http: HttpClient, *, passing: Collection[int] = (), json_only: bool = True
) -> requests.Session:
    """A session for a library whose calls are made within `in_thread`.

    Errors are raised as ours at once, so the library sees good answers, and those with a status in `passing`.
    Requests go to the base URL's host only; https, which some libraries insist on, gives way to the base URL's
    scheme. json_only: whether a 2xx with a body that is no JSON counts as unreadable.
    """
    session = requests.Session()
    # Neither proxies nor a .netrc of the machine: they would lead past the guard.
    session.trust_env = False
    adapter = _Adapter(http.sender, passing, json_only)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class _Adapter(BaseAdapter):
    def __init__(self, sender: Sender, passing: Collection[int], json_only: bool) -> None:
        super().__init__()
        self._sender = sender
        self._passing = passing
        self._json_only = json_only
        self._answers = HTTPAdapter()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send; timeouts, verification and proxies are ours, whatever is asked for."""
        out = outgoing(
            self._sender,
            request.method or "GET",
            request.url or "",
            {name: _text(value) for name, value in request.headers.items()},
            request.body,
            self._passing,
            json_only=self._json_only,
        )
        answer = send_from_thread(self._sender, out)
        return self._answers.build_response(
            request,
            urllib3.HTTPResponse(
                body=io.BytesIO(answer.content),
                headers=dict(plain_headers(answer)),
                status=answer.status,
                preload_content=False,
            ),
        )

    def close(self) -> None:
        """Nothing of its own is open."""
