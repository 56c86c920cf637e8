"""A scenario: an account, a catalog, a policy, and what happens, as a document."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from domain.catalog import Catalog, Currency
from domain.coupons import Coupon
from domain.media.deliveries import DeliveryCalendar
from domain.policy import Policy
from domain.simulation.steps import Step
from domain.tax import Treatment


def _zone_exists(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is no time zone; write it like Europe/Berlin") from None
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaxTerms(_Strict):
    """How the account is taxed; the rates stand in the catalog."""

    region: str | None = Field(None, description="of the catalog's tax_rates; null: not taxed")
    inclusive: bool = Field(False, description="whether prices have the tax within them")
    treatment: Treatment = Field(
        Treatment.TAXABLE, description="taxable, exempt, or reverse_charge (the buyer owes it)"
    )


class AccountTerms(_Strict):
    """Who pays."""

    currency: Currency
    timezone: Annotated[str, AfterValidator(_zone_exists)] = "UTC"
    bill_cycle_day: int | None = Field(
        None, ge=1, le=31, description="default: the day on which a subscription starts"
    )
    tax: TaxTerms = TaxTerms()
    auto_pay: bool = Field(
        True, description="whether invoices are charged to a payment method when they are finalised"
    )


class Scenario(_Strict):
    """What `masthead simulate` plays."""

    format: Literal["masthead.scenario/1"] = "masthead.scenario/1"
    title: str | None = None
    account: AccountTerms
    catalog: Catalog | str = Field(
        description="a catalog as in catalog.yaml, or the path of one, from this file on"
    )
    policy: Policy = Policy()
    coupons: tuple[Coupon, ...] = Field((), description="what apply_coupon and subscribe refer to by code")
    delivery: DeliveryCalendar | None = Field(
        None, description="on which days issues appear, for holiday_stop"
    )
    steps: tuple[Step, ...] = Field(min_length=1, description="in order of time")


class StepOutOfOrder(ValueError):
    """A step that stands before one that happens earlier; `place` counts from 0."""

    def __init__(self, place: int, at: date | datetime, earlier: date | datetime) -> None:
        self.place = place
        super().__init__(f"{at} lies before the step above it ({earlier}); put the steps in order of time")
