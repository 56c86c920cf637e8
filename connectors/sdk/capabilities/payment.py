"""Charging, capturing, refunding and voiding at a payment gateway."""

from __future__ import annotations

from abc import abstractmethod
from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Currency, Value


class PaymentStatus(StrEnum):
    """Where a payment stands at the gateway."""

    SUCCEEDED = "succeeded"
    AUTHORIZED = "authorized"  # held, not yet captured
    REQUIRES_ACTION = "requires_action"  # the customer must do something at next_action_url
    PROCESSING = "processing"  # in flight: neither paid nor failed nor released; a webhook tells how it ends
    FAILED = "failed"
    CANCELED = "canceled"


class ChargeOrder(Value):
    """What to charge. amount: minor units. reference: our own id of the payment, by which it is found again.

    customer, method: the gateway's tokens. capture: False only holds the amount. off_session: the customer is not
    there. return_url: where the customer comes back to after an action.
    """

    reference: str = Field(min_length=1, max_length=100)
    amount: int = Field(gt=0)
    currency: Currency
    method: str
    customer: str | None = None
    capture: bool = True
    off_session: bool = True
    description: str = ""
    return_url: str | None = None


class Decline(Value):
    """Why the gateway or the bank said no. code: the gateway's own."""

    code: str
    message: str = ""


class CardDetails(Value):
    """What a gateway tells of a card, which is enough to speak of it and to know when it ends; never its number."""

    brand: str | None = Field(default=None, max_length=40)
    last4: str | None = Field(default=None, pattern=r"^[0-9]{4}$")
    exp_month: int | None = Field(default=None, ge=1, le=12)
    exp_year: int | None = Field(default=None, ge=2000, le=2999)

    @property
    def expires_on(self) -> date | None:
        """The first day on which it is of no use any more; None where that is not told."""
        if self.exp_month is None or self.exp_year is None:
            return None
        return date(self.exp_year + self.exp_month // 12, self.exp_month % 12 + 1, 1)


class Payment(Value):
    """A payment as the gateway has it. All amounts in minor units; captured ≤ amount, refunded ≤ captured. card: what
    it tells of the card that was used."""

    id: str
    reference: str
    status: PaymentStatus
    amount: int
    currency: Currency
    captured: int = 0
    refunded: int = 0
    decline: Decline | None = None
    next_action_url: str | None = None
    method: str | None = None
    card: CardDetails | None = None


class CaptureOrder(Value):
    """Take what was held. amount: None for all of it, else minor units up to what was authorised.

    known: the payment as it was last answered, for gateways that cannot be asked what they hold.
    """

    payment: str
    amount: int | None = Field(default=None, gt=0)
    known: Payment | None = None


class VoidOrder(Value):
    """Release what was held, or what waits for the customer. known: the payment as it was last answered, as in
    CaptureOrder. payment: empty where the gateway names none yet; it is then found by the reference in `known`."""

    payment: str
    known: Payment | None = None


class RefundOrder(Value):
    """Give back `amount` minor units of a payment. reference: our own id of the refund."""

    reference: str = Field(min_length=1, max_length=100)
    payment: str
    amount: int = Field(gt=0)
    currency: Currency
    reason: str = ""


class RefundStatus(StrEnum):
    """Where a refund stands."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    FAILED = "failed"


class Refund(Value):
    """A refund as the gateway has it; failed with a decline when it refused."""

    id: str
    reference: str
    payment: str
    status: RefundStatus
    amount: int
    currency: Currency
    decline: Decline | None = None


class PaymentGateway(Capability):
    """Money in and back. A refused card is a Payment with status failed, not an exception."""

    capability = "payment"

    @abstractmethod
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        """Charge, or hold when `capture` is False."""

    @abstractmethod
    async def capture(self, order: CaptureOrder, key: Key) -> Payment:
        """Take what was held."""

    @abstractmethod
    async def void(self, order: VoidOrder, key: Key) -> Payment:
        """Release what was held; a payment already canceled is answered as it is."""

    @abstractmethod
    async def refund(self, order: RefundOrder, key: Key) -> Refund:
        """Give back; more than is left of the payment is Rejected."""

    @abstractmethod
    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        """The payment with our reference, by a strongly consistent look-up; None when there is none.

        since: when it was first sent, where that is known: it bounds the look-up. A gateway without such a look-up
        names `find` in its `cannot_answer` and raises Broken.
        """


class SetupOrder(Value):
    """Make a payment method ready for charges without the customer."""

    reference: str = Field(min_length=1, max_length=100)
    method: str
    customer: str | None = None
    return_url: str | None = None


class Setup(Value):
    """The outcome: succeeded, requires_action with a URL, or failed with a decline. card: as in Payment."""

    id: str
    reference: str
    status: PaymentStatus
    method: str | None = None
    decline: Decline | None = None
    next_action_url: str | None = None
    card: CardDetails | None = None


class PaymentMethods(Capability):
    """Keeping payment methods for later charges, as a trial needs."""

    capability = "payment_methods"

    @abstractmethod
    async def set_up(self, order: SetupOrder, key: Key) -> Setup:
        """Make the method ready for charges without the customer."""


class PaymentSetups(Capability):
    """Asking how a setup went that the customer had to do something for."""

    capability = "payment_setups"

    @abstractmethod
    async def find_setup(self, setup: str) -> Setup | None:
        """The setup with the gateway's id, None when there is none."""


class ActionResult(Value):
    """What the customer brought back from `next_action_url`. result: the gateway's own token of how it went there.

    known: the payment as it was answered when the action was asked for. capture: as in the charge's order.
    """

    result: str = Field(min_length=1)
    known: Payment
    capture: bool = True


class PaymentActions(Capability):
    """Going on after the customer did what `next_action_url` asked for, where the gateway waits to be told."""

    capability = "payment_actions"

    @abstractmethod
    async def complete(self, order: ActionResult, key: Key) -> Payment:
        """Hand in what the customer brought back; the payment then succeeds, is in flight or fails."""
