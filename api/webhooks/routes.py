"""`POST /webhooks/{token}`: size cap, raw bytes, then the intake. Bare Starlette: the hot path needs no dependency of
the other routes, least of all their key."""

from __future__ import annotations

import json

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from api.security import open_route
from api.webhooks.intake import Arrival, DatabaseAway, Intake, NotBelieved, UnknownEndpoint

LARGEST_BODY = 1024 * 1024  # bytes

_TITLES = {
    401: "Unauthorized",
    404: "Not Found",
    413: "Content Too Large",
    503: "Service Unavailable",
}


def webhook_route(path: str = "/webhooks/{token}") -> Route:
    """The route; the application's state must have an Intake as `webhook_intake`."""
    return Route(path, receive_webhook, methods=["POST"], include_in_schema=False)


@open_route
async def receive_webhook(request: Request) -> Response:
    """2xx with what the sender expects once the delivery lies in the inbox, also for a repetition. Else the same small
    body: 413 for more than 1 MiB, 404 for an unknown token, 401 whatever was wrong with the signature, 503 when it
    could not be stored and has to be sent again."""
    body = await _read_body(request)
    if body is None:
        return _refusal(413)
    intake: Intake = request.app.state.webhook_intake
    try:
        answer = await intake.take(
            Arrival(
                token=request.path_params["token"],
                method=request.method,
                target=_target(request),
                headers={
                    name.decode("latin-1"): value.decode("latin-1")
                    for name, value in request.scope["headers"]
                },
                body=body,
            )
        )
    except UnknownEndpoint:
        return _refusal(404)
    except NotBelieved:
        return _refusal(401)
    except DatabaseAway:
        return _refusal(503, {"retry-after": "5"})
    return Response(answer.body, answer.status, media_type=answer.media_type if answer.body else None)


async def _read_body(request: Request) -> bytes | None:
    """The raw body; None when it is larger than we take. What is announced as too large is not even read."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        return None
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > LARGEST_BODY:
                return None
            pieces.append(piece)
    except ClientDisconnect:
        return b""  # nobody waits for the answer; an empty body is never believed
    return b"".join(pieces)


def _target(request: Request) -> str:
    """Path and query as the sender wrote them."""
    scope = request.scope
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def _refusal(status: int, headers: dict[str, str] | None = None) -> Response:
    kind = "unavailable" if status == 503 else "not_accepted"
    body = {"type": f"urn:masthead:problem:{kind}", "title": _TITLES[status], "status": status}
    return Response(json.dumps(body), status, headers=headers, media_type="application/problem+json")
