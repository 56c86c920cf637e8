"""Loading a catalog, and reading it back for rating and import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import uuid_utils
from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from domain.catalog import Catalog, Meter, Plan, PlanVersion, Product, TaxRate
from domain.delivered import Delivered, Delivers, SenderAddress, delivered_by
from domain.delivery_checks import products_of
from domain.phase_prices import as_stored, as_written, currencies_of, prices_of
from storage.database import PgConnection, transaction
from storage.events import NewEvent, append_events

_SAID_OF_PRODUCTS = "select code, delivers from product where delivers is not null"
_SAID_OF_PLANS = "select code, delivers from plan where delivers is not null"
_LOCK = 0x63617461  # one load at a time; any number, as long as it is the same everywhere


class CatalogConflict(ValueError):
    """A catalog that contradicts what is loaded already; `reasons` says where, and what to do."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(reasons))


@dataclass
class CatalogLoad:
    """What a load did: codes added, changed and left as they were, by kind (products, plans, ...)."""

    added: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    unchanged: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, code: str, before: object, after: object) -> bool:
        """Record one entry by comparing what was with what is; True when it has to be written."""
        self.unchanged.setdefault(kind, 0)
        if before == after:
            self.unchanged[kind] += 1
            return False
        (self.added if before is None else self.changed).setdefault(kind, []).append(code)
        return True


@dataclass(frozen=True)
class CatalogRows:
    """The loaded catalog as the rating engine and the import want it.

    `price_ids` is keyed by (plan, version, phase kind, price code, currency); `plan_products` maps a plan to
    its product, `product_tax` a product to its tax category, `delivered` a plan to what it delivers, where it does.
    """

    plans: dict[str, tuple[PlanVersion, ...]]
    plan_products: dict[str, str]
    product_tax: dict[str, str]
    price_ids: dict[tuple[str, int, str, str, str], str]
    tax_rates: tuple[TaxRate, ...]
    plan_names: dict[str, str]
    meters: dict[str, tuple[str, str]]
    delivered: dict[str, Delivered]


def load_catalog(engine: Engine, catalog: Catalog) -> CatalogLoad:
    """Bring the database to `catalog` in one transaction. Plan versions are immutable: the same version with
    other terms raises CatalogConflict, and then nothing is loaded. Loading the same catalog again changes
    nothing; what the catalog no longer names stays, because subscriptions may live by it."""
    load = CatalogLoad()
    reasons: list[str] = []
    with transaction(engine) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        _load_products(connection, catalog, load)
        _load_meters(connection, catalog, load)
        _load_features(connection, catalog, load)
        _load_plans(connection, catalog, load, reasons)
        _load_tax_rates(connection, catalog, load)
        if reasons:
            raise CatalogConflict(reasons)
        if load.added or load.changed:
            load_id = str(uuid_utils.uuid7())
            connection.execute(
                "insert into catalog_load (id, changed) values (%s, %s)",
                (load_id, Jsonb({"added": load.added, "changed": load.changed})),
            )
            append_events(connection, [NewEvent("catalog.loaded", None, load_id, 1)])
    return load


def read_catalog(connection: PgConnection) -> CatalogRows:
    """Everything that is loaded, plan versions in the order of their numbers."""
    plans: dict[str, tuple[PlanVersion, ...]] = {}
    products: dict[str, str] = {}
    names: dict[str, str] = {}
    for code, name, product in connection.execute("select code, name, product_code from plan order by code"):
        plans[code], products[code], names[code] = (), product, name
    for code, definition in connection.execute(
        "select plan_code, definition from plan_version order by plan_code, version"
    ):
        plans[code] = (*plans[code], as_written(PlanVersion.model_validate(definition)))
    price_ids = {
        (plan, version, phase, code, currency): str(price_id)
        for plan, version, phase, code, currency, price_id in connection.execute(
            "select v.plan_code, v.version, p.phase, p.code, p.currency, p.id"
            " from price p join plan_version v on v.id = p.plan_version_id"
        )
    }
    rates = connection.execute(
        "select region, category, jurisdiction, rate, starts_on from tax_rate"
        " order by region, category, jurisdiction, starts_on"
    )
    return CatalogRows(
        plans=plans,
        plan_products=products,
        product_tax=_pairs(connection, "select code, tax_category from product"),
        price_ids=price_ids,
        tax_rates=tuple(
            TaxRate(region=region, category=category, jurisdiction=jurisdiction, rate=rate, effective=day)
            for region, category, jurisdiction, rate, day in rates
        ),
        plan_names=names,
        meters=_pairs(connection, "select code, name, unit from meter"),
        delivered=_delivered(connection, plans, products),
    )


def _delivered(
    connection: PgConnection, plans: Mapping[str, tuple[PlanVersion, ...]], products: Mapping[str, str]
) -> dict[str, Delivered]:
    of = {code: Delivers.model_validate(said) for code, said in connection.execute(_SAID_OF_PRODUCTS)}
    own = {code: Delivers.model_validate(said) for code, said in connection.execute(_SAID_OF_PLANS)}
    if not of and not own:
        return {}
    found = {}
    for code, versions in plans.items():
        plan = Plan.model_construct(code=code, name=code, product=products[code], versions=versions)
        delivered = delivered_by(own.get(code, Delivers()), products_of(plan), of)
        if delivered.content or delivered.shipping:
            found[code] = delivered
    return found


def as_catalog(rows: CatalogRows) -> Catalog:
    """What is loaded as a catalog, for rules that look plans, meters and rates up in it; checked when it was loaded."""
    return Catalog.model_construct(
        format="masthead.catalog/1",
        publisher="",
        products=(),
        currencies=tuple(sorted({key[4] for key in rows.price_ids})),
        meters=tuple(Meter(code=code, name=name, unit=unit) for code, (name, unit) in rows.meters.items()),
        plans=tuple(
            Plan.model_construct(
                code=code, name=rows.plan_names[code], product=rows.plan_products[code], versions=versions
            )
            for code, versions in rows.plans.items()
        ),
        tax_rates=rows.tax_rates,
    )


def _pairs(connection: PgConnection, query: str) -> dict[str, Any]:
    return {row[0]: row[1] if len(row) == 2 else row[1:] for row in connection.execute(query.encode())}


def _load_products(connection: PgConnection, catalog: Catalog, load: CatalogLoad) -> None:
    present = _pairs(connection, "select code, name, tax_category, delivers from product")
    for product in catalog.products:
        delivers = _delivers(product, catalog.ships_from)
        wanted = (product.name, product.tax_category, delivers)
        if load.note("products", product.code, present.get(product.code), wanted):
            connection.execute(
                "insert into product (code, name, tax_category, delivers) values (%s, %s, %s, %s)"
                " on conflict (code) do update set name = excluded.name, tax_category = excluded.tax_category,"
                " delivers = excluded.delivers",
                (product.code, product.name, product.tax_category, delivers and Jsonb(delivers)),
            )


def _delivers(named: Product | Plan, ships_from: SenderAddress | None) -> dict[str, Any] | None:
    """What is stored of content and shipping, with the address that parcels come from; None for nothing."""
    delivers = named.delivers
    if not delivers:
        return None
    if delivers.shipping is not None and delivers.shipping.sender is None:
        shipping = delivers.shipping.model_copy(update={"sender": ships_from})
        delivers = delivers.model_copy(update={"shipping": shipping})
    return delivers.model_dump(mode="json", exclude_none=True)


def _load_meters(connection: PgConnection, catalog: Catalog, load: CatalogLoad) -> None:
    present = _pairs(connection, "select code, name, unit from meter")
    for meter in catalog.meters:
        wanted = (meter.name, meter.unit)
        if load.note("meters", meter.code, present.get(meter.code), wanted):
            connection.execute(
                "insert into meter (code, name, unit) values (%s, %s, %s)"
                " on conflict (code) do update set name = excluded.name, unit = excluded.unit",
                (meter.code, *wanted),
            )


def _load_features(connection: PgConnection, catalog: Catalog, load: CatalogLoad) -> None:
    present = _pairs(connection, "select code, name, metering from feature")
    for feature in catalog.features:
        metering = None if feature.metering is None else feature.metering.model_dump(mode="json")
        if load.note("features", feature.code, present.get(feature.code), (feature.name, metering)):
            connection.execute(
                "insert into feature (code, name, metering) values (%s, %s, %s)"
                " on conflict (code) do update set name = excluded.name, metering = excluded.metering",
                (feature.code, feature.name, None if metering is None else Jsonb(metering)),
            )


def _load_plans(connection: PgConnection, catalog: Catalog, load: CatalogLoad, reasons: list[str]) -> None:
    loaded = read_catalog(connection)
    said = _pairs(connection, "select code, name, delivers from plan")
    for plan in catalog.plans:
        product = loaded.plan_products.get(plan.code)
        if product is not None and product != plan.product:
            reasons.append(
                f"plan {plan.code}: it belongs to product {product} and is billed as that; "
                f"to sell {plan.product}, add a plan with a code of its own"
            )
            continue
        delivers = _delivers(plan, catalog.ships_from)
        if load.note("plans", plan.code, said.get(plan.code), (plan.name, delivers)):
            connection.execute(
                "insert into plan (code, name, product_code, delivers) values (%s, %s, %s, %s)"
                " on conflict (code) do update set name = excluded.name, delivers = excluded.delivers",
                (plan.code, plan.name, plan.product, delivers and Jsonb(delivers)),
            )
        _load_versions(connection, catalog, plan, loaded.plans.get(plan.code, ()), load, reasons)


def _load_versions(
    connection: PgConnection,
    catalog: Catalog,
    plan: Plan,
    loaded: tuple[PlanVersion, ...],
    load: CatalogLoad,
    reasons: list[str],
) -> None:
    present = {version.version: version for version in loaded}
    days = {version.effective: version.version for version in loaded}
    for version in plan.versions:
        name = f"{plan.code} version {version.version}"
        before = present.get(version.version)
        if before is not None and before != version:
            highest = max(*present, *(v.version for v in plan.versions))
            reasons.append(
                f"plan {name} is loaded with other terms ({_difference(before, version)}), and a version never "
                f"changes: put the old terms back and add version {highest + 1} with the new ones"
            )
            continue
        if before is None and version.effective in days:
            reasons.append(
                f"plan {name}: version {days[version.effective]}, loaded before, is effective on "
                f"{version.effective} too; give it another date"
            )
            continue
        if load.note("plan versions", name, before, version):
            _insert_version(connection, plan.code, version, catalog.currencies)


def _difference(before: PlanVersion, after: PlanVersion) -> str:
    return "differs in " + ", ".join(
        name for name in type(before).model_fields if getattr(before, name) != getattr(after, name)
    )


def _insert_version(
    connection: PgConnection, plan_code: str, version: PlanVersion, currencies: Sequence[str]
) -> None:
    definition = as_stored(version).model_dump(mode="json")
    version_id = str(uuid_utils.uuid7())
    connection.execute(
        "insert into plan_version (id, plan_code, version, effective_on, definition) values (%s, %s, %s, %s, %s)",
        (version_id, plan_code, version.version, version.effective, Jsonb(definition)),
    )
    for phase in version.phases:
        for price in prices_of(version, phase):
            for currency in currencies_of(price, currencies):
                connection.execute(
                    "insert into price (id, plan_version_id, phase, code, currency) values (%s, %s, %s, %s, %s)",
                    (str(uuid_utils.uuid7()), version_id, phase.kind.value, price.code, currency),
                )


def _load_tax_rates(connection: PgConnection, catalog: Catalog, load: CatalogLoad) -> None:
    present: Mapping[tuple[str, str, str, Any], Any] = {
        (region, category, jurisdiction, day): rate
        for region, category, jurisdiction, day, rate in connection.execute(
            "select region, category, jurisdiction, starts_on, rate from tax_rate"
        )
    }
    for rate in catalog.tax_rates:
        key = (rate.region, rate.category, rate.jurisdiction, rate.effective)
        if load.note("tax rates", " / ".join(map(str, key)), present.get(key), rate.rate):
            connection.execute(
                "insert into tax_rate (id, region, category, jurisdiction, starts_on, rate)"
                " values (%s, %s, %s, %s, %s, %s) on conflict (region, category, jurisdiction, starts_on)"
                " do update set rate = excluded.rate",
                (str(uuid_utils.uuid7()), *key, rate.rate),
            )
