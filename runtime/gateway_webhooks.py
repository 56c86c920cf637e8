"""What payment gateways tell, checked before it is kept: a genuine webhook for another account changes nothing here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Engine

from connectors.sdk.capabilities.payment_facts import TellsOfPayments
from connectors.sdk.config import Config
from operations.checkout.told import keep_and_wake
from operations.refunds.facts import apply_facts
from operations.tariffs import Tariffs
from operations.webhooks_in.handlers import Handler, Outcome, WebhookHandlers, payload_of
from runtime.connection_source import ConnectionSpec
from runtime.webhook_dispatcher import register_handlers
from storage.database import PgConnection
from storage.inbound_endpoints import InboundEndpoint
from storage.webhook_inbox import StoredDelivery


def take_gateway_webhooks(connections: Iterable[ConnectionSpec]) -> None:
    """Let this process read the webhooks of each enabled payment gateway. Call it after what flows register: a flow
    that names a kind takes it first."""
    for spec in connections:
        if spec.enabled and spec.config is not None and issubclass(spec.connector, TellsOfPayments):
            register_handlers(partial(_register, spec, spec.connector, spec.config))


def checked(gateway: type[TellsOfPayments[Any]], config: Config, tariffs: Tariffs) -> Handler:
    """Keeps each delivery as a fact once it was read as one of `config`'s own account, and applies what it tells.

    The handler raises OtherAccount for another account's, and ValueError for one that cannot be read: both are parked.
    """

    def apply(
        connection: PgConnection, endpoint: InboundEndpoint, deliveries: Sequence[StoredDelivery]
    ) -> Sequence[Outcome]:
        told = [gateway.facts(config, payload_of(delivery)) for delivery in deliveries]
        outcomes = keep_and_wake(connection, endpoint, deliveries)
        tariff = tariffs.current(connection)
        return [
            replace(
                outcome,
                signals=(
                    *outcome.signals,
                    *apply_facts(
                        connection, tariff, endpoint.connection, facts, datetime.now(UTC), mode=endpoint.mode
                    ),
                ),
            )
            for outcome, facts in zip(outcomes, told, strict=True)
        ]

    return apply


def _register(
    spec: ConnectionSpec,
    gateway: type[TellsOfPayments[Any]],
    config: Config,
    handlers: WebhookHandlers,
    engine: Engine,
) -> None:
    handlers.register_for(spec.name, spec.mode, "*", checked(gateway, config, Tariffs(engine)))
