"""The Stripe library's HTTP client, over our way out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, ClassVar, NoReturn

import stripe

from connectors.sdk.bridges.library_request import outgoing, plain_headers
from connectors.sdk.errors import DefinitionError
from connectors.sdk.http_client import HttpClient
from connectors.sdk.redaction import silence

silence("stripe")


class StripeHttp(stripe.HTTPClient):
    """`StripeClient(key, http_client=StripeHttp(self.http), base_addresses={"api": ...})`, its async methods only.

    Errors are raised as ours at once; the library sees good answers, and those with a status in `passing`: 402 for
    declined cards. It never tries again by itself.
    """

    name: ClassVar[str] = "masthead"

    def __init__(self, http: HttpClient, *, passing: Collection[int] = ()) -> None:
        super().__init__()
        self._sender = http.sender
        self._passing = passing

    async def request_with_retries_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Any]:
        """Send once: retrying is decided by the error's kind, outside."""
        return await self.request_async(method, url, headers, post_data)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request."""
        out = outgoing(self._sender, method, url, headers, post_data, self._passing)
        answer = await self._sender.send(out)
        return answer.content, answer.status, plain_headers(answer)

    def request(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: it would block the event loop."""
        raise DefinitionError("use the async methods of the Stripe library, as create_async")

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Wait."""
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        """Nothing of its own is open."""

    def close(self) -> None:
        """Nothing of its own is open."""
