"""Retention offers: what is put before a reader who wants to leave. Who gets which is data, so that an operator
reads, changes and explains it; what accepting yields is a value for the rules of coupons, pauses and changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field, model_validator

from domain.catalog import AmountText, Code, Currency, IntervalSpec
from domain.money import parse_minor
from domain.periods import Anchor, add_months, boundary
from domain.subscriptions import State


class PercentOff(BaseModel, extra="forbid", frozen=True):
    """A percentage off the next billing periods."""

    kind: Literal["percent_off"]
    percent: Decimal = Field(gt=0, le=100, description="of the price, 25 for a quarter")
    periods: int = Field(gt=0, description="billing periods for which it holds")


class AmountOff(BaseModel, extra="forbid", frozen=True):
    """An amount off each of the next billing periods; the offer is for the currencies that it names."""

    kind: Literal["amount_off"]
    amounts: dict[Currency, AmountText] = Field(min_length=1, description="major units off a period")
    periods: int = Field(gt=0, description="billing periods for which it holds")

    @model_validator(mode="after")
    def _real_amounts(self) -> AmountOff:
        for currency, text in self.amounts.items():
            if parse_minor(text, currency) <= 0:
                raise ValueError(f"{text} {currency} off is no discount; name an amount above zero")
        return self


class Pause(BaseModel, extra="forbid", frozen=True):
    """No bills and no reading for a time, from the end of what is charged for."""

    kind: Literal["pause"]
    length: IntervalSpec


class Extension(BaseModel, extra="forbid", frozen=True):
    """Reading for nothing for a time, from the end of what is charged for."""

    kind: Literal["extension"]
    length: IntervalSpec


class PlanChange(BaseModel, extra="forbid", frozen=True):
    """Another plan, under the policy for such a change (law 6)."""

    kind: Literal["plan_change"]
    plan: Code


Benefit = Annotated[PercentOff | AmountOff | Pause | Extension | PlanChange, Field(discriminator="kind")]


class Offer(BaseModel, extra="forbid", frozen=True):
    """An offer and whom it is for. A condition that is not given does not restrict."""

    code: Code
    benefit: Benefit
    priority: int = Field(
        default=0, description="the highest of the eligible is offered; on a tie the first code"
    )
    starts_on: date | None = Field(default=None, description="first day on which it is made")
    ends_on: date | None = Field(default=None, description="first day on which it is made no more")
    plans: frozenset[Code] = Field(default=frozenset(), description="plans to leave")
    states: frozenset[State] = Field(default=frozenset(), description="states of the subscription")
    reasons: frozenset[Code] = Field(default=frozenset(), description="reasons for leaving")
    channels: frozenset[Code] = Field(
        default=frozenset(), description="where the reader is: web, phone, mail"
    )
    min_days: int | None = Field(default=None, ge=0, description="days since the start, at least")
    max_days: int | None = Field(default=None, ge=0, description="days since the start, at most")
    min_periods: int | None = Field(default=None, ge=0, description="billing periods paid, at least")
    max_periods: int | None = Field(default=None, ge=0, description="billing periods paid, at most")
    max_per_life: int | None = Field(default=None, ge=1, description="how often a reader may take it")
    not_taken_within_months: int | None = Field(
        default=None, ge=1, description="months since the reader last took this offer"
    )
    none_taken_within_months: int | None = Field(
        default=None, ge=1, description="months since the reader last took any offer"
    )
    not_refused_within_months: int | None = Field(
        default=None, ge=1, description="months since the reader last refused this offer"
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Offer:
        for what, least, most in (
            ("days", self.min_days, self.max_days),
            ("periods", self.min_periods, self.max_periods),
        ):
            if least is not None and most is not None and least > most:
                raise ValueError(f"min_{what} {least} is above max_{what} {most}: nobody would get the offer")
        if self.starts_on is not None and self.ends_on is not None and self.starts_on >= self.ends_on:
            raise ValueError(f"ends_on {self.ends_on} is not after starts_on {self.starts_on}")
        return self


class Offers(BaseModel, extra="forbid", frozen=True):
    """All offers of a publisher; a code names one."""

    offers: tuple[Offer, ...]

    @model_validator(mode="after")
    def _one_of_each(self) -> Offers:
        codes = [offer.code for offer in self.offers]
        for code in codes:
            if codes.count(code) > 1:
                raise ValueError(f"offer {code} stands here twice; answers are kept by its code")
        return self


class Answer(NamedTuple):
    """What a reader said to an offer, kept for good: it decides what they are offered next."""

    offer: str
    on: date
    taken: bool
    channel: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Leaving:
    """A reader about to leave, on the local `day`: `periods_paid` billing periods since `starts_on`, charged through
    (exclusive) `charged_through`; `answers` are all they ever gave."""

    day: date
    plan: str
    state: State
    currency: str
    starts_on: date
    periods_paid: int
    charged_through: date
    channel: str
    reason: str | None = None
    answers: tuple[Answer, ...] = ()


class Coupon(NamedTuple):
    """Accepted: off each of the next `periods` billing periods, `start` being the first day not charged for yet; a
    percentage or an amount in minor units."""

    percent: Decimal | None
    amount: int | None
    periods: int
    start: date


class Paused(NamedTuple):
    """Accepted: paused from `start` until `until` (exclusive)."""

    start: date
    until: date


class Extended(NamedTuple):
    """Accepted: free from `start` until `until` (exclusive), billed again from then on."""

    start: date
    until: date


class ChangeTo(NamedTuple):
    """Accepted: a change to `plan`, asked for on `on`."""

    plan: str
    on: date


Yield = Coupon | Paused | Extended | ChangeTo


class OfferRefused(ValueError):
    """The offer is not for this reader; the message says which of its conditions is not met."""


def why_not(offer: Offer, leaving: Leaving) -> list[str]:
    """Every condition of `offer` that the reader does not meet, in plain words; none means that it is for them."""
    return [*_circumstances(offer, leaving), *_tenure(offer, leaving), *_past(offer, leaving)]


def best_offer(offers: Iterable[Offer], leaving: Leaving) -> Offer | None:
    """The offer to make: of those that the reader meets every condition of, the one of the highest priority, the
    first by code where two have the same."""
    eligible = [offer for offer in offers if not why_not(offer, leaving)]
    return min(eligible, key=lambda offer: (-offer.priority, offer.code)) if eligible else None


def take_offer(offer: Offer, leaving: Leaving) -> tuple[Answer, Yield]:
    """What is recorded when the reader accepts `offer`, and what it yields. Raises OfferRefused when it is not for
    them (any more)."""
    reasons = why_not(offer, leaving)
    if reasons:
        raise OfferRefused(f"offer {offer.code} is not for this reader: {'; '.join(reasons)}")
    return _answer(offer, leaving, taken=True), _yield(offer.benefit, leaving)


def refuse_offer(offer: Offer, leaving: Leaving) -> Answer:
    """What is recorded when the reader declines `offer` and goes on leaving."""
    return _answer(offer, leaving, taken=False)


def _answer(offer: Offer, leaving: Leaving, *, taken: bool) -> Answer:
    return Answer(offer.code, leaving.day, taken, leaving.channel, leaving.reason)


def _yield(benefit: Benefit, leaving: Leaving) -> Yield:
    # A subscription that is charged for the past only has no paid time left to wait for.
    start = max(leaving.charged_through, leaving.day)
    match benefit:
        case PercentOff():
            return Coupon(benefit.percent, None, benefit.periods, leaving.charged_through)
        case AmountOff():
            amount = parse_minor(benefit.amounts[leaving.currency], leaving.currency)
            return Coupon(None, amount, benefit.periods, leaving.charged_through)
        case Pause():
            return Paused(start, boundary(Anchor.at(start), benefit.length.interval(), 1))
        case Extension():
            return Extended(start, boundary(Anchor.at(start), benefit.length.interval(), 1))
    return ChangeTo(benefit.plan, leaving.day)


def _circumstances(offer: Offer, leaving: Leaving) -> Iterator[str]:
    if offer.starts_on is not None and leaving.day < offer.starts_on:
        yield f"it is made from {offer.starts_on} on"
    if offer.ends_on is not None and leaving.day >= offer.ends_on:
        yield f"it was made until {offer.ends_on}"
    if offer.plans and leaving.plan not in offer.plans:
        yield f"it is not for plan {leaving.plan}"
    if offer.states and leaving.state not in offer.states:
        yield f"it is not for a subscription that is {leaving.state.value}"
    if offer.reasons and leaving.reason not in offer.reasons:
        yield f"it is for other reasons than {leaving.reason or 'none given'}"
    if offer.channels and leaving.channel not in offer.channels:
        yield f"it is not made by {leaving.channel}"
    if isinstance(offer.benefit, AmountOff) and leaving.currency not in offer.benefit.amounts:
        yield f"it has no amount in {leaving.currency}"
    if isinstance(offer.benefit, PlanChange) and leaving.plan == offer.benefit.plan:
        yield f"the reader has plan {leaving.plan} already"


def _tenure(offer: Offer, leaving: Leaving) -> Iterator[str]:
    days = (leaving.day - leaving.starts_on).days
    for what, is_now, least, most in (
        ("days since the start", days, offer.min_days, offer.max_days),
        ("periods paid", leaving.periods_paid, offer.min_periods, offer.max_periods),
    ):
        if least is not None and is_now < least:
            yield f"it asks for {least} {what}, and there are {is_now}"
        if most is not None and is_now > most:
            yield f"it is for {most} {what} at most, and there are {is_now}"


def _past(offer: Offer, leaving: Leaving) -> Iterator[str]:
    taken = [answer for answer in leaving.answers if answer.taken]
    same = [answer for answer in taken if answer.offer == offer.code]
    refused = [answer for answer in leaving.answers if not answer.taken and answer.offer == offer.code]
    if offer.max_per_life is not None and len(same) >= offer.max_per_life:
        yield f"it was taken {len(same)} times, and {offer.max_per_life} is the most"
    for what, answers, months in (
        ("it was taken", same, offer.not_taken_within_months),
        ("an offer was taken", taken, offer.none_taken_within_months),
        ("it was refused", refused, offer.not_refused_within_months),
    ):
        last = _last(answers)
        if months is not None and last is not None and leaving.day < add_months(last, months):
            yield f"{what} on {last}, less than {months} months ago"


def _last(answers: Sequence[Answer]) -> date | None:
    return max((answer.on for answer in answers), default=None)
