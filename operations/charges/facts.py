"""What a gateway's webhooks come to for charges. A webhook says what happened; a charge is judged by all that was told
of its payment, so that duplicate, late, reversed and replayed deliveries end in one state, whatever their order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from uuid_utils import uuid7

from domain.account.returning import take_back_charge
from domain.amendments import Refused
from operations.accounts.unit import changing
from operations.charges.looks import settle_call
from operations.charges.outcome import ChargeStatus, Told, outcome
from operations.tariffs import Tariff
from storage.charges import (
    ChargeRow,
    change_charge,
    charge_at_gateway,
    charge_of_key,
    find_charge,
    lock_payers,
    read_charge,
)
from storage.database import PgConnection
from storage.events import NewEvent, append_events

PARKED = "payment"  # the kind of parked work
RETURNED = "generic_decline"  # why a payment came back, where the gateway does not say


@dataclass(frozen=True, slots=True)
class AtGateway:
    """Where a payment stands at its gateway by all that was told. `charged`: what it took, minor units. `status` None:
    nothing was told of the charge itself. What becomes of it later, refunds and disputes, is told elsewhere."""

    payment: str
    status: ChargeStatus | None
    charged: int = 0
    code: str | None = None


def charge_of(
    connection: PgConnection, mode: str, gateway: str, payment: str, references: Collection[str]
) -> ChargeRow | None:
    """The charge that a payment at `gateway` is of, by the gateway's id or by our reference; None for what is no
    charge of ours there, as a checkout's."""
    found = charge_at_gateway(connection, gateway, payment)
    for reference in sorted(references):
        if found is None and (key := charge_of_key(reference)) is not None:
            found = find_charge(connection, *key)
    return found if found is not None and (found.connection, found.mode) == (gateway, mode) else None


def apply_standing(
    connection: PgConnection, tariff: Tariff, charge: ChargeRow, standing: AtGateway, now: datetime
) -> str:
    """Write down what the charge's payment has come to, in the caller's transaction, which holds the lock of the
    payment's facts. Answers what was done, in a word. What only a person can settle is parked, never dropped."""
    lock_payers(connection, [charge.account_id])
    charge = read_charge(connection, charge.id)
    status = standing.status
    if status is None:
        return "fact"
    if status is ChargeStatus.SUCCEEDED:
        if charge.status == status and charge.gateway_id not in (None, standing.payment):
            _park(connection, charge, standing, "charged_twice", _TWICE.format(first=charge.gateway_id))
            return "parked"
        if standing.charged != charge.amount:
            words = _OTHER_AMOUNT.format(charged=standing.charged, amount=charge.amount)
            _park(connection, charge, standing, "other_amount", words)
            return "parked"
    elif charge.status == ChargeStatus.SUCCEEDED:
        if charge.gateway_id not in (None, standing.payment) or status.open:
            return "late"  # of an attempt before, or from before the money came
        return _taken_back(connection, tariff, charge, standing, now)
    came = outcome(connection, tariff, charge.id, Told(status, standing.payment, standing.code), now)
    if not status.open:
        settle_call(connection, charge, standing.payment, status.value)
    return status.value if came.changed else "known"


def _taken_back(
    connection: PgConnection, tariff: Tariff, charge: ChargeRow, standing: AtGateway, now: datetime
) -> str:
    """The charge had succeeded, and has come to nothing after all."""
    status = standing.status or ChargeStatus.FAILED
    failed = status is ChargeStatus.FAILED
    try:
        with changing(connection, tariff, charge.account_id, now) as unit:
            place = unit.rows.payment_ids.index(str(charge.payment_id))
            take_back_charge(unit.account, place + 1, (standing.code or RETURNED) if failed else None)
    except Refused as error:
        _park(connection, charge, standing, "returned", f"the bank took the payment back, and {error}")
        return "parked"
    code = standing.code if failed else None
    change_charge(connection, charge.id, {"status": status.value, "code": code})
    append_events(connection, [NewEvent(f"charge.{status.value}", charge.account_id, charge.id, charge.no)])
    return "returned"


_TWICE = (
    "the gateway charged a second time for what the payment {first} had paid: refund the second one there"
)
_OTHER_AMOUNT = "the gateway took {charged} minor units, and the charge was of {amount}: look at it there"


def _park(connection: PgConnection, charge: ChargeRow, standing: AtGateway, kind: str, message: str) -> None:
    connection.execute(
        """
        insert into parked (id, mode, kind, trace_key, account_id, error_kind, message, remedy, connection)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (mode, kind, trace_key) where resolved_at is null do update
        set times = parked.times + 1, last_seen_at = now(), error_kind = excluded.error_kind,
            message = excluded.message
        """,
        (
            str(uuid7()),
            charge.mode,
            PARKED,
            f"{charge.connection}/{standing.payment}/{kind}",
            charge.account_id,
            kind,
            message,
            "see the payment at the gateway by its id, settle it there and in the books, then skip this",
            charge.connection,
        ),
    )
