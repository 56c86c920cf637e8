"""The catalog: product → plan → version → phase → price, with bundles, meters, features and tax rates.

These models are what `catalog.yaml` says, field by field; whatever a single field cannot show (a plan that
names an unknown meter, a price missing in a currency) is found by `domain.catalog_checks.find_problems`.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from domain.delivered import Content, Delivers, SenderAddress, Shipping
from domain.media.metering import MeteringPolicy, MonthWindow, Window
from domain.money import exponent
from domain.periods import Align, Interval, Unit

_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_AMOUNT = re.compile(r"-?\d{1,12}(\.\d{1,10})?", re.ASCII)


def _is_code(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a code: use lower-case letters, digits and hyphens, 63 at most, a letter or digit first"
        )
    return text


def _is_currency(text: str) -> str:
    exponent(text)
    return text


def _whole_as_text(value: Any) -> Any:
    """A document may say `JPY: 1800` without quotes; what has a point arrives as text already."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_amount(text: str) -> str:
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not an amount; write it like 12.34")
    return text


Code = Annotated[str, AfterValidator(_is_code)]
Currency = Annotated[str, AfterValidator(_is_currency)]
AmountText = Annotated[str, BeforeValidator(_whole_as_text), AfterValidator(_is_amount)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceType(StrEnum):
    """When a price is charged at all: each period, by what was used, or once."""

    RECURRING = "recurring"
    USAGE = "usage"
    ONE_TIME = "one_time"


class PriceModel(StrEnum):
    """How an amount comes from a quantity."""

    FLAT = "flat"
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"
    PERCENTAGE = "percentage"
    MINIMUM = "minimum"


class Billed(StrEnum):
    """When a recurring price is charged: as its period begins, or when it is over."""

    ADVANCE = "advance"
    ARREARS = "arrears"


class ZeroUsage(StrEnum):
    """What a usage price puts on the invoice when nothing was used: nothing, or a line of zero."""

    OMIT = "omit"
    LINE = "line"


class PhaseKind(StrEnum):
    """Trial is free and dated; intro lasts some periods; evergreen goes on."""

    TRIAL = "trial"
    INTRO = "intro"
    EVERGREEN = "evergreen"


class AppliesTo(StrEnum):
    """Whom a new version of a plan reaches."""

    NEW = "new"
    RENEWAL = "renewal"


class Tier(_Strict):
    """One step of a tiered price: up to and including `up_to` units (none: without end, law 8)."""

    up_to: Decimal | None = Field(default=None, gt=0)
    unit_amounts: dict[Currency, AmountText] = Field(default_factory=dict)
    flat_amounts: dict[Currency, AmountText] = Field(default_factory=dict)


class BundlePart(_Strict):
    """A part of a bundle: the product that earns a share of the bundle's price (revenue and tax follow it), relative to
    the other parts, by a weight or by the price at which the part is sold alone."""

    product: Code
    weight: int | None = Field(default=None, gt=0)
    standalone: dict[Currency, AmountText] = Field(default_factory=dict)


class Percentage(_Strict):
    """A share of money that a meter counts, in minor units of the account's currency. Amounts are major units, as
    everywhere in the catalog.

    Of the events of a period, in the order of their time, the first `free_events` cost nothing; of the others, the
    first `free_amounts` of money cost nothing. Each event beyond that costs `rate` percent of its money and
    `fixed_fees`, at least `min_amounts` and at most `max_amounts`.
    """

    rate: Decimal = Field(ge=0, le=100, description="in percent")
    free_events: int = Field(default=0, ge=0, description="events of each period that cost nothing")
    free_amounts: dict[Currency, AmountText] = Field(default_factory=dict)
    fixed_fees: dict[Currency, AmountText] = Field(default_factory=dict)
    min_amounts: dict[Currency, AmountText] = Field(default_factory=dict)
    max_amounts: dict[Currency, AmountText] = Field(default_factory=dict)


class Price(_Strict):
    """A price of a phase. `amounts` are major units as text, per currency: for flat prices the price, for
    per-unit ones a unit's, for packages a package's, for minimums what a period's usage comes to at least."""

    code: Code
    type: PriceType
    model: PriceModel = PriceModel.FLAT
    amounts: dict[Currency, AmountText] = Field(default_factory=dict)
    tiers: tuple[Tier, ...] = ()
    package_size: Decimal | None = Field(default=None, gt=0)
    percentage: Percentage | None = None
    meter: Code | None = None
    allowance: Decimal = Field(default=Decimal(0), ge=0, description="units of the meter that cost nothing")
    product: Code | None = Field(
        default=None, description="what it is revenue of; the plan's product by default"
    )
    parts: tuple[BundlePart, ...] = ()
    billed: Billed = Field(default=Billed.ADVANCE, description="of a recurring price")
    zero_usage: ZeroUsage = Field(default=ZeroUsage.OMIT, description="of a usage price")


class Phase(_Strict):
    """A stretch of a plan's life with prices of its own, or with the evergreen prices at a percentage."""

    kind: PhaseKind
    days: int | None = Field(default=None, gt=0, description="length of a trial")
    until: date | None = Field(
        default=None, description="the first day after a trial, for all who start before"
    )
    periods: int | None = Field(default=None, gt=0, description="length of an intro, in billing periods")
    percent: Decimal | None = Field(
        default=None, ge=0, lt=100, description="what of the evergreen recurring prices is paid in an intro"
    )
    prices: tuple[Price, ...] = ()


class IntervalUnit(StrEnum):
    """What a catalog counts intervals in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"


_MONTHS_OF = {IntervalUnit.QUARTER: 3, IntervalUnit.HALF_YEAR: 6}


class IntervalSpec(_Strict):
    """A billing interval; a bare unit means one of it. `align` says where its periods begin."""

    unit: IntervalUnit
    count: int = Field(default=1, gt=0, le=120)
    align: Align = Align.ANCHOR

    def interval(self) -> Interval:
        """As the value that periods are computed with: a quarter is 3 months, a half-year 6."""
        months = _MONTHS_OF.get(self.unit)
        if months is not None:
            return Interval(Unit.MONTH, self.count * months)
        return Interval(Unit(self.unit.value), self.count)


class Term(_Strict):
    """How long a subscriber commits: `periods` billing periods, then again (renew) or over (end)."""

    periods: int = Field(gt=0)
    then: Literal["renew", "end"] = "renew"


class FeatureAllowance(_Strict):
    """How much of a feature a plan gives: `count` articles (or whatever is used of it) that count at a time, each for
    `window`; one that counts already is free."""

    count: int = Field(ge=1, le=10_000)
    window: Window = MonthWindow(kind="calendar_month")


class PlanVersion(_Strict):
    """A plan as it is sold from `effective` on. A feature without an allowance is unlimited."""

    version: int = Field(gt=0)
    effective: date
    applies_to: AppliesTo = AppliesTo.NEW
    interval: IntervalSpec
    term: Term | None = None
    phases: tuple[Phase, ...] = Field(min_length=1)
    features: tuple[Code, ...] = ()
    allowances: dict[Code, FeatureAllowance] = Field(default_factory=dict)


class _Delivering(_Strict):
    content: tuple[Content, ...] = Field(default=(), description="what its readers get licences for")
    shipping: Shipping | None = Field(default=None, description="what is sent to its readers")

    @property
    def delivers(self) -> Delivers:
        """What it says of content and parcels."""
        return Delivers(content=self.content, shipping=self.shipping)


class Plan(_Delivering):
    """Something to subscribe to, or (an evergreen phase with one-time prices only) to buy once. What it does not say of
    content and shipping its product does, and with it the products of its bundle's parts."""

    code: Code
    name: str = Field(min_length=1)
    product: Code
    versions: tuple[PlanVersion, ...] = Field(min_length=1)

    def version_on(self, day: date) -> PlanVersion | None:
        """The version sold on `day`: the newest effective then, or None before the first."""
        sold = [version for version in self.versions if version.effective <= day]
        return max(sold, key=lambda version: version.effective) if sold else None


class Product(_Delivering):
    """What revenue and tax are counted by, and what is delivered for it."""

    code: Code
    name: str = Field(min_length=1)
    tax_category: Code


class Meter(_Strict):
    """What usage is counted by."""

    code: Code
    name: str = Field(min_length=1)
    unit: str = Field(min_length=1)


class Feature(_Strict):
    """What a plan entitles to; `metering` is what readers may use of it whose plans do not."""

    code: Code
    name: str = Field(min_length=1)
    metering: MeteringPolicy | None = None


class TaxRate(_Strict):
    """A rate of the built-in tax table: `rate` is a fraction (0.0725), from `effective` on."""

    region: str = Field(min_length=2)
    category: Code
    jurisdiction: str = Field(min_length=1)
    rate: Decimal = Field(ge=0, lt=1)
    effective: date


class Problem(BaseModel):
    """Something wrong at a place in the document: `path` leads there."""

    model_config = ConfigDict(frozen=True)
    path: tuple[str | int, ...]
    message: str


class Catalog(_Strict):
    """A whole catalog document."""

    format: Literal["masthead.catalog/1"]
    publisher: str = Field(min_length=1)
    ships_from: SenderAddress | None = None
    currencies: tuple[Currency, ...] = Field(min_length=1)
    features: tuple[Feature, ...] = ()
    meters: tuple[Meter, ...] = ()
    products: tuple[Product, ...] = Field(min_length=1)
    plans: tuple[Plan, ...] = Field(min_length=1)
    tax_rates: tuple[TaxRate, ...] = ()
