"""Every request has an id, which its log lines have too, is timed, and becomes a span where traces are wanted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_HEADER = b"x-request-id"
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

SECONDS = Histogram(
    "masthead_api_request_seconds",
    "how long requests to the API took, by the first digit of the answer's status",
    ["status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
# Looked up once, for this is on the way of every request.
_BY_STATUS = {digit: SECONDS.labels(f"{digit}xx") for digit in range(1, 6)}


def request_id() -> str | None:
    """The id of the request that is being answered."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return found if isinstance(found, str) else None


class Observed:
    """ASGI middleware. The caller's X-Request-ID is kept where it is one; every answer has one. tracer: asked at each
    request, None for no spans."""

    def __init__(self, app: ASGIApp, tracer: Callable[[], Tracer | None] = lambda: None) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        own = _given(scope) or str(uuid7())
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_HEADER, own.encode())]
            await send(message)

        tracer = self._tracer()
        structlog.contextvars.bind_contextvars(request_id=own)
        try:
            with nullcontext() if tracer is None else _span(tracer, scope, lambda: status):
                await self._app(scope, receive, sending)
        finally:
            # The id stays bound: what answers a failure and logs it is around this. Each request is a task of its own.
            _BY_STATUS.get(status // 100, _BY_STATUS[5]).observe(time.perf_counter() - began)


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER:
            return value.decode() if _ID.fullmatch(value) else None
    return None


@contextmanager
def _span(tracer: Tracer, scope: Scope, status: Callable[[], int]) -> Iterator[None]:
    """A span of one request, within the caller's trace where it names one. Named by the route, never by the path."""
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode

    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    method = scope["method"]
    with tracer.start_as_current_span(method, extract(headers), SpanKind.SERVER) as span:
        try:
            yield
        finally:
            route: Any = getattr(scope.get("route"), "path", None)
            if route is not None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.response.status_code", status())
            if status() >= 500:
                span.set_status(Status(StatusCode.ERROR))
