"""What the gateway has told of the card that a checkout was paid by, or that was set up by it."""

from __future__ import annotations

from datetime import date

from operations.charges.cards import card_of
from operations.checkout.told_standing import COMPLETE, completion_key
from storage.checkouts import CheckoutRow
from storage.database import PgConnection

_METHODS = [COMPLETE, "payment.charge", "payment.find", "payment_methods.set_up", "payment_setups.find_setup"]
_STEPS = ("authorise", "charge", "set_up", "find", "find_setup")
_TIMES = 9


def card_told(
    connection: PgConnection, row: CheckoutRow
) -> tuple[str | None, str | None, date | None] | None:
    """(brand, last four digits, first day of no use) by the last answer that tells of the card; None without one."""
    keys = [f"checkout:{row.id}:{step}" for step in _STEPS]
    keys += [f"{key}:{number}" for key in keys for number in range(1, _TIMES + 1)]
    found = connection.execute(
        "select answer from connector_call where mode = %s and connection = %s and method = any(%s) and key = any(%s)"
        " and jsonb_typeof(answer->'card') = 'object' order by id desc limit 1",
        (row.mode, row.connection, _METHODS, [*keys, completion_key(row) or ""]),
    ).fetchone()
    return card_of(found[0]) if found else None
