"""Money that came in beside the gateways, a cheque or a transfer: recorded once for each reference."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain.account import commands as verbs
from operations.accounts.commands import CommandRefused, Outcome, accepted, carry_out, remembered
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.manual_payments import (
    charged_meanwhile,
    insert_manual_payment,
    manual_payment_of,
    note_returned,
    payment_of_command,
)
from storage.refunds import latest_payment, origin_of


class ReferenceUsed(ValueError):
    """The account has another payment under that reference; the message says which."""


class Received(NamedTuple):
    """A payment that was recorded: what the command came to, its id, and what is to be looked at."""

    outcome: Outcome
    payment_id: str
    warnings: list[str]


def receive(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str,
    command_id: str,
    step: verbs.Pay,
    invoices: list[str],
    now: datetime,
) -> Received:
    """Record the money of `step`, once for each command and for each reference. `invoices` are the ids of those that it
    is for; none: all open ones. Raises CommandRefused, and ReferenceUsed for a reference that another payment has."""
    connection.execute("select from account where id = %s for update", (account_id,))
    if step.reference is not None:
        known = manual_payment_of(connection, account_id, step.reference)
        if known is not None:
            outcome = remembered(connection, account_id, known.command_id, step)
            if outcome is None:
                raise ReferenceUsed(
                    f"payment {known.payment_no} of the account has the reference {step.reference!r}, with other "
                    "content: another payment needs a reference of its own"
                )
            return Received(outcome, known.payment_id, [])
    warnings = [
        f"invoice {number} is being charged at {gateway} at this moment: what comes in twice becomes account credit"
        for number, gateway in charged_meanwhile(connection, account_id, invoices)
    ]
    outcome = accepted(carry_out(connection, tariff, account_id, command_id, step, now))
    payment_id = payment_of_command(connection, account_id, command_id)
    if payment_id is None:
        payment_id = latest_payment(connection, account_id)
        received_on = step.received_on or now.date()
        insert_manual_payment(connection, payment_id, account_id, step.reference, received_on, command_id)
    return Received(outcome, payment_id, warnings)


def give_back(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str,
    payment_no: int,
    command_id: str,
    reason: str,
    now: datetime,
) -> Outcome:
    """The bank took back a payment that came in by hand: what it settled is open again. Raises CommandRefused, for one
    that came through a gateway, too: that tells itself."""
    origin = origin_of(connection, account_id, payment_no)
    if origin.connection is not None:
        raise CommandRefused(
            f"payment {payment_no} came through {origin.connection}, which tells by itself when it takes one back"
        )
    step = verbs.ReturnPayment(at=now, do="return_payment", payment=payment_no, reason=reason)
    outcome = accepted(carry_out(connection, tariff, account_id, command_id, step, now))
    note_returned(connection, origin.payment_id, now.date())
    return outcome
