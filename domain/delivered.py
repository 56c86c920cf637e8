"""What a plan delivers beside access: protected content that readers get licences for, and parcels with printed
issues.

A catalog says it for a product, and for a plan where that differs. It is no term of a sale: a paper that becomes
heavier needs no new version of the plans that it is sold by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# The heaviest parcel, in grams, that carriers take without asking.
HEAVIEST = 70_000


def _is_country(text: str) -> str:
    if len(text) != 2 or not text.isascii() or not text.isupper():
        raise ValueError(f"{text!r} is not a country; write its two letters of ISO 3166-1, like DE")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Content(_Strict):
    """Protected content: `id` is what the DRM system calls it, a title or a collection. `devices`: on how many it may
    be read; `days`: how long, for what is bought once. What is subscribed to is licensed as far as it is billed, and
    `grace_days` longer, so that the next bill comes before the licence runs out."""

    id: str = Field(min_length=1, max_length=100, description="what the DRM system calls the content")
    devices: int | None = Field(default=None, ge=1, le=100, description="devices at a time; none: no limit")
    days: int | None = Field(
        default=None, ge=1, le=36_500, description="days of reading, where it is bought once"
    )
    grace_days: int = Field(default=1, ge=0, le=30, description="days beyond what is billed")


class SenderAddress(_Strict):
    """Where parcels come from, and come back to."""

    line1: str = Field(min_length=1)
    line2: str = ""
    city: str = Field(min_length=1)
    region: str = ""
    postal_code: str = Field(min_length=1)
    country: Annotated[str, AfterValidator(_is_country)]


class Issues(_Strict):
    """When an edition comes out that is sent issue by issue: on weekdays, or on days of the month (31: its last). An
    issue is ordered from the delivery system `lead_days` before its day."""

    weekdays: tuple[Weekday, ...] = ()
    month_days: tuple[Annotated[int, Field(ge=1, le=31)], ...] = ()
    lead_days: int = Field(default=2, ge=0, le=30, description="days before an issue on which it is ordered")

    @model_validator(mode="after")
    def _one_of_both(self) -> Issues:
        if bool(self.weekdays) == bool(self.month_days):
            raise ValueError("say when issues come: by weekdays, or by month_days, and not by both")
        return self

    def appears(self, day: date) -> bool:
        """Whether an issue is dated `day`."""
        if self.weekdays:
            return _WEEK[day.weekday()] in self.weekdays
        last = (day + timedelta(days=1)).day == 1
        return day.day in self.month_days or (last and max(self.month_days) > day.day)

    def next_from(self, day: date) -> date:
        """The first issue dated `day` or later."""
        while not self.appears(day):
            day += timedelta(days=1)
        return day


class Shipping(_Strict):
    """What is sent: once, or with `issues` each of them. `weight`: grams of one copy. `customs`: the tariff code, for
    parcels that cross a border. `service`: the carrier's, where it is not to choose."""

    sku: str = Field(min_length=1, max_length=60, description="what the warehouse calls it")
    weight: int = Field(gt=0, le=HEAVIEST, description="grams of one copy")
    customs: str | None = Field(default=None, pattern=r"^\d{4}(\.?\d{2}){0,3}$", description="tariff code")
    service: str | None = Field(default=None, min_length=1, max_length=60)
    issues: Issues | None = None
    sender: SenderAddress | None = Field(default=None, description="default: the catalog's ships_from")


class Delivers(_Strict):
    """What a product or a plan says of itself."""

    content: tuple[Content, ...] = ()
    shipping: Shipping | None = None

    def __bool__(self) -> bool:
        return bool(self.content) or self.shipping is not None


class Delivered(NamedTuple):
    """What buyers of a plan get, with that of its product and of the parts of its bundle; each thing once."""

    content: tuple[Content, ...] = ()
    shipping: tuple[Shipping, ...] = ()


def delivered_by(own: Delivers, products: Sequence[str], of: Mapping[str, Delivers]) -> Delivered:
    """What a plan delivers: what it says itself, and of what it does not say, that of `products`: its own, and those
    of the parts of its bundle."""
    inherited = [of[each] for each in dict.fromkeys(products) if each in of]
    content = own.content or tuple(each for one in inherited for each in one.content)
    shipping = (own.shipping,) if own.shipping else tuple(one.shipping for one in inherited if one.shipping)
    return Delivered(
        tuple({each.id: each for each in content}.values()),
        tuple({each.sku: each for each in shipping}.values()),
    )


def issue_days(issues: Issues, since: date, until: date) -> Iterator[date]:
    """The days of issues from `since` until `until` (exclusive)."""
    day = issues.next_from(since)
    while day < until:
        yield day
        day = issues.next_from(day + timedelta(days=1))
