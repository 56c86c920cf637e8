"""What can be asked of an account, the verbs of a scenario: one model each, with its own fields.

Amounts are in major units as text (12.00), as in a catalog; days are local days of the account."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from domain.catalog import AmountText, Code
from domain.policy import Behaviour


def _moment(value: Any) -> Any:
    """A day stays a day; with a time it is an instant, local to the account when it has no offset."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{value!r} is neither a date (2026-12-01) nor an instant (2026-12-01T14:30)"
            ) from None
    return value


def _zone_exists(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is no time zone; write it like Europe/Berlin") from None
    return name


ZoneName = Annotated[str, AfterValidator(_zone_exists)]
At = Annotated[date | datetime, BeforeValidator(_moment)]
VERB = Field(description="the verb: what happens")
REASON = "as it stands on the document, for the customer"
SUBSCRIPTION = Field("main", description="the name of the subscription, as its `subscribe` step gave it")


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    at: At = Field(
        description="the local day, or an instant (2026-03-14T09:30, local unless it has an offset)"
    )


class Subscribe(_Step):
    """A new subscription. Its first charge is on the next `bill`."""

    do: Literal["subscribe"] = VERB
    plan: Code = Field(description="a plan of the catalog")
    name: str = Field("main", min_length=1, description="what later steps call it by")
    version: int | None = Field(None, gt=0, description="of the plan; default: the one sold on that day")
    quantity: Decimal = Field(Decimal(1), gt=0, description="of per-unit and tiered prices: seats, copies")
    price_override: AmountText | None = Field(None, description="instead of the plan's first recurring price")
    add_ons: tuple[Code, ...] = Field((), description="plans billed together with it, at the same interval")
    ends_on: date | None = Field(None, description="the day (exclusive) on which it ends by itself")
    coupons: tuple[str, ...] = Field((), description="codes of the scenario's coupons, applied in this order")


class ChangePlan(_Step):
    """Another plan (or version) for an item of a subscription."""

    do: Literal["change_plan"] = VERB
    to: Code = Field(description="the plan to change to")
    subscription: str = SUBSCRIPTION
    item: Code | None = Field(
        None, description="the plan that is replaced, where there are several; default: the first"
    )
    version: int | None = Field(None, gt=0, description="of the plan; default: the one sold on that day")
    price_override: AmountText | None = Field(None, description="instead of the plan's first recurring price")
    behaviour: Behaviour | None = Field(None, description="instead of the policy's, for this change")


class ChangeQuantity(_Step):
    """Another quantity (seats) of an item."""

    do: Literal["change_quantity"] = VERB
    quantity: Decimal = Field(gt=0, description="the new quantity, not the difference")
    subscription: str = SUBSCRIPTION
    item: Code | None = Field(None, description="its plan, where there are several; default: the first")
    behaviour: Behaviour | None = Field(None, description="instead of the policy's, for this change")


class Pause(_Step):
    """No service and no charge from that day on, until it is resumed."""

    do: Literal["pause"] = VERB
    subscription: str = SUBSCRIPTION
    until: date | None = Field(None, description="the day on which it resumes by itself")


class Resume(_Step):
    """The end of a pause; that day is served."""

    do: Literal["resume"] = VERB
    subscription: str = SUBSCRIPTION


class Cancel(_Step):
    """The end of a subscription; the cancel day is not billed (law 4)."""

    do: Literal["cancel"] = VERB
    subscription: str = SUBSCRIPTION
    when: Literal["now", "end_of_period"] = Field(
        "now", description="at once, or when what is charged runs out"
    )
    credit: Literal["prorated", "none", "whole_period"] | None = Field(
        None, description="instead of the policy's"
    )
    to: Literal["account_credit", "refund"] | None = Field(None, description="instead of the policy's")


class Reactivate(_Step):
    """A cancel taken back, or a canceled subscription taken up again: no second trial, no second intro."""

    do: Literal["reactivate"] = VERB
    subscription: str = SUBSCRIPTION


class Usage(_Step):
    """Usage at that instant (a day: its noon): one record of `quantity`, or several `events`."""

    do: Literal["usage"] = VERB
    meter: Code = Field(description="a meter of the catalog")
    quantity: Decimal | None = Field(None, gt=0, description="how much was used; or else `events`")
    events: tuple[Decimal, ...] = Field((), description="several records at once, a quantity each")
    subscription: str = SUBSCRIPTION


class Bill(_Step):
    """A bill run as of that day; with `to`, one on each day through that target date, as a schedule does."""

    do: Literal["bill"] = VERB
    to: date | None = Field(
        None, description="the last day that is billed, inclusive; default: the day itself"
    )


class Pay(_Step):
    """Money that the customer sends: for one invoice, for those named, or for the open ones, oldest due first."""

    do: Literal["pay"] = VERB
    amount: AmountText | None = Field(
        None, description="default: all that is open; more becomes account credit"
    )
    invoice: int | None = Field(None, gt=0, description="number of the invoice; default: all open ones")
    invoices: tuple[int, ...] = Field((), description="numbers of several, oldest due first among them")
    reference: str | None = Field(None, min_length=1, description="of the cheque or transfer")
    received_on: date | None = Field(None, description="the day on which it came in, where that was before")


class ReturnPayment(_Step):
    """Money that the customer sent and the bank took back: a cheque that bounced. What it had settled is open again."""

    do: Literal["return_payment"] = VERB
    payment: int = Field(gt=0, description="number of the payment")
    reason: str = Field("returned", min_length=1, description="for the books")


class PaymentFails(_Step):
    """Every charge tried on that day (through `until`) is declined, whatever the order of the day's steps. Without
    automatic payment, one failed charge of what is open is recorded."""

    do: Literal["payment_fails"] = VERB
    code: str = Field("insufficient_funds", min_length=1, description="the gateway's decline code")
    until: date | None = Field(None, description="the last day on which charges fail, inclusive")


class Refund(_Step):
    """Money back of a payment, up to what remains of it. The invoices that it paid are credited by as much first."""

    do: Literal["refund"] = VERB
    amount: AmountText | None = Field(None, description="default: all that remains of the payment")
    payment: int | None = Field(
        None, gt=0, description="number of the payment; default: the last that succeeded"
    )
    reason: str = Field("refund", min_length=1, description=REASON)


class WriteCreditNote(_Step):
    """A credit note on an invoice: whole, over some lines, or of an amount, always with its tax."""

    do: Literal["credit_note"] = VERB
    invoice: int = Field(gt=0, description="number of the invoice")
    lines: tuple[int, ...] = Field((), description="places of lines on it, counted from 1; default: all")
    amount: AmountText | None = Field(None, description="tax included; default: all that is left")
    to: Literal["account_credit", "refund"] = Field("account_credit", description="what nothing open takes")
    reason: str = Field("credit", min_length=1, description=REASON)


class GrantCredit(_Step):
    """Account credit given for goodwill."""

    do: Literal["grant_credit"] = VERB
    amount: AmountText = Field(description="how much, in major units")
    expires_on: date | None = Field(None, description="the day on which it is gone; default: by the policy")


class AdjustLine(_Step):
    """A line corrected by a signed amount before tax: below zero at once by credit note, above zero on the next
    invoice."""

    do: Literal["adjust_line"] = VERB
    invoice: int = Field(gt=0, description="number of the invoice")
    line: int = Field(gt=0, description="place of the line on the invoice, counted from 1")
    amount: AmountText = Field(description="-2.50 gives back, 2.50 charges")
    reason: str = Field("adjustment", min_length=1, description=REASON)


class VoidInvoice(_Step):
    """An open invoice taken back whole. What it charged last can be billed again; nothing may be paid on it."""

    do: Literal["void"] = VERB
    invoice: int = Field(gt=0, description="number of the invoice")
    reason: str = Field("void", min_length=1, description="for the books")


class WriteOff(_Step):
    """What is open given up as uncollectible."""

    do: Literal["write_off"] = VERB
    invoice: int | None = Field(None, gt=0, description="default: all open invoices")
    amount: AmountText | None = Field(None, description="default: all that is open")


class SetBillCycleDay(_Step):
    """Another day of the month for billing; what is charged already stays, a stub leads to the first new day."""

    do: Literal["set_bill_cycle_day"] = VERB
    day: int = Field(ge=1, le=31, description="day of the month; shorter months end before it")


class MoveTimeZone(_Step):
    """The account moves to another time zone: dates stay, instants are read in the new zone from now on."""

    do: Literal["move_time_zone"] = VERB
    timezone: ZoneName = Field(description="IANA name of the new zone, such as Europe/Berlin")


class ApplyCoupon(_Step):
    """A coupon of the scenario for a subscription, from its next bill on."""

    do: Literal["apply_coupon"] = VERB
    coupon: str = Field(description="its code")
    subscription: str = SUBSCRIPTION


class HolidayStop(_Step):
    """No delivery on those days: a credit for each missed issue on the next bill, where the print cut-off allows."""

    do: Literal["holiday_stop"] = VERB
    start: date = Field(alias="from", description="the first day without delivery")
    until: date = Field(description="the first day of delivery again")
    subscription: str = SUBSCRIPTION


class BuyGift(_Step):
    """A gift bought by the account: it is invoiced at once, and read by whoever claims it."""

    do: Literal["gift"] = VERB
    plan: Code = Field(description="the plan that is given: one period of it, at its evergreen price")
    name: str = Field("gift", min_length=1, description="what later steps call it by")
    price: AmountText | None = Field(None, description="instead of the plan's price")
    starts_on: date | None = Field(None, description="the first day of reading, if the giver chose one")


class ClaimGift(_Step):
    """A gift claimed by its reader: access begins."""

    do: Literal["claim"] = VERB
    gift: str = Field("gift", description="the name of the gift, as its `gift` step gave it")
    starts_on: date | None = Field(None, description="a later first day, as far as the gift policy allows")
    reader: str | None = Field(
        None, min_length=1, max_length=200, description="who reads it; left out, the account's own reader"
    )


class RefundGift(_Step):
    """A gift refunded to its giver; access ends."""

    do: Literal["refund_gift"] = VERB
    gift: str = Field("gift", description="the name of the gift, as its `gift` step gave it")


class HoldDunning(_Step):
    """What the account owes is dunned no further for a while: no worse state, no reminder, no retry. Money that comes
    clears it as ever, and a new invoice is charged."""

    do: Literal["hold_dunning"] = VERB
    why: Literal["promise", "pause", "dispute"] = Field(
        description="promise: the customer said when they will pay; dispute: they say that they do not owe it; pause"
    )
    until: date | None = Field(
        None, description="the last day of it; of a promise, the day named; default: until it is released"
    )


class ReleaseDunning(_Step):
    """Dunning goes on, from the state that the age of the debts says."""

    do: Literal["release_dunning"] = VERB
    why: Literal["promise", "pause", "dispute"] | None = Field(None, description="which hold; default: all")


Step = Annotated[
    Subscribe
    | ChangePlan
    | ChangeQuantity
    | Pause
    | Resume
    | Cancel
    | Reactivate
    | Usage
    | Bill
    | Pay
    | ReturnPayment
    | PaymentFails
    | Refund
    | WriteCreditNote
    | GrantCredit
    | AdjustLine
    | VoidInvoice
    | WriteOff
    | SetBillCycleDay
    | MoveTimeZone
    | ApplyCoupon
    | HolidayStop
    | BuyGift
    | ClaimGift
    | RefundGift
    | HoldDunning
    | ReleaseDunning,
    Field(discriminator="do"),
]
