"""A scenario: an account, a catalog, a policy, and what happens, as a document."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.account.commands import Step
from domain.account.terms import AccountTerms
from domain.catalog import Catalog
from domain.coupons import Coupon
from domain.media.deliveries import DeliveryCalendar
from domain.policy import Policy
from domain.rule_book import RuleBook

MOST_YEARS = 50


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scenario(_Strict):
    """What `masthead simulate` plays."""

    format: Literal["masthead.scenario/1"] = Field(
        "masthead.scenario/1", description="which form of document this is: masthead.scenario/1"
    )
    title: str | None = Field(None, description="shown above the outcome; default: the name of the file")
    account: AccountTerms = Field(description="who pays")
    catalog: Catalog | str = Field(
        description="a catalog as in catalog.yaml, or the path of one, from this file on"
    )
    policy: Policy = Field(Policy(), description="the publisher's choices; what is left out has its default")
    coupons: tuple[Coupon, ...] = Field((), description="what apply_coupon and subscribe refer to by code")
    delivery: DeliveryCalendar | None = Field(
        None, description="on which days issues appear, for holiday_stop"
    )
    steps: tuple[Step, ...] = Field(min_length=1, description="in order of time")

    @property
    def rules(self) -> RuleBook:
        """Its policy, coupons and delivery days, as the rule book that a publisher keeps."""
        return RuleBook(policy=self.policy, coupons=self.coupons, delivery=self.delivery)


class MisplacedStep(ValueError):
    """A step that cannot happen when it is said to; `place` counts from 0."""

    def __init__(self, place: int, message: str) -> None:
        self.place = place
        super().__init__(message)


class StepOutOfOrder(MisplacedStep):
    """A step that stands before one that happens earlier."""

    def __init__(self, place: int, at: date | datetime, earlier: date | datetime) -> None:
        super().__init__(
            place, f"{at} lies before the step above it ({earlier}); put the steps in order of time"
        )


class StepTooFar(MisplacedStep):
    """A step whose day is so far from the first one that its year must be a slip."""

    def __init__(self, place: int, day: date, first: date) -> None:
        super().__init__(
            place,
            f"{day} lies more than {MOST_YEARS} years after the first step ({first}); is the year right?",
        )
