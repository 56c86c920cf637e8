"""The errors that an exchange ends with: the vendor's own words, where it happened, and nothing that is secret."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from connectors.sdk.error_table import Told
from connectors.sdk.errors import (
    Blame,
    Broken,
    ConnectorError,
    Kind,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    Unknown,
)
from connectors.sdk.redaction import redact

_CLASSES: Mapping[Kind, type[ConnectorError]] = {
    "transient": Transient,
    "rate_limited": RateLimited,
    "unknown": Unknown,
    "unauthorized": Unauthorized,
    "rejected": Rejected,
    "broken": Broken,
}
_REMEDIES: Mapping[Kind, str] = {
    "unknown": "whether it was applied is not known",
    "unauthorized": "check the credentials of the connection and authorise it anew",
}
_REQUEST_IDS = ("x-request-id", "request-id", "x-correlation-id", "x-hubspot-correlation-id", "x-trace-id")
_LONGEST_WORDS = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where something went wrong. request: method and path, as in `POST /documents/{code}`."""

    connection: str
    request: str
    personal: Collection[str] = ()

    def failure(
        self,
        kind: Kind,
        what: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        told: Told | None = None,
        after: timedelta | None = None,
        blame: Blame = "data",
    ) -> ConnectorError:
        """The error of `kind`. what: what happened, in our words; what the vendor said is put after it."""
        parts = [what]
        if told is not None and told.message:
            parts.append(self._safe(told.message)[:_LONGEST_WORDS])
        if told is not None and told.code and told.code != told.message:
            parts.append(f"code {self._safe(told.code)[:100]}")
        if kind in _REMEDIES:
            parts.append(_REMEDIES[kind])
        identity = (
            next((headers[name] for name in _REQUEST_IDS if name in headers), None) if headers else None
        )
        text = f"{self.connection}: {self._safe(self.request)} " + "; ".join(parts)
        if identity:
            text += f" (request {redact(identity)[:100]})"
        code = self._safe(told.code) if told is not None and told.code else None
        error = _class_of(kind, told)
        if issubclass(error, RateLimited):
            return error(text, after=after, code=code, status=status)
        if issubclass(error, Rejected):
            fields = {self._safe(name): self._safe(say) for name, say in told.fields.items()} if told else {}
            return error(text, code=code, fields=fields, blame=blame, status=status)
        return error(text, code=code, status=status)

    def _safe(self, words: str) -> str:
        return redact(words, self.personal)


def _class_of(kind: Kind, told: Told | None) -> type[ConnectorError]:
    # A connector may declare a class of its own below one of the six.
    declared = told.rule.error if told is not None and told.rule is not None else None
    return declared if declared is not None and declared.kind == kind else _CLASSES[kind]


def body_of(content: bytes) -> object:
    """A body as JSON; None when it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
