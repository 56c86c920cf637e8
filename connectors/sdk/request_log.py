"""One line per request for people: written here, redacted, never in the way of the call."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from connectors.sdk.context import Context, current_trace
from connectors.sdk.ports import RequestEntry
from connectors.sdk.redaction import excerpt, redact

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Logged:
    """A request to be logged. url: with the path's template and no query. sent, got: bodies with their types."""

    at: datetime
    method: str
    url: str
    outcome: str
    milliseconds: int
    tries: int
    sent: tuple[bytes, str]
    got: tuple[bytes, str]
    personal: Collection[str]


async def write(context: Context, logged: Logged) -> None:
    """Write a request to the context's log. What goes wrong there is told to the process's log only."""
    entry = RequestEntry(
        connection=context.connection,
        at=logged.at,
        method=logged.method,
        url=redact(logged.url, logged.personal),
        outcome=logged.outcome,
        milliseconds=logged.milliseconds,
        tries=logged.tries,
        trace=current_trace(),
        request=excerpt(*logged.sent, logged.personal),
        answer=excerpt(*logged.got, logged.personal),
    )
    try:
        await context.log.record(entry)
    except Exception as problem:
        # Its text may quote the entry's values; its type is enough to find it.
        _log.warning(
            "a request of connection %s was not logged: %s", context.connection, type(problem).__name__
        )
