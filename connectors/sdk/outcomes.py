"""Which kind of error an exchange with another system is. The only such table: every transport asks here.

A write is a request that may change something (not GET or HEAD) while a declared write is going on. A write whose
answer is missing or cannot be read has an unknown outcome; the same of a read may simply be sent again.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

from connectors.sdk.errors import Blame, Kind

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Phase(StrEnum):
    """How far a request came."""

    NOT_SENT = "not_sent"  # refused, no connection in time, or stopped here: no byte of it left
    SENT = "sent"  # at least begun to be sent; no answer came
    ANSWERED = "answered"  # a status came


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was seen of one request. writing: whether a declared write is going on.

    readable: whether the body of a 2xx came whole and is what was asked for. declared: the kind that the
    connector's own error table gives this answer.
    """

    phase: Phase
    method: str
    writing: bool
    status: int | None = None
    readable: bool = True
    declared: Kind | None = None

    @property
    def is_write(self) -> bool:
        """Whether its outcome can be unknown."""
        return self.writing and self.method.upper() not in READING


@dataclass(frozen=True, slots=True)
class _Row:
    statuses: Container[int]
    read: Kind
    write: Kind
    blame: Blame = "data"


_BY_STATUS = (
    _Row({401}, "unauthorized", "unauthorized", "configuration"),
    _Row({429}, "rate_limited", "rate_limited", "vendor"),
    _Row({503}, "transient", "transient", "vendor"),
    _Row({408}, "transient", "unknown", "vendor"),
    _Row({403, 405}, "rejected", "rejected", "configuration"),
    _Row(range(400, 500), "rejected", "rejected"),
    _Row(range(500, 600), "transient", "unknown", "vendor"),
    # Moved for good or to be repeated elsewhere: the server did nothing, and the base URL is wrong.
    _Row({301, 307, 308}, "rejected", "rejected", "configuration"),
)


def classify(exchange: Exchange) -> Kind | None:
    """The kind of error that an exchange is; None when it went well."""
    unclear: Kind = "unknown" if exchange.is_write else "transient"
    if exchange.phase is Phase.NOT_SENT:
        return "transient"
    if exchange.phase is Phase.SENT or exchange.status is None:
        return unclear
    if exchange.declared is not None:
        return unclear if exchange.declared == "unknown" else exchange.declared
    for row in _BY_STATUS:
        if exchange.status in row.statuses:
            return row.write if exchange.is_write else row.read
    if 200 <= exchange.status < 300 and exchange.readable:
        return None
    return "unknown" if exchange.is_write else "broken"


def blame_of(status: int | None) -> Blame:
    """Whose a refusal with `status` is."""
    return next((row.blame for row in _BY_STATUS if status in row.statuses), "data") if status else "data"
