"""What the calls of charges came to, in the books: many at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from contracts.connector_call import CallStatus
from operations.charges.cards import learn_cards
from operations.charges.outcome import (
    Came,
    ChargeStatus,
    Told,
    goes_elsewhere,
    outcome,
    told_by_call,
)
from operations.charges.plain import settle_plain
from operations.tariffs import Tariff
from storage.calls import change_call, read_call
from storage.charge_calls import read_calls
from storage.charges import lock_payers, read_charge, read_charges
from storage.database import PgConnection
from storage.parked import resolve_parks_of_call

Settled = Came


def lock_payers_of(connection: PgConnection, charges: Collection[str]) -> None:
    """Lock the accounts of `charges`. Whoever writes down calls of charges locks these first, as those do who are told
    by webhook, or each may wait for the other."""
    lock_payers(connection, sorted({charge.account_id for charge in read_charges(connection, list(charges))}))


def settle(
    connection: PgConnection,
    tariff: Tariff,
    calls: Mapping[str, str],
    now: datetime,
    *,
    plainly: bool = True,
) -> list[Settled]:
    """Write down what `calls` (by the ids of their charges) tell, in the order of their accounts, which stay locked
    until the transaction ends; those that tell nothing yet are left out. plainly: plain accounts all at once, which
    writes the same."""
    charges = read_charges(connection, list(calls))
    rows = read_calls(connection, list(calls.values()))
    lock_payers(connection, sorted({charge.account_id for charge in charges}))
    learn_cards(connection, [(charge, rows[calls[charge.id]].answer) for charge in charges])
    told = {}
    for charge in sorted(charges, key=lambda each: (each.account_id, each.no)):
        found = told_by_call(rows[calls[charge.id]])
        if found is not None:
            told[charge.id] = found
    succeeded = {own: each for own, each in told.items() if each.status is ChargeStatus.SUCCEEDED}
    done = settle_plain(connection, succeeded, now) if plainly and succeeded else []
    plain = {each.charge_id for each in done}
    return done + [
        outcome(connection, tariff, own, each, now) for own, each in told.items() if own not in plain
    ]


def settle_unsent(
    connection: PgConnection, tariff: Tariff, charge_id: str, call_id: str, now: datetime
) -> Settled | None:
    """Give up the charge at its gateway, which surely has not charged, for the next one of its route; None, and nothing
    is changed, where there is no other, or the call may have been applied."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    call = read_call(connection, call_id, lock=True)
    if call.first_sent_at is not None or call.status not in (CallStatus.INTENT, CallStatus.PARKED):
        return None
    told = Told(ChargeStatus.FAILED, code=call.error_code or call.error_kind or "not_sent", technical=True)
    charge = read_charge(connection, charge_id)
    if not ChargeStatus(charge.status).open or not goes_elsewhere(connection, tariff, charge, told):
        return None
    change_call(connection, call.id, {"status": CallStatus.FAILED.value, "ended_at": call.now})
    resolve_parks_of_call(connection, call.id, "elsewhere")
    return outcome(connection, tariff, charge_id, told, now)
