"""What a gateway's webhooks tell of refunds and disputes, applied: late, repeated and out of order, it comes to the
same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from contracts.connector_call import CALL_CHANGED
from contracts.names import refund_id as workflow_id
from contracts.refund import TOLD, RefundStatus
from domain.account.disputing import Stage
from operations.calls.prepare import ref_of
from operations.refunds.disputes import tell_dispute
from operations.refunds.promising import REFUND
from operations.refunds.settling import Told, settle
from operations.tariffs import Tariff
from operations.webhooks_in.handlers import Signal
from storage.calls import read_call
from storage.database import PgConnection
from storage.parked import Park, park
from storage.refunds import RefundRow, payment_at, refund_at, refund_by_key

DISPUTES = {
    "dispute_opened": Stage.ANNOUNCED,
    "disputed": Stage.TAKEN,
    "dispute_won": Stage.WON,
    "dispute_lost": Stage.LOST,
}
REFUNDS = {"refunded": RefundStatus.SUCCEEDED, "refund_failed": RefundStatus.FAILED}
ELSEWHERE = (
    "Somebody refunded it at the gateway itself. Write the credit note here and correct the ledger by hand, or ask who "
    "did it; refunds are made with masthead refund, so that books and tax follow. Then: masthead errors skip ID."
)


class Fact(Protocol):
    """One thing that a gateway told, as connectors read it."""

    @property
    def happened(self) -> str: ...
    @property
    def payment(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def decline(self) -> Any: ...
    @property
    def fee(self) -> int: ...


def apply_facts(
    connection: PgConnection,
    tariff: Tariff,
    connection_name: str,
    facts: Iterable[Fact],
    now: datetime,
    *,
    mode: str = "live",
) -> list[Signal]:
    """Apply those of `facts` that are about refunds and disputes, in the caller's transaction; who is to be told after
    it. Facts of anything else are passed over."""
    signals: list[Signal] = []
    for fact in facts:
        if fact.happened in REFUNDS:
            row = _refund(connection, tariff, connection_name, fact, now, mode)
            signals += [] if row is None else _signals(connection, row)
        elif fact.happened in DISPUTES:
            tell_dispute(
                connection,
                tariff,
                mode=mode,
                gateway=connection_name,
                gateway_id=fact.id,
                gateway_payment=fact.payment,
                reference=fact.reference,
                currency=fact.currency,
                amount=fact.amount,
                stage=DISPUTES[fact.happened],
                fee=fact.fee,
                now=now,
            )
    return signals


def _signals(connection: PgConnection, row: RefundRow) -> list[Signal]:
    """Its process looks at the row, and at its call where that is in doubt."""
    own = workflow_id(row.id)
    call = (
        ()
        if row.call_id is None
        else (Signal(own, CALL_CHANGED, ref_of(read_call(connection, row.call_id))),)
    )
    return [*call, Signal(own, TOLD)]


def _refund(
    connection: PgConnection, tariff: Tariff, gateway: str, fact: Fact, now: datetime, mode: str
) -> RefundRow | None:
    row = refund_by_key(connection, mode, fact.reference) or refund_at(connection, mode, gateway, fact.id)
    if row is None or row.connection != gateway:
        _made_elsewhere(connection, gateway, fact, mode)
        return None
    decline = fact.decline
    code = None if decline is None else str(decline.code)
    told = Told(REFUNDS[fact.happened], gateway_id=fact.id, code=code)
    return settle(connection, tariff, row.id, told, now)


def _made_elsewhere(connection: PgConnection, gateway: str, fact: Fact, mode: str) -> None:
    """A refund that was not asked for here, of a payment that is ours: a person looks at it."""
    known = payment_at(connection, mode, gateway, fact.payment)
    if known is None or fact.happened != "refunded":
        return
    park(
        connection,
        Park(
            kind=REFUND,
            trace_key=f"{gateway}/{fact.id}",
            error_kind="made_elsewhere",
            message=f"{gateway} has refunded {fact.amount} minor units of {fact.currency} of payment {known[2]}, and "
            "nobody asked for it here",
            remedy=ELSEWHERE,
            mode=mode,
            account_id=known[1],
            connection=gateway,
        ),
    )
