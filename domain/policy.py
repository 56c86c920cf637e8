"""The policy of a publisher: where billing systems differ, the publisher says. Every key and value is documented
here, and printed by `masthead simulate --schema`."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.catalog import IntervalSpec
from domain.dunning_default import DEFAULT_POLICY
from domain.dunning_policy import DunningPolicy
from domain.media.gifts import GiftPolicy
from domain.media.holiday_stops import StopPolicy
from domain.periods import Unit as Length
from domain.proration import Unit


class Behaviour(StrEnum):
    """When a change takes effect, and what becomes of the time that is paid for already (law 6)."""

    PRORATED = "immediate_with_proration"
    UNPRORATED = "immediate_without_proration"
    PERIOD_END = "end_of_period"
    RESTART = "restart_period"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChangePolicy(_Strict):
    """Behaviour by direction (law 6)."""

    upgrade: Behaviour = Field(
        Behaviour.PRORATED, description="to a plan or quantity that costs more a period, or as much"
    )
    downgrade: Behaviour = Field(
        Behaviour.PERIOD_END, description="to a plan or quantity that costs less a period"
    )
    interval_change: Literal[Behaviour.PERIOD_END, Behaviour.RESTART] = Field(
        Behaviour.RESTART, description="to a plan that is billed at another interval"
    )
    intro_again: bool = Field(
        False, description="whether an existing subscriber gets the intro phase of the plan changed to"
    )


class CancelPolicy(_Strict):
    """What an immediate cancel gives back."""

    credit: Literal["prorated", "none", "whole_period"] = Field(
        "prorated",
        description="prorated: the unused days, the cancel day among them (law 4); none: nothing; whole_period: all "
        "that was billed for the running period",
    )
    to: Literal["account_credit", "refund"] = Field(
        "account_credit",
        description="where the credit goes once nothing is open: kept for later invoices, or paid back",
    )


class PausePolicy(_Strict):
    """What a pause does with time that is paid for."""

    paid_time: Literal["credit", "extend"] = Field(
        "credit",
        description="credit: unused days are credited when the pause begins, and the rest of the period is charged on "
        "resuming; extend: they are kept and follow the pause, and the billing day moves with them",
    )
    extends_term: bool = Field(
        True, description="whether the end of a fixed term moves by the length of the pause"
    )


class AccessPolicy(_Strict):
    """When readers have access where the billing timeline alone does not say."""

    in_pause: Literal["none", "full"] = Field("none", description="access while a subscription is paused")
    before_payment: bool = Field(
        False, description="whether a new subscription gives access before its first payment has come in"
    )
    restricted: Literal["none", "full"] = Field(
        "full",
        description="access from the dunning state on that restricts the account; a state that blocks entitlement "
        "gives none, whatever stands here",
    )
    suspended: Literal["none", "full"] = Field(
        "none", description="access from the dunning state on that suspends the account"
    )
    grace_days: int = Field(
        0,
        ge=0,
        le=365,
        description="days for which access goes on after a subscription has run out; none after a cancel that takes "
        "effect at once",
    )
    grace_when: Literal["payment_open", "always"] = Field(
        "payment_open",
        description="payment_open: those days are given only while the account has an invoice to pay, which its "
        "renewal may be; always: to all",
    )


class NoticePolicy(_Strict):
    """When subscribers are told of what comes."""

    trial_ends_days: int | None = Field(
        3,
        gt=0,
        le=35,
        description="days before the end of a trial that goes on as a paid one; null: not at all",
    )
    renewal_days: int | None = Field(
        30,
        gt=0,
        le=90,
        description="days before a period of a year or more is charged again; null: not at all",
    )


class RefundPolicy(_Strict):
    """What becomes of money that is to go back, or was taken back."""

    failed: Literal["account_credit", "park"] = Field(
        "account_credit",
        description="what becomes of a refund that the gateway could not pay. account_credit: the customer keeps it "
        "for later invoices; park: it stays promised until a person pays it another way, tries again or grants it",
    )
    lost_dispute: Literal["loss", "open_invoice"] = Field(
        "loss",
        description="who bears a dispute that was lost. loss: the publisher, and the invoice stays paid; open_invoice: "
        "the invoice is open again, to be collected or written off",
    )


class Policy(_Strict):
    """All choices; each has a default that an ordinary publisher can live with."""

    proration: Unit = Field(Unit.DAY, description="what a part of a period is measured by (law 1)")
    changes: ChangePolicy = Field(
        ChangePolicy(), description="when a change of plan or quantity takes effect, by its direction (law 6)"
    )
    cancel: CancelPolicy = Field(
        CancelPolicy(), description="what a cancel that takes effect at once gives back"
    )
    pause: PausePolicy = Field(PausePolicy(), description="what a pause does with time that is paid for")
    access: AccessPolicy = Field(
        AccessPolicy(), description="when readers have access where the billing timeline alone does not say"
    )
    tax_rounding: Literal["line", "invoice"] = Field(
        "line",
        description="tax rounded per line and jurisdiction, or once per invoice and jurisdiction (law 7)",
    )
    discount_order: Literal["as_applied", "percent_first", "fixed_first"] = Field(
        "as_applied", description="in which order coupons cut; each cuts what the ones before left"
    )
    zero_usage: Literal["price", "omit", "line"] = Field(
        "price",
        description="a usage price without usage: as the price itself says, no line, or a line of zero",
    )
    payment_terms_days: int = Field(0, ge=0, le=365, description="days from invoice date to due date")
    credit_expires_after_days: int | None = Field(
        None, gt=0, description="after how many days granted account credit lapses; null: never"
    )
    gateway_minimum: dict[str, int] = Field(
        default_factory=dict,
        description="smallest charge per currency in minor units; less is carried forward (law 10). Currencies that "
        "are not named keep the built-in table's minimum",
    )
    dunning: DunningPolicy = Field(
        DEFAULT_POLICY, description="what follows when invoices stay unpaid: retries, reminders, states"
    )
    holiday_stops: StopPolicy = Field(
        StopPolicy(), description="what readers of a printed edition may stop, and what they get for it"
    )
    gifts: GiftPolicy = Field(
        GiftPolicy(claim_within=IntervalSpec(unit=Length.YEAR), access=IntervalSpec(unit=Length.YEAR)),
        description="terms of gifts; left out, a gift can be claimed for a year and is read for one period of its plan",
    )
    refunds: RefundPolicy = Field(
        RefundPolicy(), description="what becomes of money that is to go back, or was taken back by a bank"
    )
    notices: NoticePolicy = Field(
        NoticePolicy(), description="how many days before what comes its payer is told of it"
    )
