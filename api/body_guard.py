"""What every request to /v1 is looked at for, before anything else reads it: its size, what cannot be stored, and
numbers of payment cards, which must come into no row and no log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, answer
from domain.card_numbers import holds_card_number

LARGEST_BODY = 1024 * 1024  # bytes
_GUARDED = "/v1/"
# Fewer digits than a card number has, and no escapes that could hide some: nothing to look for.
_MAY_HOLD_CARD = re.compile(rb"\\u|[^\x00-\x7f]|(?:\d[^\d\"]{0,3}){13}")
_MAY_NOT_BE_STORED = re.compile(r"[\x00\ud800-\udfff]")
_LEAST_NUMBER = 10**13  # amounts are smaller


class BodyGuard:
    """ASGI middleware: 413 for a body of more than 1 MiB, 422 for a card number or a character that cannot be kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer it."""
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED):
            await self._app(scope, receive, send)
            return
        try:
            _check_address(scope)
            _check_key(scope)
            body = await _read(scope, receive)
            if body is None:
                return
            _check_body(body)
        except Problem as problem:
            # The path is not repeated where something is wrong with it.
            await answer(_GUARDED.rstrip("/"), problem)(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)


def _check_key(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"idempotency-key":
            _check_text(value.decode("latin-1"), "The Idempotency-Key")


def _check_address(scope: Scope) -> None:
    query = unquote(scope["query_string"].decode("latin-1").replace("+", " "), errors="surrogateescape")
    for text in (scope["path"], query):
        _check_text(text, "The address")


def _check_body(body: bytes) -> None:
    if b"\\u" in body or b"\0" in body or _MAY_HOLD_CARD.search(body):
        for text in _texts(body):
            _check_text(text, "The body")


def _check_text(text: str, where: str) -> None:
    if _MAY_NOT_BE_STORED.search(text):
        raise Problem(
            422,
            "not_storable",
            f"{where} holds a character that is none: NUL, or half of a surrogate pair.",
            remedy="Take it out; it is often the mark of a wrong encoding.",
        )
    if holds_card_number(text):
        raise Problem(
            422,
            "card_number",
            f"{where} holds what looks like the number of a payment card. It was not kept.",
            remedy="Never send card numbers here: let the payment gateway make a token of it, and send that.",
        )


def _texts(body: bytes) -> Iterator[str]:
    """All texts within a body, keys included; long whole numbers as texts. What is no JSON is one text."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        yield body.decode("utf-8", "replace")
        return
    waiting: list[Any] = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int) and value >= _LEAST_NUMBER:
            yield str(value) if value < 10**20 else ""


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body; None where the caller went away. Raises Problem where it is too large, as soon as that shows."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > LARGEST_BODY:
            raise _too_large()
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large() -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"The body is larger than {LARGEST_BODY:,} bytes.",
        remedy="Send it in parts: a batch of usage may hold 1,000 records.",
        headers={"Connection": "close"},
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, and then what comes."""
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
