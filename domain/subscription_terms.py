"""A subscription as its rows say: the terms that rating, amendments and the simulator take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from domain.discounts import Discount
from domain.periods import Anchor, Interval
from domain.proration import Moment
from domain.subscriptions import State


@dataclass(slots=True)
class Item:
    """One plan within a subscription, from `starts_on` to `ends_on` (exclusive). `price_override` replaces the
    amount of the plan's first recurring price, in minor units a period (times the quantity, if per unit).

    `phase_shift` is added to a period's ordinal when its phase is chosen: above zero passes over the first periods of
    the plan's phases, below zero begins them later. `starts_at` and `ends_at` are set where the policy prorates by
    second: instants in the account's zone, on the days `starts_on` and `ends_on`, that then bound the item exactly.
    `replaces` is the id of the item that a change put this one in the place of.
    """

    id: str
    plan: str
    plan_version: int
    quantity: Decimal
    price_override: int | None
    starts_on: date
    ends_on: date | None
    phase_shift: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    replaces: str | None = None

    @property
    def start(self) -> Moment:
        """When it begins: the instant, or the day."""
        return self.starts_at or self.starts_on

    @property
    def end(self) -> Moment | None:
        """When it is over: the instant, or the day; None for no end."""
        return self.ends_at or self.ends_on


@dataclass(slots=True)
class SubscriptionTerms:
    """A subscription as its rows say. `version` is what the rating was read at."""

    id: str
    version: int
    status: State
    starts_on: date
    trial_ends_on: date | None
    anchor: Anchor
    interval: Interval
    ends_on: date | None
    charged_through: date
    arrears_through: date
    next_bill_on: date | None
    items: list[Item]
    discounts: Sequence[Discount] = ()
