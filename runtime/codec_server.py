"""The codec server of Temporal's Web UI: a browser that may reach it reads what Temporal stores encrypted.

It speaks the UI's protocol: POST /decode and /encode with payloads as JSON. Without a token it answers on the loopback
interface only, and only under its names, so that no page of somebody else's leads a browser here.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from google.protobuf.json_format import MessageToDict, Parse, ParseError
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from temporalio.api.common.v1 import Payload, Payloads

from runtime.payload_codec import PayloadEncryption, PayloadKeyError

LONGEST_BODY = 8 * 1024 * 1024
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def codec_app(codec: PayloadEncryption, *, origins: Sequence[str], token: str | None) -> FastAPI:
    """The server. origins: of the UIs whose pages may ask. token: what they send as a bearer; None: loopback only."""
    app = FastAPI(title="Masthead codec server", openapi_url=None)

    @app.post("/decode")
    async def decode(request: Request) -> Response:
        return await _answer(request, codec.decrypt, token)

    @app.post("/encode")
    async def encode(request: Request) -> Response:
        return await _answer(request, codec.encrypt, token)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    if token is None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_NAMES), www_redirect=False)
    # Last, so first: an answer that refuses has to be readable by the page that asked.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["POST", "GET", "OPTIONS"],
        allow_headers=["content-type", "x-namespace", "authorization"],
        allow_credentials=True,
    )
    return app


async def _answer(request: Request, change: Callable[[Payload], Payload], token: str | None) -> Response:
    if token is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return _refused(401, "the codec server's token is missing or wrong")
    # What a page may send without asking first has another type.
    if not request.headers.get("content-type", "").startswith("application/json"):
        return _refused(415, "send JSON: content-type application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            return _refused(413, f"more than {LONGEST_BODY} bytes")
    try:
        asked = Parse(bytes(body), Payloads(), ignore_unknown_fields=True)
        done = Payloads(payloads=[change(payload) for payload in asked.payloads])
    except (ParseError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, PayloadKeyError):
            return _refused(422, str(error))
        return _refused(400, "this is no JSON of payloads as the Web UI sends it")
    return JSONResponse(MessageToDict(done), headers={"cache-control": "no-store"})


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)
