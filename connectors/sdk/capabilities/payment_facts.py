"""What a gateway's webhooks tell of payments, in our words, and where a payment stands by all that was told.

Webhooks come late, twice and out of order: a fact says what happened, and the standing is the same in whatever order
the facts are taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import Field

from connectors.sdk.capabilities.payment import Decline, PaymentStatus
from connectors.sdk.config import Config
from connectors.sdk.values import Currency, Value

C = TypeVar("C", bound=Config)


class Happened(StrEnum):
    """What happened to a payment at the gateway."""

    CHARGE_PENDING = "charge_pending"  # in flight
    ACTION_PENDING = "action_pending"  # waiting for the customer
    CHARGE_FAILED = "charge_failed"
    CHARGED = (
        "charged"  # authorised, and taken where the order asked for that; of nothing: a card was verified
    )
    CAPTURED = "captured"
    CAPTURE_FAILED = "capture_failed"
    VOIDED = "voided"
    VOID_FAILED = "void_failed"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"  # announced; no money has moved
    DISPUTED = "disputed"  # the bank took the money back
    DISPUTE_WON = "dispute_won"  # it came back to us
    DISPUTE_LOST = "dispute_lost"


class PaymentFact(Value):
    """One thing that a gateway told. payment: the gateway's id of the payment. reference: our own, of the payment, or
    of the refund where one was told of. id: the gateway's id of the capture, refund or dispute; of the payment else.
    amount: minor units. decline: why, where something failed. fee: of a dispute,
    what the gateway keeps for it by then, minor units of `currency`."""

    happened: Happened
    payment: str
    reference: str
    id: str
    amount: int
    currency: Currency
    decline: Decline | None = None
    occurred_at: datetime | None = None
    fee: int = Field(default=0, ge=0)


class OtherAccount(ValueError):
    """A genuine webhook that is not about the connection's own account at the gateway. Says both accounts."""


class TellsOfPayments(ABC, Generic[C]):
    """A gateway whose webhooks can be read as facts: a further base of its connector."""

    @classmethod
    @abstractmethod
    def facts(cls, config: C, payload: Mapping[str, Any]) -> tuple[PaymentFact, ...]:
        """The facts in one verified delivery; none when it tells nothing of payments.

        Raises OtherAccount, and ValueError naming the field for a delivery that is not as its vendor documents it.
        """


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a payment stands. status: None while nothing was told of the charge itself. Amounts in minor units.

    disputed: what the bank took back and has not returned. decline: why it failed.
    """

    status: PaymentStatus | None
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    decline: Decline | None = None


# A later stage of a dispute stands above an earlier one, in whatever order they are told.
_STAGES = (Happened.DISPUTE_OPENED, Happened.DISPUTED, Happened.DISPUTE_WON, Happened.DISPUTE_LOST)


def standing(facts: Iterable[PaymentFact], *, captures_itself: bool = True) -> Standing:
    """Where one payment stands by `facts`, in any order and however often each was told.

    captures_itself: the charge was to be taken at once, not held. What has succeeded and then failed has failed: a
    gateway takes a capture or a refund before the bank does. A failure of the charge does not undo its success, for
    that was an attempt before.
    """
    told = tuple(facts)
    charged = _first(told, Happened.CHARGED)
    if charged is None:
        return _without_charge(told)
    failed_captures = _by_id(told, {Happened.CAPTURE_FAILED})
    captures = _by_id(told, {Happened.CAPTURED}, without=failed_captures)
    captured = sum(each.amount for each in captures.values())
    voided = _first(told, Happened.VOIDED)
    if captures_itself and voided is None:
        captured = max(charged.amount - sum(each.amount for each in failed_captures.values()), 0)
    refunds = _by_id(told, {Happened.REFUNDED}, without=_by_id(told, {Happened.REFUND_FAILED}))
    failed = min(failed_captures.values(), key=_order, default=None)
    if captured:
        status, decline = PaymentStatus.SUCCEEDED, None
    elif voided is not None:
        status, decline = PaymentStatus.CANCELED, None
    else:
        # Taken by itself and failed, it is over; held, it may be captured again.
        status = PaymentStatus.FAILED if captures_itself else PaymentStatus.AUTHORIZED
        decline = failed.decline if failed is not None else None
    return Standing(
        status, captured, sum(each.amount for each in refunds.values()), _taken_back(told), decline
    )


def _without_charge(told: Collection[PaymentFact]) -> Standing:
    if _first(told, Happened.VOIDED) is not None:
        return Standing(PaymentStatus.CANCELED)
    failed = _first(told, Happened.CHARGE_FAILED)
    if failed is not None:
        return Standing(PaymentStatus.FAILED, decline=failed.decline)
    if _first(told, Happened.CHARGE_PENDING) is not None:
        return Standing(PaymentStatus.PROCESSING)
    waits = _first(told, Happened.ACTION_PENDING)
    return Standing(None if waits is None else PaymentStatus.REQUIRES_ACTION)


def _order(fact: PaymentFact) -> tuple[str, str, int, str]:
    """An order that does not hang on the way in which facts came."""
    return fact.id, fact.happened, fact.amount, fact.model_dump_json()


def _first(told: Iterable[PaymentFact], happened: Happened) -> PaymentFact | None:
    return min((each for each in told if each.happened is happened), key=_order, default=None)


def _by_id(
    told: Iterable[PaymentFact], happened: Collection[Happened], without: Collection[str] = ()
) -> dict[str, PaymentFact]:
    """One fact for each id, those of `without` left out."""
    found: dict[str, PaymentFact] = {}
    for each in sorted(told, key=_order):
        if each.happened in happened and each.id not in without:
            found.setdefault(each.id, each)
    return found


def _taken_back(told: Collection[PaymentFact]) -> int:
    """What disputes took and did not return."""
    taken = 0
    for id, fact in _by_id(told, {Happened.DISPUTED, Happened.DISPUTE_LOST}).items():
        stages = {each.happened for each in told if each.id == id and each.happened in _STAGES}
        if max(stages, key=_STAGES.index) is not Happened.DISPUTE_WON:
            taken += fact.amount
    return taken
