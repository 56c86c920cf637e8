"""A checkout across process borders: ids, statuses and minor units. What was asked for, tokens of the gateway and what
is about a person lie in its rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from contracts.connector_call import CallRef

CHECKOUT_WORKFLOW = "Checkout"
CONFIRM = "confirm"


class CheckoutStatus(StrEnum):
    """How far a checkout has come. One of whose calls a person has to decide about is stuck; that is told by the
    parked work, and the status says where it is stuck."""

    QUOTING = "quoting"
    AUTHORISING = "authorising"
    REQUIRES_ACTION = "requires_action"  # the customer has to do something at next_action_url
    POSTING = "posting"
    CAPTURING = "capturing"  # the invoice is final; the money is being taken
    COMPLETED = "completed"
    DECLINED = "declined"  # by the bank
    REFUSED = "refused"  # by us or by the gateway: it cannot be sold like this
    EXPIRED = "expired"  # the customer, or the gateway, took too long
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self in _ENDED


_ENDED = frozenset(
    (
        CheckoutStatus.COMPLETED,
        CheckoutStatus.DECLINED,
        CheckoutStatus.REFUSED,
        CheckoutStatus.EXPIRED,
        CheckoutStatus.CANCELED,
    )
)


class CheckoutRef(BaseModel):
    """A checkout, at an instant of its business time."""

    checkout_id: str
    now: datetime


class Way(StrEnum):
    """How the money is taken."""

    AUTHORISE = "authorise"  # held, then captured once the invoice is final
    SET_UP = "set_up"  # nothing is due now: the method is made ready for later
    CHARGE_LAST = "charge_last"  # it cannot be held: charged once the invoice is final
    NONE = "none"  # nothing is due, and no method is given


class Standing(StrEnum):
    """What the gateway says of the payment (or the setup of a method)."""

    NOTHING = "nothing"  # it knows of none
    HELD = "held"
    TAKEN = "taken"
    READY = "ready"  # a method that is set up
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    DECLINED = "declined"
    GONE = "gone"  # canceled there


class Problem(BaseModel):
    """Why it does not go on: a stable kind. Its words are in the row."""

    kind: str


class Quoted(BaseModel):
    """A quote that is written down, or why there is none. amounts: minor units."""

    way: Way = Way.NONE
    connection: str = ""
    total: int = 0
    due: int = 0
    currency: str = ""
    problem: Problem | None = None


class Posted(BaseModel):
    """What the books have, or why they have nothing."""

    invoice_id: str | None = None
    problem: Problem | None = None


class GatewayStep(StrEnum):
    """A call of a checkout to the payment gateway."""

    AUTHORISE = "authorise"
    SET_UP = "set_up"
    CAPTURE = "capture"
    CHARGE = "charge"
    FIND = "find"
    FIND_SETUP = "find_setup"
    VOID = "void"
    REFUND = "refund"


class Paused(BaseModel):
    """Where a checkout waits whose history has become long: what a fresh run has to know to go on waiting.

    step: what is asked for. until: when the customer's time is over; None: the gateway has it, and tells how it ends.
    looks: how often it was asked for here; finds: how often the payment was looked up at all. given_up: nobody wants
    it any more; news: somebody has said that there is something to ask for.
    """

    quoted: Quoted
    step: GatewayStep
    until: datetime | None = None
    looks: int = 0
    finds: int = 0
    standing: Standing | None = None
    given_up: bool = False
    news: bool = False


class CheckoutInput(BaseModel):
    """Which checkout. action_within: how long the customer may take over an action. authorise_within: how long the
    gateway may take before the customer is told to come again. looks: how long after the customer was sent away the
    gateway is asked without news; the last pause holds for all that follow. paused: where a run before this one has
    left off."""

    checkout_id: str
    account_id: str
    action_within: timedelta = timedelta(minutes=30)
    authorise_within: timedelta = timedelta(minutes=10)
    looks: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=5))
    paused: Paused | None = None


class Noted(BaseModel):
    """Where the payment stands. decline: the gateway's code."""

    standing: Standing
    decline: str | None = None


class StepOrder(BaseModel):
    """Write down the intent of a call. number: of those of its kind in this checkout, from 1."""

    checkout_id: str
    step: GatewayStep
    number: int = 1


class StepMade(BaseModel):
    """The call; None where there is nothing to call about. refusable: a refusal is an answer, no work for a person.
    told: how the payment stands at a gateway that cannot be asked."""

    call: CallRef | None = None
    refusable: bool = False
    told: Noted | None = None


class TakeNote(BaseModel):
    """Write down what a call came to."""

    checkout_id: str
    step: GatewayStep
    call_id: str


class Withdraw(BaseModel):
    """Give a call up, if surely nothing was applied. found: the gateway has told by a look-up what became of it, so
    that nobody has to decide about it any more."""

    call_id: str
    found: bool = False


class Fulfilled(BaseModel):
    """What follows a sale: the calls that were written down for it, and how many licences and parcels wait for a
    connection."""

    calls: list[CallRef] = []
    unconnected: int = 0


class Ending(BaseModel):
    """How a checkout ends that does not complete. kind: the problem's; decline: the gateway's code."""

    checkout_id: str
    status: CheckoutStatus
    kind: str
    now: datetime
    decline: str | None = None


class CheckoutResult(BaseModel):
    """How it ended."""

    checkout_id: str
    status: CheckoutStatus
    kind: str | None = None
