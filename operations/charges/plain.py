"""Successes of plain accounts, set by set: what `outcome` writes for each of them, account by account, is written here
for all at once. Which accounts are plain says `storage.plain_payments`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from uuid_utils import uuid7

from domain.ledger_events import Event, entry
from operations.charges.outcome import Came, ChargeStatus, Told
from storage.database import PgConnection
from storage.plain_payments import PaymentRow, PlainCharge, plain_charges, write_plain_payments


def settle_plain(connection: PgConnection, told: Mapping[str, Told], now: datetime) -> list[Came]:
    """Write down those of the successes `told` (by charge) that are of plain accounts; the others are left to
    `outcome`. Their accounts have to be locked."""
    found = plain_charges(connection, list(told), now)
    first: dict[str, PlainCharge] = {}
    for charge in found:
        first.setdefault(charge.account_id, charge)
    payments = [_payment(charge, told[charge.charge_id]) for charge in first.values()]
    if not payments:
        return []
    write_plain_payments(connection, payments, now)
    return [
        Came(each.charge.charge_id, ChargeStatus.SUCCEEDED, changed=True, payment_id=each.id)
        for each in payments
    ]


def _payment(charge: PlainCharge, told: Told) -> PaymentRow:
    document = f"payment {charge.payment_no}"
    made = entry(
        Event.PAYMENT_SUCCEEDED,
        {"clearing": charge.amount, "receivable": charge.amount},
        document=document,
        document_date=charge.day,
        currency=charge.currency,
    )
    return PaymentRow(
        str(uuid7()),
        charge._replace(gateway_id=told.gateway_id or charge.gateway_id),
        str(uuid7()),
        document,
        made.event.value,
        [(posting.account, posting.debit, posting.credit) for posting in made.postings],
    )
