"""What a gateway says of a payment, after a restore, and what that means for the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.database import PgConnection
from storage.parked import Park, park

# The kind of parked work.
RESTORED = "restored"
# A payment in one of these has taken money, or may take it.
MOVES_MONEY = frozenset({"succeeded", "authorized", "processing", "requires_action"})


class What(StrEnum):
    """What became of a payment that the gateway has."""

    KNOWN = "known"  # the rows have it
    RECORDED = "recorded"  # its outcome was written: a payment, or a failure
    RESUMED = "resumed"  # the answer of an open checkout's calls, which goes on by it
    PARKED = "parked"  # money that belongs to nothing here: a person decides
    NOTHING = "nothing"  # no money moved, and nothing waits for it
    FOREIGN = "foreign"  # made there by others: it has no reference of ours


@dataclass(frozen=True, slots=True)
class Found:
    """A payment at a gateway. payment: the JSON of the SDK's Payment. words: for an operator, nothing personal."""

    what: What
    payment: Mapping[str, Any]
    words: str = ""


def park_payment(
    connection: PgConnection, gateway: str, mode: str, payment: Mapping[str, Any], why: str, remedy: str
) -> Found:
    """Park a payment that belongs to nothing in the rows, with its amount and reference."""
    amount = f"{payment['amount']} minor units of {payment['currency']}"
    message = (
        f"{gateway} has a payment {payment['id']} of {amount}, {payment['status']}, with the reference "
        f"{payment['reference']}: {why}"
    )
    park(
        connection,
        Park(
            kind=RESTORED,
            trace_key=f"{gateway}/{payment['id']}",
            error_kind="unknown_payment",
            message=message,
            remedy=remedy,
            mode=mode,
            connection=gateway,
            payload={
                name: payment.get(name)
                for name in ("id", "reference", "status", "amount", "currency", "captured", "refunded")
            },
        ),
    )
    return Found(What.PARKED, payment, message)
