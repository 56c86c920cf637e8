"""Asking the payment gateways what happened since a backup, and writing it down.

Only reads leave the house here. A gateway that lists its payments is asked for all of them; besides, each is asked for
what the rows have without its end, by reference.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Engine

from connectors.sdk.capabilities.payment import Payment, PaymentGateway
from connectors.sdk.capabilities.payment_history import ListsPayments
from connectors.sdk.config import MissingSecret
from connectors.sdk.errors import ConnectorError, DefinitionError
from operations.backup.found import Found
from operations.backup.reconciling import never_sent, open_references, release, take
from operations.tariffs import Tariffs
from runtime.connection_source import ConnectionSpec
from runtime.connections import Connections
from storage.database import transaction
from storage.write_holds import WriteHold, note_asked, open_hold

T = TypeVar("T")

WITHIN_SECONDS = 120.0


@dataclass(slots=True)
class Asked:
    """What a gateway answered. troubles: why it is not known all of it; empty when it is."""

    gateway: str
    found: list[Found] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many payments became what."""
        return dict(Counter(each.what.value for each in self.found))


@dataclass(slots=True)
class Reconciled:
    """hold: None where nothing was held. released: nothing is held any more."""

    hold: WriteHold | None
    asked: list[Asked] = field(default_factory=list)
    released: bool = False

    @property
    def clear(self) -> bool:
        """Whether every gateway has told all."""
        return not any(each.troubles for each in self.asked)


async def reconcile(
    engine: Engine,
    connections: Connections,
    *,
    actor: str,
    now: datetime,
    release_because: str | None = None,
) -> Reconciled:
    """Ask each gateway, write what it says at the instant `now`, and end the hold where all of it is known.
    release_because: end it in any case, for this reason. Changes nothing where nothing is held."""
    hold = await _do(engine, open_hold)
    done = Reconciled(hold)
    if hold is None:
        return done
    tariffs = Tariffs(engine)
    for spec in connections.of_capability(PaymentGateway):
        asked = await _ask(engine, connections, tariffs, spec, hold, now)
        done.asked.append(asked)
        answer = {"at": datetime.now(UTC).isoformat(), "troubles": asked.troubles, **asked.counts}
        await _do(engine, note_asked, hold.id, spec.name, answer)
    if done.clear or release_because is not None:
        total = sum((Counter(each.counts) for each in done.asked), Counter[str]())
        known = ", ".join(f"{count} {what}" for what, count in sorted(total.items())) or "no payments"
        reason = release_because or f"{len(done.asked)} gateways have told all: {known}"
        done.released = await _do(engine, release, hold, actor, reason)
    return done


async def _ask(
    engine: Engine,
    connections: Connections,
    tariffs: Tariffs,
    spec: ConnectionSpec,
    hold: WriteHold,
    now: datetime,
) -> Asked:
    asked = Asked(spec.name)
    try:
        connector: Any = await connections.open(spec.name)
        listed = await _listed(connector, hold.since)
    except (ConnectorError, DefinitionError, MissingSecret, TimeoutError) as error:
        asked.troubles.append(_said(error))
        return asked
    if listed is None:
        asked.troubles.append(
            f"{connector.title} has no list of payments: what was charged there since the backup, and is not in the "
            "rows, has to be looked for by hand"
        )
    payments = {each.id: each for each in listed or ()}
    seen = {each.reference for each in payments.values()}
    for reference, began in await _do(engine, open_references, spec.name):
        if reference in seen:
            continue
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                found = await connector.find(reference, since=began)
        except (ConnectorError, TimeoutError) as error:
            asked.troubles.append(f"{reference}: {_said(error)}")
            continue
        if found is not None:
            payments.setdefault(found.id, found)
            seen.add(reference)
    for payment in payments.values():
        asked.found.append(await _do(engine, _take, tariffs, spec, payment, now))
    if not asked.troubles:
        await _do(engine, never_sent, hold, spec.name, seen)
    return asked


async def _listed(connector: Any, since: datetime) -> list[Payment] | None:
    if not isinstance(connector, ListsPayments):
        return None
    async with asyncio.timeout(WITHIN_SECONDS):
        return await connector.payments_since(since)


def _take(connection: Any, tariffs: Tariffs, spec: ConnectionSpec, payment: Payment, now: datetime) -> Found:
    tariff = tariffs.current(connection)
    shown = payment.model_dump(mode="json")
    return take(connection, tariff, spec.name, spec.mode, shown, now)


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {WITHIN_SECONDS:g} s"
    return error.message if isinstance(error, ConnectorError) else str(error)


async def _do(engine: Engine, step: Callable[..., T], *args: Any) -> T:
    def run() -> T:
        with transaction(engine) as connection:
            return step(connection, *args)

    return await asyncio.to_thread(run)
