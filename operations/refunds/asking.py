"""A refund that somebody asks for: limit, credit notes, promise and outcome in one transaction."""

from __future__ import annotations

from datetime import datetime

from domain.account import commands as verbs
from operations.accounts.commands import accepted, carry_out
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.refunds import RefundRow, refund_of_command


def refund_payment(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str,
    payment_no: int,
    command_id: str,
    *,
    amount: str | None,
    reason: str,
    now: datetime,
) -> RefundRow:
    """Promise `amount` (major units; None: all that remains) of the account's payment back, once for each `command_id`:
    the same again answers the same refund as it stands now. Raises CommandRefused, for more than was paid for one, and
    CommandReused."""
    step = verbs.Refund(at=now, do="refund", amount=amount, payment=payment_no, reason=reason)
    accepted(carry_out(connection, tariff, account_id, command_id, step, now))
    row = refund_of_command(connection, account_id, command_id)
    if row is None:
        raise LookupError(f"command {command_id} refunded payment {payment_no} before refunds were rows")
    return row
