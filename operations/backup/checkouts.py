"""Payments of checkouts that a gateway has, after a restore.

A checkout that is open in the rows gets the answers that its calls had: its workflow, restored as well, does its steps
again, finds them done, and comes to the end that it had come to. Nothing is sent for what was answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg

from contracts.checkout import CheckoutStatus, GatewayStep
from operations.backup.found import MOVES_MONEY, Found, What, park_payment
from operations.calls.prepare import prepare_call
from operations.calls.sending import succeed
from operations.checkout.gateway import call_of_step, reference_of
from storage.checkouts import CheckoutRow, read_checkout
from storage.database import PgConnection

_PREFIX = reference_of("")
_REMEDY = "Give the money back or release it at the gateway, or sell it again. Then: masthead errors skip ID."


def checkout_of(reference: str) -> str | None:
    """The checkout that a payment's reference names."""
    return reference.removeprefix(_PREFIX) if reference.startswith(_PREFIX) else None


def open_references(connection: PgConnection, gateway: str) -> list[tuple[str, datetime]]:
    """The references of open checkouts that may have a payment at the gateway, each with the instant it began."""
    rows = connection.execute(
        "select id::text, created_at from checkout where ended_at is null and connection = %s and payment is not null"
        " order by created_at",
        (gateway,),
    )
    return [(reference_of(own), began) for own, began in rows]


def take_checkout(
    connection: PgConnection, gateway: str, mode: str, checkout_id: str, payment: Mapping[str, Any]
) -> Found:
    """Write what the gateway has of a checkout's payment, in the caller's transaction. A repetition changes nothing."""
    row = _row(connection, checkout_id)
    moves = payment["status"] in MOVES_MONEY
    if row is None:
        if not moves:
            return Found(What.NOTHING, payment)
        why = "its checkout was begun after the backup, and is not here"
        return park_payment(connection, gateway, mode, payment, why, _REMEDY)
    status = CheckoutStatus(row.status)
    if status is CheckoutStatus.COMPLETED:
        return Found(What.KNOWN, payment)
    if status.ended or row.payment is None:
        if not moves:
            return Found(What.KNOWN if status.ended else What.NOTHING, payment)
        why = f"its checkout ended as {row.status}"
        return park_payment(connection, gateway, mode, payment, why, _REMEDY)
    return _resume(connection, gateway, row, payment)


def _resume(connection: PgConnection, gateway: str, row: CheckoutRow, payment: Mapping[str, Any]) -> Found:
    # What was quoted after the backup is quoted again, to the amount that was then charged.
    seen = row._replace(
        connection=gateway,
        due=row.due if row.due is not None else payment["amount"],
        currency=row.currency or payment["currency"],
        gateway_id=payment["id"],
    )
    if row.payment["charge"] == "last":
        answers = {GatewayStep.CHARGE: payment}
    elif payment["status"] == "succeeded":
        # It was held before it was taken: to each step the answer that it had.
        held = {**payment, "status": "authorized", "captured": 0}
        answers = {GatewayStep.AUTHORISE: held, GatewayStep.CAPTURE: payment}
    else:
        answers = {GatewayStep.AUTHORISE: payment}
    for step, answer in answers.items():
        order = call_of_step(seen, step)
        if order is not None:
            succeed(connection, prepare_call(connection, order).ref.call_id, dict(answer))
    return Found(What.RESUMED, payment, f"checkout {row.id} goes on by it")


def _row(connection: PgConnection, checkout_id: str) -> CheckoutRow | None:
    try:
        with connection.transaction():
            return read_checkout(connection, checkout_id, lock=True)
    except (LookupError, psycopg.errors.InvalidTextRepresentation):
        return None
