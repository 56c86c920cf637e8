"""Gifts: one pays, another reads. Two windows, never one: until when the gift can be claimed (from the purchase), and
from when until when it is read (from the claim, or from a day that was chosen)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, Field

from domain.catalog import IntervalSpec
from domain.credits import BilledLine, CreditLine, credit_rest, credit_time
from domain.periods import Anchor, Interval, boundary
from domain.proration import part_of_billed


class GiftState(StrEnum):
    """What a gift is."""

    BOUGHT = "bought"
    CLAIMED = "claimed"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class RefundAfterClaim(StrEnum):
    """What the giver gets back for a gift that is being read: the time left, or nothing."""

    PRORATED = "prorated"
    NONE = "none"


class GiftPolicy(BaseModel, extra="forbid", frozen=True):
    """What an operator decides about the gifts of a product."""

    claim_within: IntervalSpec = Field(description="how long after the purchase the gift can be claimed")
    access: IntervalSpec = Field(description="how long it is read")
    latest_start_days: int = Field(
        default=0, ge=0, description="how many days after it could begin the reader may let it begin"
    )
    after_claim: RefundAfterClaim = Field(
        default=RefundAfterClaim.PRORATED, description="what a refund gives back once it was claimed"
    )
    refund_expired: bool = Field(
        default=False, description="whether one that nobody claimed in time is refunded"
    )


class Span(NamedTuple):
    """Local days: `start` is in it, `end` is not."""

    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Gift:
    """A gift as it stands; what was sold stays as it was when the policy changes: `claim_until` (exclusive) and
    `length`, how long it is read. `starts_on` is the first day of reading that the giver chose,
    `mail_on` the day on which the reader is told; `access` is what was given at the claim, whatever a refund ended
    later; `refunded` is the net amount that went back (minor units, positive)."""

    id: str
    product: str
    giver: str
    bought_on: date
    claim_until: date
    length: Interval
    mail_on: date
    starts_on: date | None = None
    mailed_on: date | None = None
    reader: str | None = None
    claimed_on: date | None = None
    access: Span | None = None
    refunded_on: date | None = None
    refunded: int = 0


class Earned(NamedTuple):
    """Revenue of a gift up to a day, minor units: what was read, and what nobody will read any more (breakage)."""

    read: int
    breakage: int


class OwnStart(NamedTuple):
    """How a reader goes on with a subscription of their own: who pays, the first day, and no trial."""

    payer: str
    starts_on: date
    trial: bool


class GiftRefused(ValueError):
    """What is asked of a gift does not fit its state or its windows; the message says why."""


def buy_gift(
    policy: GiftPolicy,
    gift_id: str,
    product: str,
    giver: str,
    bought_on: date,
    *,
    mail_on: date | None = None,
    starts_on: date | None = None,
) -> Gift:
    """A gift bought on `bought_on`: told to the reader on `mail_on` (at once by default), read from `starts_on` at the
    earliest. Raises GiftRefused when the mail would come before the purchase or when it is too late to claim."""
    claim_until = boundary(Anchor.at(bought_on), policy.claim_within.interval(), 1)
    mail_on = mail_on or bought_on
    _check_mail(mail_on, bought_on, claim_until)
    if starts_on is not None and starts_on < bought_on:
        raise GiftRefused(f"the gift cannot be read from {starts_on}: it is bought on {bought_on}")
    return Gift(gift_id, product, giver, bought_on, claim_until, policy.access.interval(), mail_on, starts_on)


def gift_state(gift: Gift, day: date) -> GiftState:
    """The state at the end of the local `day`: a function of the dates, so that nothing has to happen for a gift to
    expire."""
    if gift.refunded_on is not None and gift.refunded_on <= day:
        return GiftState.REFUNDED
    if gift.claimed_on is not None and gift.claimed_on <= day:
        return GiftState.CLAIMED
    return GiftState.EXPIRED if day >= gift.claim_until else GiftState.BOUGHT


def mail_due(gift: Gift, day: date) -> bool:
    """Whether the gift mail is to go out on `day`: its day has come, it was not sent, and there is something to
    claim."""
    return gift.mailed_on is None and gift.mail_on <= day and gift_state(gift, day) is GiftState.BOUGHT


def reschedule_mail(gift: Gift, mail_on: date, today: date) -> Gift:
    """The gift with its mail on another day. Raises GiftRefused when it was sent, when there is nothing to claim, and
    for a day that has passed or on which it is too late to claim."""
    if gift.mailed_on is not None:
        raise GiftRefused(f"the gift mail was sent on {gift.mailed_on}")
    _expect_bought(gift, today)
    _check_mail(mail_on, today, gift.claim_until)
    return replace(gift, mail_on=mail_on)


def claim_gift(policy: GiftPolicy, gift: Gift, reader: str, on: date, starts_on: date | None = None) -> Gift:
    """The gift as `reader` claims it on `on`: read from `starts_on`, by default from the first day possible (the claim,
    or the day that the giver chose if that is later). To claim one's own claimed gift again changes nothing. Raises
    GiftRefused outside the claim window, for another reader's gift, and for a start out of bounds."""
    if gift.reader == reader and gift_state(gift, on) is GiftState.CLAIMED:
        return gift
    _expect_bought(gift, on)
    earliest = on if gift.starts_on is None else max(on, gift.starts_on)
    latest = earliest + timedelta(days=policy.latest_start_days)
    start = starts_on or earliest
    if not earliest <= start <= latest:
        raise GiftRefused(f"the gift can begin from {earliest} to {latest}, not on {start}")
    end = boundary(Anchor.at(start), gift.length, 1)
    return replace(gift, reader=reader, claimed_on=on, access=Span(start, end))


def gives_access(gift: Gift, day: date) -> bool:
    """Whether the reader reads by this gift on `day`; from the day of a refund on no more."""
    if gift.access is None or not gift.access.start <= day < gift.access.end:
        return False
    return gift.refunded_on is None or day < gift.refunded_on


def refund_gift(
    policy: GiftPolicy, gift: Gift, line: BilledLine, credits: Sequence[CreditLine], on: date
) -> tuple[Gift, CreditLine | None]:
    """The gift as refunded on `on`, and the credit for the giver against `line`, which billed it (earlier `credits`
    taken off): all of it before the claim; afterwards the days of reading left, or nothing, by policy. Access ends
    either way. None when nothing is left to give back. Raises GiftRefused when it was refunded, was read to its end,
    or has expired and the policy refunds no expired gifts."""
    state = gift_state(gift, on)
    if state is GiftState.REFUNDED:
        raise GiftRefused(f"the gift was refunded on {gift.refunded_on}")
    if state is GiftState.EXPIRED and not policy.refund_expired:
        raise GiftRefused(f"the gift expired on {gift.claim_until}; expired gifts are not refunded")
    if gift.access is None:
        credit = credit_rest(line, credits, "unused_credit")
    elif gift.access.end <= on:
        raise GiftRefused(f"the gift was read to its end on {gift.access.end}")
    elif policy.after_claim is RefundAfterClaim.NONE:
        credit = None
    else:
        read = replace(line, start=gift.access.start, end=gift.access.end)
        credit = credit_time(read, credits, on, gift.access.end)
    return replace(gift, refunded_on=on, refunded=-credit.net if credit else 0), credit


def earned(gift: Gift, net: int, day: date) -> Earned:
    """The revenue of a gift sold for `net` (minor units, other credits than its refund taken off) up to and including
    `day`. Nothing while it can still be claimed, then day by day as it is read; all of it as breakage on the day it
    expires; after a refund what was read, and as breakage what was neither read nor given back. What is not earned
    is deferred, or was refunded."""
    state = gift_state(gift, day)
    kept = net - gift.refunded if state is GiftState.REFUNDED else net
    until = min(day + timedelta(days=1), gift.refunded_on or date.max)
    read = 0
    if gift.access is not None and until > gift.access.start:
        read = part_of_billed(net, gift.access.start, min(until, gift.access.end), *gift.access)
    read = min(read, kept)
    return Earned(read, kept - read if state in (GiftState.EXPIRED, GiftState.REFUNDED) else 0)


def may_have_trial(gifts: Iterable[Gift], reader: str, product: str) -> bool:
    """Whether `reader` may still get a trial of `product`: not once they claimed a gift of it, and a refund does not
    change that, or buying and refunding gifts would be reading for nothing."""
    return not any(gift.reader == reader and gift.product == product for gift in gifts)


def own_start(gift: Gift, reader: str, on: date) -> OwnStart:
    """How `reader` goes on after the gift, asked for on `on`: as payer, from the end of what was given (at once where
    that has passed or was refunded), and without a trial. Raises GiftRefused when the gift is not theirs."""
    if gift.access is None or gift.reader != reader:
        raise GiftRefused("only who claimed the gift can go on from it; subscribe without it instead")
    ended = gift.refunded_on is not None
    return OwnStart(reader, on if ended else max(on, gift.access.end), trial=False)


def _expect_bought(gift: Gift, on: date) -> None:
    state = gift_state(gift, on)
    if state is GiftState.CLAIMED:
        raise GiftRefused(f"the gift was claimed on {gift.claimed_on}")
    if state is GiftState.EXPIRED:
        raise GiftRefused(f"the gift could be claimed until the day before {gift.claim_until}")
    if state is GiftState.REFUNDED:
        raise GiftRefused(f"the gift was refunded on {gift.refunded_on}")
    if on < gift.bought_on:
        raise GiftRefused(f"the gift is bought on {gift.bought_on}, after {on}")


def _check_mail(mail_on: date, earliest: date, claim_until: date) -> None:
    if not earliest <= mail_on < claim_until:
        raise GiftRefused(
            f"the gift mail cannot go out on {mail_on}: choose a day from {earliest} and before {claim_until}, "
            "while the gift can be claimed"
        )
