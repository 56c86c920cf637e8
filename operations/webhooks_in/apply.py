"""One batch of the inbox: taken, applied and decided in one transaction; what cannot be applied is isolated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import psycopg
from sqlalchemy import Engine

from operations.webhooks_in.handlers import Outcome, Signal, WebhookHandlers
from storage.database import PgConnection, transaction
from storage.inbound_endpoints import InboundEndpoint
from storage.webhook_inbox import (
    Decision,
    Failure,
    StoredDelivery,
    decide,
    park,
    resolve_parks,
    take_batch,
    try_again,
)

BATCH = 500
TRIES = 5
_LONGEST_MESSAGE = 300
# Of what psycopg files under OperationalError: connections lost or refused, resources used up, shutdown, and
# transactions that met another. The rest (too deeply nested, too large, canceled...) is the delivery's own doing.
_PASSING = ("08", "53", "57P", "40")


@dataclass
class Applied:
    """What a batch came to: how many deliveries were taken, decided, put back, parked; and whom to signal now."""

    taken: int = 0
    decided: int = 0
    put_back: int = 0
    parked: int = 0
    signals: list[Signal] = field(default_factory=list)

    def add(self, other: Applied) -> None:
        """Take in another batch."""
        self.taken += other.taken
        self.decided += other.decided
        self.put_back += other.put_back
        self.parked += other.parked
        self.signals += other.signals


def apply_batch(
    engine: Engine, endpoint: InboundEndpoint, handlers: WebhookHandlers, *, limit: int = BATCH
) -> Applied:
    """Apply the next deliveries of `endpoint`, in order. Their effects and their being decided are one transaction, so
    that each delivery has one effect. When one of them cannot be applied the batch is halved until it stands alone; it
    is tried again later, at most `TRIES` times, then parked, and the others do not wait for it.

    Raises psycopg.OperationalError when the database is away or the transaction met another; nothing is counted against
    a delivery then.
    """
    return _apply(engine, endpoint, handlers, limit, None)


def _apply(
    engine: Engine,
    endpoint: InboundEndpoint,
    handlers: WebhookHandlers,
    limit: int,
    among: Sequence[int] | None,
) -> Applied:
    batch: list[StoredDelivery] = []
    try:
        with transaction(engine) as connection:
            batch = take_batch(connection, endpoint.id, limit, among)
            if not batch:
                return Applied()
            outcomes = _outcomes(connection, endpoint, handlers, batch)
            _decide(connection, endpoint, batch, outcomes)
        signals = [signal for outcome in outcomes for signal in outcome.signals]
        return Applied(len(batch), len(batch), signals=signals)
    except Exception as error:
        if not batch or _passes(error):
            raise
        if len(batch) > 1:
            return _apply_halves(engine, endpoint, handlers, [delivery.id for delivery in batch])
        return _put_back(engine, endpoint, Failure(batch[0], type(error).__name__, _said(error)))


def _passes(error: Exception) -> bool:
    """Whether it is the database's trouble and no delivery's. A lost connection has no state to tell."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_PASSING)


def _outcomes(
    connection: PgConnection,
    endpoint: InboundEndpoint,
    handlers: WebhookHandlers,
    batch: Sequence[StoredDelivery],
) -> list[Outcome]:
    """The outcome of each, in order: neighbours of one handler go to it together."""
    outcomes: list[Outcome] = []
    for handler, group in groupby(batch, key=lambda delivery: handlers.of(endpoint, delivery.kind)):
        deliveries = list(group)
        found = handler(connection, endpoint, deliveries)
        if len(found) != len(deliveries):
            raise RuntimeError(f"a handler gave {len(found)} outcomes for {len(deliveries)} deliveries")
        outcomes += found
    return outcomes


def _decide(
    connection: PgConnection,
    endpoint: InboundEndpoint,
    batch: Sequence[StoredDelivery],
    outcomes: Sequence[Outcome],
) -> None:
    decide(
        connection,
        [
            Decision(each.id, outcome.status, outcome.effect[:200])
            for each, outcome in zip(batch, outcomes, strict=True)
        ],
    )
    resolve_parks(connection, endpoint.mode, endpoint.id, [each.id for each in batch])


def _apply_halves(
    engine: Engine, endpoint: InboundEndpoint, handlers: WebhookHandlers, ids: Sequence[int]
) -> Applied:
    middle = len(ids) // 2
    applied = Applied()
    for half in (ids[:middle], ids[middle:]):
        applied.add(_apply(engine, endpoint, handlers, len(half), half))
    return applied


def _put_back(engine: Engine, endpoint: InboundEndpoint, failure: Failure) -> Applied:
    """Let one that failed rest, or park it when it has had its tries."""
    with transaction(engine) as connection:
        if failure.delivery.attempts + 1 < TRIES:
            try_again(connection, [failure])
            return Applied(1, put_back=1)
        park(connection, endpoint.mode, endpoint.id, endpoint.connection, [failure])
        return Applied(1, parked=1)


def _said(error: Exception) -> str:
    """The first line of what went wrong: the second of Postgres quotes the row, which may hold personal data."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary[:_LONGEST_MESSAGE]
    return (str(error).partition("\n")[0] or type(error).__name__)[:_LONGEST_MESSAGE]
