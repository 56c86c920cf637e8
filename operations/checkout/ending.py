"""The end of a checkout that does not complete."""

from __future__ import annotations

from datetime import datetime

from contracts.checkout import CheckoutStatus
from operations.checkout.books import finish
from operations.checkout.words import SHOWN_DECLINES, WORDS
from storage.checkouts import change_checkout, read_checkout
from storage.database import PgConnection


def end(
    connection: PgConnection,
    checkout_id: str,
    status: CheckoutStatus,
    kind: str,
    now: datetime,
    detail: str | None = None,
) -> None:
    """Write down how it ended and why, in the words that were written before, or those of `kind`. Of a `detail`, the
    bank's own code, only what helps whoever pays is added: others would tell a thief. A repetition changes nothing."""
    row = read_checkout(connection, checkout_id, lock=True)
    if CheckoutStatus(row.status).ended:
        return
    words = row.problem or WORDS.get(kind, "The checkout could not be completed.")
    why = SHOWN_DECLINES.get(detail or "")
    finish(connection, row, status, now, kind=kind, words=f"{words} {why}" if why else words)


def explain(connection: PgConnection, checkout_id: str, problem: str) -> None:
    """Keep in words what is wrong with what was asked for, for whoever asked."""
    row = read_checkout(connection, checkout_id, lock=True)
    if not CheckoutStatus(row.status).ended:
        change_checkout(connection, checkout_id, {"problem": problem})
