"""Who applies which webhook: handlers by connection (or recipe) and kind, and the one for all the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from storage.database import PgConnection
from storage.inbound_endpoints import InboundEndpoint
from storage.vendor_facts import record_facts
from storage.webhook_inbox import StoredDelivery


@dataclass(frozen=True)
class Signal:
    """What an open workflow is told after the commit. It is a hint: it gets lost when the process dies in between or
    no such workflow is open, so a workflow that must know also looks at the rows."""

    workflow_id: str
    name: str
    argument: Any = None


@dataclass(frozen=True)
class Outcome:
    """What a handler did with a delivery: `done`, or `ignored` because it is of no concern; `effect` says it in a few
    words (no personal data)."""

    effect: str
    status: Literal["done", "ignored"] = "done"
    signals: tuple[Signal, ...] = ()


Handler = Callable[[PgConnection, InboundEndpoint, Sequence[StoredDelivery]], Sequence[Outcome]]
"""Applies deliveries of one endpoint, in their order, in the caller's transaction, with an outcome for each. It never
commits. Whatever it raises undoes the transaction; the delivery it was raised for is found, tried again, parked."""


def each(handler: Callable[[PgConnection, StoredDelivery, InboundEndpoint], Outcome]) -> Handler:
    """A handler of single deliveries as one of batches."""

    def apply(
        connection: PgConnection, endpoint: InboundEndpoint, deliveries: Sequence[StoredDelivery]
    ) -> list[Outcome]:
        return [handler(connection, delivery, endpoint) for delivery in deliveries]

    return apply


def payload_of(delivery: StoredDelivery) -> Any:
    """The JSON of a delivery. Raises ValueError when it is none."""
    return json.loads(delivery.body.decode())


def keep_facts(
    connection: PgConnection, endpoint: InboundEndpoint, deliveries: Sequence[StoredDelivery]
) -> list[Outcome]:
    """Record each delivery as what is now known of its object, in `vendor_fact`, and tell it in the event log."""
    effects = record_facts(
        connection,
        endpoint.mode,
        endpoint.connection,
        [(delivery.id, delivery.object_key, delivery.key) for delivery in deliveries],
    )
    return [Outcome(effect) for effect in effects]


class WrongEndpoint(Exception):
    """A delivery came to an endpoint whose mode is not that of its connection: it would change the accounts of the
    other mode."""


def refuse_mode(
    connection: PgConnection, endpoint: InboundEndpoint, _: Sequence[StoredDelivery]
) -> list[Outcome]:
    """The handler of deliveries at an endpoint of the wrong mode. Raises WrongEndpoint for all of them."""
    raise WrongEndpoint(
        f"endpoint {endpoint.id} is in {endpoint.mode} mode and its connection {endpoint.connection} is not;"
        " make an endpoint in the connection's mode and disable this one"
    )


class _Rule(NamedTuple):
    """Who takes the kinds that fit `kinds`: of a name (which may be a recipe) where `mode` is None, else of the
    connection of that very name."""

    name: str
    kinds: str
    handler: Handler
    mode: str | None = None

    def handler_for(self, endpoint: InboundEndpoint, kind: str) -> Handler | None:
        if self.mode is None:
            names, pattern = (endpoint.connection, endpoint.recipe), f"{self.name}/{self.kinds}"
            return self.handler if any(fnmatchcase(f"{name}/{kind}", pattern) for name in names) else None
        if endpoint.connection != self.name or not fnmatchcase(kind, self.kinds):
            return None
        return self.handler if endpoint.mode == self.mode else refuse_mode


class WebhookHandlers:
    """The handlers of one process, asked in the order of registration; `otherwise` takes what none of them wants."""

    def __init__(self, otherwise: Handler = keep_facts) -> None:
        self._rules: list[_Rule] = []
        self._otherwise = otherwise

    def register(self, pattern: str, handler: Handler) -> None:
        """Let `handler` apply the kinds that fit `pattern`: `NAME/KIND`, where NAME is a connection or a recipe and
        both may hold `*`. Raises ValueError for a pattern without a slash."""
        if "/" not in pattern:
            raise ValueError(f"{pattern!r} is no pattern: write NAME/KIND, as in crm/contact.*")
        name, _, kinds = pattern.partition("/")
        self._rules.append(_Rule(name, kinds, handler))

    def register_for(self, connection: str, mode: str, kinds: str, handler: Handler) -> None:
        """Let `handler` apply the kinds that fit `kinds` (which may hold `*`) at the endpoints of the connection called
        `connection`, in `mode` alone; at its endpoints in the other mode they are refused. For handlers that change
        accounts: no other connection's webhooks reach them, be they signed by the same recipe."""
        self._rules.append(_Rule(connection, kinds, handler, mode))

    def of(self, endpoint: InboundEndpoint, kind: str) -> Handler:
        """The handler for deliveries of `kind` at `endpoint`."""
        for rule in self._rules:
            if (handler := rule.handler_for(endpoint, kind)) is not None:
                return handler
        return self._otherwise
