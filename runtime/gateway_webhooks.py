"""What payment gateways tell, checked before it is kept: a genuine webhook for another account changes nothing here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Engine

from connectors.sdk.capabilities.card_facts import CardChange, TellsOfCards
from connectors.sdk.capabilities.payment_facts import PaymentFact, TellsOfPayments, standing
from connectors.sdk.config import Config
from operations.charges.cards import ToldOfCard, note_card, payers_by
from operations.charges.facts import AtGateway, apply_standing, charge_of
from operations.charges.outcome import told_by
from operations.checkout.told import keep_and_wake
from operations.refunds.facts import apply_facts
from operations.tariffs import Tariffs
from operations.webhooks_in.handlers import Handler, Outcome, WebhookHandlers, payload_of
from runtime.connection_source import ConnectionSpec
from runtime.webhook_dispatcher import register_handlers
from storage.charges import ChargeRow, lock_payers
from storage.database import PgConnection
from storage.inbound_endpoints import InboundEndpoint
from storage.payment_facts import KeptFact, facts_of, keep_payment_facts, lock_payments
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
        payloads = [payload_of(delivery) for delivery in deliveries]
        told = [gateway.facts(config, payload) for payload in payloads]
        now = datetime.now(UTC)
        cards = _cards(gateway, config, payloads, now)
        outcomes = keep_and_wake(connection, endpoint, deliveries)
        _apply_to_charges(
            connection,
            endpoint,
            tariffs,
            [
                KeptFact(each.key, no, fact.payment, fact.reference, fact.model_dump(mode="json"))
                for each, facts in zip(deliveries, told, strict=True)
                for no, fact in enumerate(facts, 1)
            ],
            cards,
        )
        for card in cards:
            note_card(connection, endpoint.mode, endpoint.connection, card, now)
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


def _cards(
    gateway: type[TellsOfPayments[Any]], config: Config, payloads: Sequence[Mapping[str, Any]], now: datetime
) -> list[ToldOfCard]:
    """What `payloads` tell of cards on file."""
    if not issubclass(gateway, TellsOfCards):
        return []
    return [
        ToldOfCard(
            fact.method,
            fact.customer,
            fact.card.brand,
            fact.card.last4,
            fact.card.expires_on,
            renewed=fact.change is CardChange.RENEWED,
            closed=fact.change is CardChange.CLOSED,
            at=fact.occurred_at or now,
        )
        for payload in payloads
        for fact in gateway.card_facts(config, payload)
    ]


def _apply_to_charges(
    connection: PgConnection,
    endpoint: InboundEndpoint,
    tariffs: Tariffs,
    facts: Sequence[KeptFact],
    cards: Sequence[ToldOfCard],
) -> None:
    """Judge the charges that `facts` are about by all that was told of their payments. The accounts that pay by `cards`
    are locked with theirs, in one order, as everybody locks several."""
    name = endpoint.connection
    payments = {each.payment for each in facts}
    lock_payments(connection, name, sorted(payments))
    keep_payment_facts(connection, endpoint.mode, name, facts)
    found: list[tuple[ChargeRow, AtGateway]] = []
    for payment in payments:
        told = facts_of(connection, name, payment)
        references = {each.reference for each in told}
        charge = charge_of(connection, endpoint.mode, name, payment, references)
        if charge is not None:
            found.append((charge, _at_gateway(payment, told)))
    accounts = {charge.account_id for charge, _ in found}
    for card in cards:
        accounts.update(payers_by(connection, endpoint.mode, name, card))
    lock_payers(connection, sorted(accounts))
    for charge, stands in sorted(found, key=lambda each: (each[0].account_id, each[0].no)):
        apply_standing(connection, tariffs.current(connection), charge, stands, datetime.now(UTC))


def _at_gateway(payment: str, told: Sequence[KeptFact]) -> AtGateway:
    now = standing(PaymentFact.model_validate(each.fact) for each in told)
    if now.status is None:
        return AtGateway(payment, None)
    status = told_by({"status": now.status.value}).status
    code = now.decline.code if now.decline is not None else None
    return AtGateway(payment, status, now.captured, code)


def _register(
    spec: ConnectionSpec,
    gateway: type[TellsOfPayments[Any]],
    config: Config,
    handlers: WebhookHandlers,
    engine: Engine,
) -> None:
    handlers.register_for(spec.name, spec.mode, "*", checked(gateway, config, Tariffs(engine)))
