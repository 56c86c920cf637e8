"""Charges of which nobody knows how they ended: when the gateway is asked, what it may answer, and what a person may
decide. While it lasts nothing charges their invoices again and nothing duns for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from contracts.connector_call import CallStatus
from operations.audit import append_action
from operations.calls.sending import succeed
from operations.charges.cards import learn_cards
from operations.charges.outcome import (
    Came,
    ChargeStatus,
    Told,
    call_of,
    outcome,
    told_by,
    told_by_call,
)
from operations.tariffs import Tariff
from storage.calls import change_call
from storage.charges import ChargeRow, change_charge, charge_key, lock_payers, read_charge
from storage.database import PgConnection
from storage.parked import resolve_parks_of_call

# How long until the gateway is asked again, by how often it was asked: minutes, then hours, then once a day for ever.
PAUSES = (
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 20, 40)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 8, 16)),
    timedelta(days=1),
)
# What is in flight for days tells by webhook how it ends; it is asked for in case that was lost.
IN_FLIGHT_PAUSE = timedelta(days=1)
# A charge that was written down and has a call that ended: whoever was to write that down has died.
ABANDONED = timedelta(minutes=5)


class CannotResolve(ValueError):
    """A charge that a person cannot decide about; the message says why."""


class Verdict(StrEnum):
    """What a person saw at the gateway."""

    CHARGED = "charged"
    NOT_CHARGED = "not-charged"


@dataclass(frozen=True, slots=True)
class Look:
    """A charge to ask its gateway for: by `reference`, sent at `since`. overdue: it waits for the customer
    longer than it may."""

    charge_id: str
    connection: str
    mode: str
    reference: str
    since: datetime | None
    overdue: bool = False


class InDoubt(NamedTuple):
    """A charge in doubt, for people. `since`: when it was sent. `looks`: how often the gateway was asked."""

    id: str
    mode: str
    account_id: str
    account: str
    connection: str
    reference: str
    currency: str
    amount: int
    status: str
    since: datetime
    looks: int
    next_look_at: datetime | None


def pause_after(looks: int) -> timedelta:
    """How long to wait once the gateway was asked `looks` times (from 1)."""
    return PAUSES[min(max(looks, 1), len(PAUSES)) - 1]


def due_looks(connection: PgConnection, now: datetime, limit: int = 100) -> list[Look]:
    """Charges for which the gateway is to be asked by `now`, those that wait longest first. Each is taken once: its
    next look is moved on with this, so that a worker that dies on the way costs one pause and no second asker."""
    rows = connection.execute(
        """
        select id::text from charge
        where ended_at is null and (next_look_at <= %(now)s or (
            next_look_at is null and status in ('intent', 'unknown') and created_at < %(old)s))
        order by next_look_at nulls first, id limit %(limit)s for update skip locked
        """,
        {"now": now, "old": now - ABANDONED, "limit": limit},
    ).fetchall()
    found = []
    for (charge_id,) in rows:
        charge = read_charge(connection, charge_id)
        wait = IN_FLIGHT_PAUSE if charge.status == ChargeStatus.PROCESSING else pause_after(charge.looks + 1)
        change_charge(connection, charge.id, {"looks": charge.looks + 1, "next_look_at": now + wait})
        reference = charge_key(charge.account_id, charge.no)
        # By the clock on the wall, as the gateway has it: the charge's own is the business time of whoever sent it.
        call = call_of(connection, charge)
        since = None if call is None else call.first_sent_at or call.created_at
        overdue = is_overdue(charge, now)
        found.append(Look(charge.id, charge.connection, charge.mode, reference, since, overdue))
    return found


def is_overdue(charge: ChargeRow, now: datetime) -> bool:
    """Whether the charge waits for the customer longer than it may."""
    return (
        charge.status == ChargeStatus.REQUIRES_ACTION
        and charge.act_until is not None
        and charge.act_until <= now
    )


def told_by_its_call(connection: PgConnection, tariff: Tariff, charge_id: str, now: datetime) -> Came | None:
    """Write down what the charge's call has been answered meanwhile, if anything; None when the gateway has to be
    asked."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    call = call_of(connection, charge)
    told = None if call is None else told_by_call(call)
    if told is None or told.status is ChargeStatus.UNKNOWN:
        return None
    if told.status.open and charge.status not in (ChargeStatus.INTENT, ChargeStatus.UNKNOWN):
        return None  # known already, and what was open when the call was answered may have ended since
    return outcome(connection, tariff, charge.id, told, now)


def found_at_gateway(
    connection: PgConnection, tariff: Tariff, charge_id: str, payment: dict[str, Any], now: datetime
) -> Came:
    """Write down what the gateway answered to being asked: `payment` is the JSON of the SDK's Payment."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    call = call_of(connection, charge)
    if call is not None and not CallStatus(call.status).settled:
        succeed(connection, call.id, payment)
    learn_cards(connection, [(charge, payment)])
    return outcome(connection, tariff, charge.id, told_by(payment), now)


def settle_call(connection: PgConnection, charge: ChargeRow, payment: str, status: str) -> None:
    """The end of the charge was told by another than its call's answer: nobody sends that, or waits for a person to
    decide about it, any more."""
    call = call_of(connection, charge)
    if call is None or CallStatus(call.status).settled:
        return
    answer = {
        "id": payment,
        "reference": charge_key(charge.account_id, charge.no),
        "status": "canceled" if status == ChargeStatus.WITHDRAWN else status,
        "amount": charge.amount,
        "currency": charge.currency,
    }
    succeed(connection, call.id, answer)


def in_doubt(
    connection: PgConnection, limit: int = 100, *, mode: str | None = None, after: str | None = None
) -> list[InDoubt]:
    """Charges of which nobody knows whether money moved, in the order of their ids, which is that of their age."""
    rows = connection.execute(
        """
        select c.id::text, c.mode, c.account_id::text, a.external_key, c.connection,
               'charge:' || c.account_id || ':' || c.no, c.currency, c.amount, c.status,
               coalesce(c.sent_at, c.created_at), c.looks, c.next_look_at
        from charge c join account a on a.id = c.account_id
        where c.ended_at is null and c.status = 'unknown' and (%(mode)s::text is null or c.mode = %(mode)s)
          and (%(after)s::uuid is null or c.id > %(after)s)
        order by c.id limit %(limit)s
        """,
        {"mode": mode, "after": after, "limit": limit},
    )
    return [InDoubt(*row) for row in rows]


def resolve(
    connection: PgConnection,
    tariff: Tariff,
    charge_id: str,
    verdict: Verdict,
    *,
    actor: str,
    reason: str,
    now: datetime,
    gateway_id: str | None = None,
) -> Came:
    """Write down what a person saw at the gateway, with the audit. The same again changes nothing. Raises NoSuchCharge,
    and CannotResolve for a charge that is not in doubt."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    charge = read_charge(connection, charge_id)
    wanted = ChargeStatus.SUCCEEDED if verdict is Verdict.CHARGED else ChargeStatus.WITHDRAWN
    if charge.status == wanted:
        return Came(charge.id, wanted, changed=False, payment_id=charge.payment_id)
    if charge.status != ChargeStatus.UNKNOWN:
        raise CannotResolve(
            f"charge {charge.id} is {charge.status}, and not in doubt: there is nothing to decide about it"
        )
    call = call_of(connection, charge)
    if call is not None and not CallStatus(call.status).settled:
        # Nobody sends it after this, whatever its process has in hand: what was decided stands.
        status = CallStatus.SKIPPED if wanted is ChargeStatus.SUCCEEDED else CallStatus.FAILED
        change_call(connection, call.id, {"status": status.value, "ended_at": call.now})
        resolve_parks_of_call(connection, call.id, verdict.value)
    append_action(
        connection,
        key=f"charge/{charge.id}/{verdict}",
        actor=actor,
        action=f"payment.{verdict}",
        subject=f"charge/{charge.id}",
        reason=reason,
    )
    return outcome(connection, tariff, charge.id, Told(wanted, gateway_id or charge.gateway_id), now)
