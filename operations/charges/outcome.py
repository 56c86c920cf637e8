"""What a charge came to, written by one function, whoever heard of it: a payment run, a look-up, a webhook, a person.

Facts come late, twice and out of order. Money is the strongest: a charge that succeeded stays so whatever is told
later, and one that had failed, or was withdrawn, succeeds when the money turns out to have moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from uuid_utils import uuid7

from contracts.connector_call import CallStatus
from domain.account import collecting
from domain.declines import UNRESOLVED, code_name
from domain.gateway_routing import Attempt, ChargeAt, next_gateway
from domain.received_payments import PaymentStatus
from operations.accounts.unit import changing
from operations.charges.begin import CHARGE, Begun, route_of, stop_if_paid, write
from operations.tariffs import Tariff
from storage.calls import CallRow, find_call
from storage.charge_calls import give_back_unsent
from storage.charges import (
    ChargeRow,
    NewCharge,
    change_charge,
    charge_key,
    chargeable_methods,
    close_parts,
    collection_of,
    last_numbers,
    lock_payers,
    open_invoices,
    parts_of,
    read_charge,
)
from storage.database import PgConnection
from storage.events import NewEvent, append_events

# When the gateway is asked the first time after an outcome that nobody knows.
FIRST_LOOK = timedelta(minutes=1)
# When it is asked the first time for what is in flight, in case the webhook that tells of its end is lost.
FIRST_LOOK_IN_FLIGHT = timedelta(days=1)
NO_CODE = "generic_decline"
VOID = "payment.void"
ACTION_NEEDED = "notice.payment-action-needed"
NOT_CONFIRMED = "not_confirmed_in_time"


class ChargeStatus(StrEnum):
    """Where a charge stands."""

    INTENT = "intent"  # written down; it may be on its way
    PROCESSING = "processing"  # in flight at the gateway, as a direct debit is for days
    REQUIRES_ACTION = "requires_action"  # the customer must do something at next_action_url
    UNKNOWN = "unknown"  # nobody knows whether money moved
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # given up, and surely nothing was charged

    @property
    def open(self) -> bool:
        """Whether its end is not known: nobody charges its invoices again, and nobody duns for them."""
        return self not in (ChargeStatus.SUCCEEDED, ChargeStatus.FAILED, ChargeStatus.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody was told of a charge. gateway_id: None where it is not known. code: why it failed.

    technical: it failed and the gateway is known not to have charged (`domain.gateway_routing.Attempt`).
    look_at: when the gateway is asked (again), for one that stays open; None leaves it as it is, but what becomes
    unknown is asked for after FIRST_LOOK, and what is in flight after FIRST_LOOK_IN_FLIGHT.
    """

    status: ChargeStatus
    gateway_id: str | None = None
    code: str | None = None
    technical: bool = False
    next_action_url: str | None = None
    look_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Came:
    """Where the charge then stands. changed: this telling was news. elsewhere: the charge at the next gateway, which
    was begun in the same transaction, after a failure in which the first is known not to have charged."""

    charge_id: str
    status: ChargeStatus
    changed: bool
    payment_id: str | None = None
    elsewhere: Begun | None = None


# The gateway's words, by `connectors.sdk.capabilities.payment.PaymentStatus`. What was to be taken at once and is only
# held is on its way still.
_STATUS = {
    "succeeded": ChargeStatus.SUCCEEDED,
    "authorized": ChargeStatus.PROCESSING,
    "requires_action": ChargeStatus.REQUIRES_ACTION,
    "processing": ChargeStatus.PROCESSING,
    "failed": ChargeStatus.FAILED,
    "canceled": ChargeStatus.WITHDRAWN,
}


def told_by(payment: Mapping[str, Any]) -> Told:
    """What a gateway's answer tells: `payment` is the JSON of the SDK's Payment, as a call's row has it."""
    status = _STATUS[payment["status"]]
    decline = payment.get("decline")
    code = decline.get("code") if isinstance(decline, Mapping) else None
    url = payment.get("next_action_url") if status is ChargeStatus.REQUIRES_ACTION else None
    if url is not None and not str(url).startswith(("https://", "http://")):
        url = None  # it becomes a link of a page
    return Told(status, payment.get("id") or None, code, next_action_url=url)


def told_by_call(call: CallRow) -> Told | None:
    """What the call of a charge tells; None while it tells nothing: it is on its way, or waits for a person with surely
    nothing applied."""
    status = CallStatus(call.status)
    if status is CallStatus.SUCCEEDED and isinstance(call.answer, Mapping):
        return told_by(call.answer)
    if status is CallStatus.FAILED:
        # A person, or a payment run, found that nothing was charged.
        return Told(
            ChargeStatus.FAILED, code=call.error_code or NO_CODE, technical=call.first_sent_at is None
        )
    if status is CallStatus.UNKNOWN or (status is CallStatus.PARKED and call.first_sent_at is not None):
        return Told(ChargeStatus.UNKNOWN)
    if status is CallStatus.SKIPPED and call.first_sent_at is None:
        return Told(ChargeStatus.WITHDRAWN)
    if status is CallStatus.SKIPPED:
        # Of one in doubt a person says so that it was done, as its remedy asks for.
        return Told(ChargeStatus.SUCCEEDED if call.error_kind == "unknown" else ChargeStatus.UNKNOWN)
    return None


def void_key(charge: ChargeRow) -> str:
    """The key under which the charge is canceled at its gateway."""
    return f"{charge_key(charge.account_id, charge.no)}:void"


def call_of(connection: PgConnection, charge: ChargeRow) -> CallRow | None:
    """The call that asks the gateway for the charge."""
    key = charge_key(charge.account_id, charge.no)
    return find_call(connection, mode=charge.mode, to=charge.connection, method=CHARGE, key=key)


def outcome(
    connection: PgConnection,
    tariff: Tariff,
    charge_id: str,
    told: Told,
    now: datetime,
    *,
    workflow_id: str | None = None,
) -> Came:
    """Write down what the charge came to, in the caller's transaction; told again it changes nothing.

    Succeeded: a payment in the books, on the charge's invoices as the rules say; what is over becomes account credit.
    Failed: a failed payment, and the account collects; after a technical failure the next gateway of the route is
    charged instead, by the process `workflow_id`. Otherwise it stays open. Raises NoSuchCharge.
    """
    if told.status is ChargeStatus.FAILED and code_name(told.code or "") in UNRESOLVED:
        told = Told(ChargeStatus.UNKNOWN, told.gateway_id, look_at=told.look_at)
    charge = read_charge(connection, charge_id)
    if not _is_news(charge, told):
        return _unchanged(charge)
    if told.status is ChargeStatus.SUCCEEDED:
        return _succeeded(connection, tariff, charge, told, now)
    lock_payers(connection, [charge.account_id])
    charge = read_charge(connection, charge_id)
    if not _is_news(charge, told):
        return _unchanged(charge)
    if told.status is ChargeStatus.WITHDRAWN and charge.status == ChargeStatus.REQUIRES_ACTION:
        # Whoever canceled it, the customer has not done what the bank asked for.
        told = Told(ChargeStatus.FAILED, told.gateway_id, NOT_CONFIRMED)
    if told.status is ChargeStatus.FAILED:
        return _failed(connection, tariff, charge, told, now, workflow_id)
    if told.status is ChargeStatus.WITHDRAWN:
        _close(connection, charge, told, now)
        return Came(charge.id, ChargeStatus.WITHDRAWN, changed=True)
    return _still_open(connection, tariff, charge, told, now)


def _is_news(charge: ChargeRow, told: Told) -> bool:
    """Whether `told` says more than the charge's row. What has ended is changed by nothing but money; what is at the
    gateway is not made unknown again."""
    status = ChargeStatus(charge.status)
    if not status.open:
        return told.status is ChargeStatus.SUCCEEDED and status is not ChargeStatus.SUCCEEDED
    if told.status is ChargeStatus.INTENT:
        return False
    if told.status is ChargeStatus.UNKNOWN and status is not ChargeStatus.INTENT:
        return told.look_at is not None
    return True


def _unchanged(charge: ChargeRow) -> Came:
    return Came(charge.id, ChargeStatus(charge.status), changed=False, payment_id=charge.payment_id)


def _succeeded(connection: PgConnection, tariff: Tariff, seen: ChargeRow, told: Told, now: datetime) -> Came:
    with changing(connection, tariff, seen.account_id, now) as unit:
        # Under the account's lock, which everybody who writes a charge holds.
        charge = read_charge(connection, seen.id)
        if not _is_news(charge, told):
            return _unchanged(charge)
        places = {own: place for place, own in enumerate(unit.rows.invoice_ids)}
        invoices = [unit.account.invoices[places[own]] for own, _ in parts_of(connection, charge.id)]
        collecting.pay(unit.account, charge.amount, invoices)
        stop_if_paid(unit.account)
    payment_id = _payment(connection, charge, len(unit.account.receipts), told)
    _close(connection, charge, told, now, payment_id=payment_id)
    return Came(charge.id, ChargeStatus.SUCCEEDED, changed=True, payment_id=payment_id)


def _failed(
    connection: PgConnection,
    tariff: Tariff,
    charge: ChargeRow,
    told: Told,
    now: datetime,
    workflow_id: str | None,
) -> Came:
    elsewhere = _elsewhere(connection, tariff, charge, told)
    if elsewhere is not None:
        _close(connection, charge, told, now)
        [begun] = write(connection, [elsewhere], workflow_id)
        return Came(charge.id, ChargeStatus.FAILED, changed=True, elsewhere=begun)
    with changing(connection, tariff, charge.account_id, now) as unit:
        collecting.fail(unit.account, told.code or NO_CODE, charge.amount)
    payment_id = _payment(connection, charge, len(unit.account.receipts), told)
    _close(connection, charge, told, now, payment_id=payment_id)
    return Came(charge.id, ChargeStatus.FAILED, changed=True, payment_id=payment_id)


def goes_elsewhere(connection: PgConnection, tariff: Tariff, charge: ChargeRow, told: Told) -> bool:
    """Whether another gateway would be charged after `told`. The account has to be locked."""
    return _elsewhere(connection, tariff, charge, told) is not None


def _elsewhere(connection: PgConnection, tariff: Tariff, charge: ChargeRow, told: Told) -> NewCharge | None:
    """The charge of what is still open of `charge` at the next gateway of its route, if one may try it."""
    attempts = [
        Attempt(
            each.connection,
            PaymentStatus.FAILED,
            (told.code if each.id == charge.id else each.code) or "",
            told.technical if each.id == charge.id else each.technical,
        )
        for each in collection_of(connection, charge.collection_id)
    ]
    if not attempts[-1].not_charged:
        return None
    [payer] = lock_payers(connection, [charge.account_id])
    held = chargeable_methods(connection, [payer.id]).get(payer.id, [])
    rules = tariff.rules(payer.rule_book)
    choice = route_of(rules, charge.currency, held)
    step = next_gateway(choice, attempts)
    if not isinstance(step, ChargeAt):
        return None
    left = {each.id: each.open for each in open_invoices(connection, [payer.id]).get(payer.id, ())}
    parts = [
        (invoice, min(amount, left[invoice]))
        for invoice, amount in parts_of(connection, charge.id)
        if invoice in left
    ]
    if not parts:
        return None
    method = next(each for each in held if each.connection == step.gateway)
    return NewCharge(
        str(uuid7()),
        charge.mode,
        charge.account_id,
        last_numbers(connection, [payer.id])[payer.id] + 1,
        charge.collection_id,
        charge.run_id,
        charge.made_on,
        charge.currency,
        sum(amount for _, amount in parts),
        method.connection,
        method.method,
        method.customer,
        parts,
    )


def _still_open(
    connection: PgConnection, tariff: Tariff, charge: ChargeRow, told: Told, now: datetime
) -> Came:
    status = told.status
    if status is ChargeStatus.UNKNOWN and charge.status != ChargeStatus.INTENT:
        status = ChargeStatus(charge.status)
    look_at = told.look_at or charge.next_look_at
    if status is ChargeStatus.UNKNOWN and look_at is None:
        look_at = now + FIRST_LOOK
    elif status is ChargeStatus.PROCESSING and look_at is None:
        look_at = now + FIRST_LOOK_IN_FLIGHT
    acts = status is ChargeStatus.REQUIRES_ACTION
    url, act_until = None, charge.act_until
    if acts:
        act_until = act_until or _act_until(connection, tariff, charge, now)
        url = told.next_action_url or charge.next_action_url
        if url is None and charge.status != ChargeStatus.REQUIRES_ACTION:
            look_at = now  # a webhook tells of it without the address, which the gateway is asked for
        elif act_until > now:
            look_at = min(look_at or act_until, act_until)
    changes = {
        "status": status.value,
        "gateway_id": told.gateway_id or charge.gateway_id,
        "next_action_url": url,
        "act_until": act_until,
        "next_look_at": look_at,
        "sent_at": charge.sent_at or now,
    }
    changed = {name: value for name, value in changes.items() if getattr(charge, name) != value}
    if not changed:
        return _unchanged(charge)
    change_charge(connection, charge.id, changed)
    if "status" in changed:
        events = [NewEvent(f"charge.{status.value}", charge.account_id, charge.id, charge.no)]
        if status is ChargeStatus.REQUIRES_ACTION and not charge.present:
            events.append(NewEvent(ACTION_NEEDED, charge.account_id, charge.id, charge.no))
        append_events(connection, events)
    return Came(charge.id, status, changed=True)


def _act_until(connection: PgConnection, tariff: Tariff, charge: ChargeRow, now: datetime) -> datetime:
    """When a charge that waits for the customer since `now` is given up."""
    [payer] = lock_payers(connection, [charge.account_id])
    hours = tariff.rules(payer.rule_book).policy.dunning.retry.action_hours
    return now + timedelta(hours=hours)


def _close(
    connection: PgConnection,
    charge: ChargeRow,
    told: Told,
    now: datetime,
    *,
    payment_id: str | None = None,
) -> None:
    change_charge(
        connection,
        charge.id,
        {
            "status": told.status.value,
            "gateway_id": told.gateway_id or charge.gateway_id,
            "code": told.code if told.status is not ChargeStatus.SUCCEEDED else None,
            "technical": told.technical and told.status is ChargeStatus.FAILED,
            "next_action_url": None,
            "next_look_at": None,
            "payment_id": payment_id or charge.payment_id,
            "sent_at": charge.sent_at or now,
            "ended_at": now,
        },
    )
    close_parts(connection, [charge.id])
    if charge.act_until is not None:
        # Nobody cancels at the gateway what has ended: it may be paid.
        give_back_unsent(connection, charge.mode, charge.connection, VOID, void_key(charge))
    if payment_id is None:  # a payment has an event of its own
        append_events(
            connection, [NewEvent(f"charge.{told.status.value}", charge.account_id, charge.id, charge.no)]
        )


def _payment(connection: PgConnection, charge: ChargeRow, no: int, told: Told) -> str:
    """The id of the payment that was just written as the account's number `no`, with the gateway's id noted on it."""
    row = connection.execute(
        "update payment set gateway_id = %s where account_id = %s and no = %s returning id::text",
        (told.gateway_id or charge.gateway_id, charge.account_id, no),
    ).fetchone()
    if row is None:
        raise RuntimeError(f"payment {no} of account {charge.account_id} cannot be read")
    return str(row[0])
