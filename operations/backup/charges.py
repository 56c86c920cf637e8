"""Charges that a gateway has, after a restore: their outcomes are written, and those that the rows never had are found
a place again, under the number that they had, so that no later charge is taken for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from uuid_utils import uuid7

from domain.periods import local_date
from operations.backup.found import MOVES_MONEY, Found, What, park_payment
from operations.calls.sending import succeed
from operations.charges.begin import write
from operations.charges.outcome import call_of, outcome, told_by
from operations.tariffs import Tariff
from storage.charges import (
    ChargeRow,
    NewCharge,
    OpenInvoice,
    Payer,
    charge_key,
    find_charge,
    lock_payers,
    open_invoices,
    read_charge,
)
from storage.database import PgConnection

_REMEDY = (
    "Find out what it was for; give it back at the gateway, or record it. Then: masthead errors skip ID."
)


def open_references(connection: PgConnection, gateway: str) -> list[tuple[str, datetime]]:
    """The references of charges whose end the rows do not know, each with the instant it was written."""
    rows = connection.execute(
        "select account_id::text, no, created_at from charge where ended_at is null and connection = %s order by id",
        (gateway,),
    )
    return [(charge_key(account_id, no), began) for account_id, no, began in rows]


def take_charge(
    connection: PgConnection,
    tariff: Tariff,
    gateway: str,
    mode: str,
    key: tuple[str, int],
    payment: Mapping[str, Any],
    now: datetime,
) -> Found:
    """Write what the gateway has of an account's charge, in the caller's transaction. A repetition changes nothing."""
    account_id, no = key
    payer = _payer(connection, account_id)
    if payer is None:
        if payment["status"] not in MOVES_MONEY:
            return Found(What.NOTHING, payment)
        return park_payment(
            connection,
            gateway,
            mode,
            payment,
            "its account was made after the backup, and is not here",
            _REMEDY,
        )
    charge = find_charge(connection, account_id, no)
    if charge is not None and (charge.amount, charge.currency) != (payment["amount"], payment["currency"]):
        why = f"the charge of that number is of {charge.amount} minor units of {charge.currency} here"
        return park_payment(connection, gateway, mode, payment, why, _REMEDY)
    lost = charge is None
    if charge is None:
        charge = _written_again(connection, gateway, payer, no, payment, now)
    call = call_of(connection, charge)
    if call is not None:
        succeed(connection, call.id, dict(payment))
    came = outcome(connection, tariff, charge.id, told_by(payment), now)
    if not (came.changed or lost):
        return Found(What.KNOWN, payment)
    words = f"charge {no} of account {account_id}, {came.status}"
    return Found(What.RECORDED, payment, words)


def _payer(connection: PgConnection, account_id: str) -> Payer | None:
    try:
        with connection.transaction():
            return next(iter(lock_payers(connection, [account_id])), None)
    except psycopg.errors.InvalidTextRepresentation:
        return None


def _written_again(
    connection: PgConnection, gateway: str, payer: Payer, no: int, payment: Mapping[str, Any], now: datetime
) -> ChargeRow:
    """The charge `no` of the account, as it must have been: for the oldest open invoices, as far as it reaches. What it
    was for beyond them was billed after the backup; that much becomes account credit, which the new bill uses."""
    own = str(uuid7())
    day = local_date(payer.clock_at or now, ZoneInfo(payer.time_zone))
    free = [each for each in open_invoices(connection, [payer.id]).get(payer.id, ()) if not each.charging]
    charge = NewCharge(
        own,
        payer.mode,
        payer.id,
        no,
        own,
        None,
        day,
        payment["currency"],
        payment["amount"],
        gateway,
        payment.get("method") or "unknown",
        None,
        _parts(free, payment["amount"]),
    )
    write(connection, [charge], None)
    return read_charge(connection, own)


def _parts(invoices: list[OpenInvoice], amount: int) -> list[tuple[str, int]]:
    """Which invoices the amount was for: those that it pays whole, else the oldest due first."""
    for each in invoices:
        if each.open == amount:
            return [(each.id, amount)]
    parts = []
    for each in invoices:
        if amount > 0:
            parts.append((each.id, min(each.open, amount)))
            amount -= parts[-1][1]
    return parts
