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

from domain.money import exponent
from domain.periods import Interval, Unit

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


class PhaseKind(StrEnum):
    """Trial is free and dated in days; intro lasts some periods; evergreen goes on."""

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
    """A part of a bundle: the product that earns `weight` of the bundle's price (revenue and tax follow
    it)."""

    product: Code
    weight: int = Field(gt=0, description="share of the price, relative to the other parts' weights")


class Price(_Strict):
    """A price of a phase. `amounts` are major units as text, per currency: for flat prices the price, for
    per-unit ones a unit's, for packages a package's."""

    code: Code
    type: PriceType
    model: PriceModel = PriceModel.FLAT
    amounts: dict[Currency, AmountText] = Field(default_factory=dict)
    tiers: tuple[Tier, ...] = ()
    package_size: Decimal | None = Field(default=None, gt=0)
    meter: Code | None = None
    allowance: Decimal = Field(default=Decimal(0), ge=0, description="units of the meter that cost nothing")
    product: Code | None = Field(
        default=None, description="what it is revenue of; the plan's product by default"
    )
    parts: tuple[BundlePart, ...] = ()


class Phase(_Strict):
    """A stretch of a plan's life with prices of its own."""

    kind: PhaseKind
    days: int | None = Field(default=None, gt=0, description="length of a trial")
    periods: int | None = Field(default=None, gt=0, description="length of an intro, in billing periods")
    prices: tuple[Price, ...] = ()


class IntervalSpec(_Strict):
    """A billing interval; a bare unit means one of it."""

    unit: Unit
    count: int = Field(default=1, gt=0, le=120)

    def interval(self) -> Interval:
        """As the value that periods are computed with."""
        return Interval(self.unit, self.count)


class Term(_Strict):
    """How long a subscriber commits: `periods` billing periods, then again (renew) or over (end)."""

    periods: int = Field(gt=0)
    then: Literal["renew", "end"] = "renew"


class PlanVersion(_Strict):
    """A plan as it is sold from `effective` on."""

    version: int = Field(gt=0)
    effective: date
    applies_to: AppliesTo = AppliesTo.NEW
    interval: IntervalSpec
    term: Term | None = None
    phases: tuple[Phase, ...] = Field(min_length=1)
    features: tuple[Code, ...] = ()


class Plan(_Strict):
    """Something to subscribe to, or (an evergreen phase with one-time prices only) to buy once."""

    code: Code
    name: str = Field(min_length=1)
    product: Code
    versions: tuple[PlanVersion, ...] = Field(min_length=1)

    def version_on(self, day: date) -> PlanVersion | None:
        """The version sold on `day`: the newest effective then, or None before the first."""
        sold = [version for version in self.versions if version.effective <= day]
        return max(sold, key=lambda version: version.effective) if sold else None


class Product(_Strict):
    """What revenue and tax are counted by."""

    code: Code
    name: str = Field(min_length=1)
    tax_category: Code


class Meter(_Strict):
    """What usage is counted by."""

    code: Code
    name: str = Field(min_length=1)
    unit: str = Field(min_length=1)


class Feature(_Strict):
    """What a plan entitles to."""

    code: Code
    name: str = Field(min_length=1)


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
    currencies: tuple[Currency, ...] = Field(min_length=1)
    features: tuple[Feature, ...] = ()
    meters: tuple[Meter, ...] = ()
    products: tuple[Product, ...] = Field(min_length=1)
    plans: tuple[Plan, ...] = Field(min_length=1)
    tax_rates: tuple[TaxRate, ...] = ()
