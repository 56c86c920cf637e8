"""The catalog over HTTP: what is sold today, at which prices."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from api.database import in_snapshot
from api.problems import Problem
from api.security import Caller, require_scope
from domain.catalog import (
    AppliesTo,
    Billed,
    BundlePart,
    IntervalSpec,
    Percentage,
    Phase,
    PhaseKind,
    PlanVersion,
    Price,
    PriceModel,
    PriceType,
    Term,
    Tier,
)
from domain.phase_prices import prices_of
from operations.catalog import CatalogRows, read_catalog
from storage.catalog_names import CatalogNames, catalog_names, catalog_revision
from storage.database import PgConnection

router = APIRouter(prefix="/v1/catalog", tags=["catalog"])

Reader = Annotated[Caller, Depends(require_scope("catalog:read"))]
Code = str


class ProductOut(BaseModel):
    """What revenue and tax are counted by."""

    code: Code
    name: str
    tax_category: str


class MeterOut(BaseModel):
    """What usage is counted by."""

    code: Code
    name: str
    unit: str


class PriceOut(BaseModel):
    """A price of a phase. amounts: by currency, in major units as text, by the price's model: the price, a unit's, a
    package's, or the least that a period comes to. currencies: those in which it can be charged."""

    code: Code
    type: PriceType
    model: PriceModel
    billed: Billed
    currencies: list[str]
    amounts: dict[str, str]
    tiers: list[Tier]
    package_size: Decimal | None
    percentage: Percentage | None
    meter: Code | None
    allowance: Decimal
    product: Code | None
    parts: list[BundlePart]


class PhaseOut(BaseModel):
    """A stretch of a plan's life: a trial of `days` or `until` a day, an intro of `periods`, or evergreen."""

    kind: PhaseKind
    days: int | None
    until: date | None
    periods: int | None
    percent: Decimal | None
    prices: list[PriceOut]


class VersionOut(BaseModel):
    """A plan as it is sold from `effective` on. features: what it entitles to."""

    version: int
    effective: date
    applies_to: AppliesTo
    interval: IntervalSpec
    term: Term | None
    features: list[Code]
    phases: list[PhaseOut]


class PlanOut(BaseModel):
    """A plan. current: the version sold on the day asked for; null before its first."""

    code: Code
    name: str
    product: Code
    current: VersionOut | None


class PlanWithVersions(PlanOut):
    """A plan with all its versions, oldest first."""

    versions: list[VersionOut]


class CatalogOut(BaseModel):
    """The catalog on a day. features: all that a plan's current version entitles to."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "on": "2026-12-01",
                "currencies": ["EUR", "USD"],
                "products": [{"code": "digital", "name": "Digital", "tax_category": "digital-news"}],
                "meters": [],
                "features": ["articles"],
                "plans": [
                    {
                        "code": "daily-digital",
                        "name": "Daily Digital",
                        "product": "digital",
                        "current": {
                            "version": 1,
                            "effective": "2026-01-01",
                            "applies_to": "new",
                            "interval": {"unit": "month", "count": 1, "align": "anchor"},
                            "term": None,
                            "features": ["articles"],
                            "phases": [],
                        },
                    }
                ],
            }
        }
    )

    on: date
    currencies: list[str]
    products: list[ProductOut]
    meters: list[MeterOut]
    features: list[Code]
    plans: list[PlanOut]


On = Annotated[date | None, Query(description="the day that is asked about; today (UTC) by default")]


@router.get("", summary="The catalog")
async def show_catalog(request: Request, _: Reader, on: On = None) -> CatalogOut:
    """Products, meters, and plans with the version that is sold on the day, with its prices in every currency."""
    day = on or datetime.now(UTC).date()
    offer = await _read(request)
    plans = [offer.plan(code, day) for code in offer.rows.plans]
    sold = [plan.current for plan in plans if plan.current]
    return CatalogOut(
        on=day,
        currencies=sorted({key[4] for key in offer.rows.price_ids}),
        products=[ProductOut.model_validate(product) for product in offer.names.products],
        meters=[MeterOut.model_validate(meter) for meter in offer.names.meters],
        features=sorted({feature for version in sold for feature in version.features}),
        plans=plans,
    )


@router.get("/plans/{code}", summary="One plan")
async def show_plan(request: Request, _: Reader, code: str, on: On = None) -> PlanWithVersions:
    """With all its versions."""
    offer = await _read(request)
    if code not in offer.rows.plans:
        raise Problem(
            404, "no_such_plan", "The catalog has no such plan.", remedy="GET /v1/catalog lists the plans."
        )
    plan = offer.plan(code, on or datetime.now(UTC).date())
    return PlanWithVersions(
        **dict(plan), versions=[offer.version(code, version) for version in offer.rows.plans[code]]
    )


async def _read(request: Request) -> _Offer:
    """The catalog as it is now; read again only when it has changed."""
    state = request.app.state

    def read(connection: PgConnection) -> _Offer:
        revision = catalog_revision(connection)
        known: _Known | None = getattr(state, "catalog", None)
        if known is None or known.revision != revision:
            offer = _Offer(read_catalog(connection), catalog_names(connection))
            known = state.catalog = _Known(revision, offer)
        return known.offer

    return await in_snapshot(request, read)


class _Known(NamedTuple):
    revision: str
    offer: _Offer


class _Offer:
    """The loaded catalog, as it is shown."""

    def __init__(self, rows: CatalogRows, names: CatalogNames) -> None:
        self.rows = rows
        self.names = names
        self._currencies: dict[tuple[str, int, str, str], list[str]] = defaultdict(list)
        for plan, version, phase, price, currency in sorted(rows.price_ids):
            self._currencies[plan, version, phase, price].append(currency)

    def plan(self, code: str, day: date) -> PlanOut:
        sold = [version for version in self.rows.plans[code] if version.effective <= day]
        current = max(sold, key=lambda version: version.effective, default=None)
        return PlanOut(
            code=code,
            name=self.rows.plan_names[code],
            product=self.rows.plan_products[code],
            current=current and self.version(code, current),
        )

    def version(self, code: str, version: PlanVersion) -> VersionOut:
        return VersionOut(
            version=version.version,
            effective=version.effective,
            applies_to=version.applies_to,
            interval=version.interval,
            term=version.term,
            features=list(version.features),
            phases=[self._phase(code, version, phase) for phase in version.phases],
        )

    def _phase(self, code: str, version: PlanVersion, phase: Phase) -> PhaseOut:
        return PhaseOut(
            kind=phase.kind,
            days=phase.days,
            until=phase.until,
            periods=phase.periods,
            percent=phase.percent,
            prices=[
                self._price((code, version.version, phase.kind.value, price.code), price)
                for price in prices_of(version, phase)
            ],
        )

    def _price(self, key: tuple[str, int, str, str], price: Price) -> PriceOut:
        return PriceOut(
            code=price.code,
            type=price.type,
            model=price.model,
            billed=price.billed,
            currencies=self._currencies[key],
            amounts=price.amounts,
            tiers=list(price.tiers),
            package_size=price.package_size,
            percentage=price.percentage,
            meter=price.meter,
            allowance=price.allowance,
            product=price.product,
            parts=list(price.parts),
        )
