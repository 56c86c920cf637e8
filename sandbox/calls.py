"""One call to a stand-in and its answer, apart from the web server that carries them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl


class Malformed(Exception):
    """The body of a call cannot be read; answered as the vendor's 400."""


@dataclass
class Call:
    """What a client asked.

    `path` lacks the mount prefix and is still escaped; `params` are the path's values, unescaped. `headers` have
    lower-case names. `base_url` is where this stand-in is reached, prefix included, without a slash at the end.
    `now` is the instant of arrival by the stand-in's clock.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    base_url: str
    now: datetime
    params: dict[str, str] = field(default_factory=dict)
    gate: Callable[[], Awaitable[None]] | None = None

    def arg(self, name: str, default: str | None = None) -> str | None:
        """The first query value of this name."""
        return next((value for key, value in self.query if key == name), default)

    def json(self) -> Any:
        """The body as JSON; Malformed when it is none."""
        try:
            return json.loads(self.body or b"null")
        except ValueError as error:
            raise Malformed(f"the body of {self.method} {self.path} is not JSON: {error}") from None

    def form(self) -> list[tuple[str, str]]:
        """The pairs of a form-encoded body, in order; Malformed when it is no text."""
        try:
            return parse_qsl(self.body.decode(), keep_blank_values=True)
        except UnicodeDecodeError as error:
            raise Malformed(f"the body of {self.method} {self.path} is not UTF-8: {error}") from None

    async def processing(self) -> None:
        """The moment in which the vendor works on the call: `stall_within` holds it here."""
        if self.gate is not None:
            gate, self.gate = self.gate, None
            await gate()


@dataclass(frozen=True)
class Answer:
    """What goes back. `headers` come on top of those that the stand-in sends with every answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer; what JSON does not know (Decimal, datetime) is written as text."""
    return Answer(status, json.dumps(value, default=str).encode(), headers=headers or {})


def html_answer(text: str, status: int = 200) -> Answer:
    """An HTML page."""
    return Answer(status, text.encode(), "text/html")


class Refused(Exception):
    """Raised by a handler to answer an error from any depth."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"refused with {answer.status}")
        self.answer = answer


@dataclass
class Recorded:
    """A call as it came in, secrets masked; `status` and `fault` are set when it was answered (None: no answer)."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    at: datetime
    status: int | None = None
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As the control answers it; the body as text."""
        return {
            "method": self.method,
            "path": self.path,
            "query": [list(pair) for pair in self.query],
            "headers": self.headers,
            "body": self.body.decode(errors="replace"),
            "at": self.at.isoformat(),
            "status": self.status,
            "fault": self.fault,
        }
