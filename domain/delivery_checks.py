"""What a catalog must keep to where its products and plans deliver content and parcels."""

from __future__ import annotations

from domain.catalog import Catalog, Plan, PriceType, Product
from domain.catalog_references import Found, Path, repeated
from domain.delivered import Delivered, delivered_by


def find_delivery_problems(catalog: Catalog) -> Found:
    """Everything that is wrong with content and shipping of `catalog`."""
    for no, product in enumerate(catalog.products):
        yield from _own(("products", no), product, catalog)
    for no, plan in enumerate(catalog.plans):
        yield from _own(("plans", no), plan, catalog)
        yield from _plan(("plans", no), plan, delivered_of(catalog, plan))


def delivered_of(catalog: Catalog, plan: Plan) -> Delivered:
    """What `plan` delivers, with what its products say."""
    known = {product.code: product.delivers for product in catalog.products}
    return delivered_by(plan.delivers, products_of(plan), known)


def products_of(plan: Plan) -> list[str]:
    """The codes of the plan's product and of its bundle's parts."""
    parts = [
        part.product
        for version in plan.versions
        for phase in version.phases
        for price in phase.prices
        for part in price.parts
    ]
    return [plan.product, *parts]


def _own(path: Path, named: Product | Plan, catalog: Catalog) -> Found:
    yield from repeated((*path, "content"), [each.id for each in named.content], "content", "id")
    if named.shipping is not None and named.shipping.sender is None and catalog.ships_from is None:
        yield (
            (*path, "shipping", "sender"),
            "nobody is named who sends it; give the address here, or for all as `ships_from` of the catalog",
        )


def _plan(path: Path, plan: Plan, delivered: Delivered) -> Found:
    if not delivered.content and not delivered.shipping:
        return
    if _bought_once(plan):
        endless = [each.id for each in delivered.content if each.days is None]
        if endless:
            yield (
                _place(path, plan, "content"),
                f"the plan is bought once: say with `days` how long a licence for {endless[0]} lasts (36500: a "
                "hundred years)",
            )
        regular = [each.sku for each in delivered.shipping if each.issues is not None]
        if regular:
            yield (
                _place(path, plan, "shipping"),
                f"the plan is bought once, and {regular[0]} is sent issue by issue; take `issues` out, or give the "
                "plan a shipping of its own",
            )
        return
    for no, version in enumerate(plan.versions):
        if not version.features:
            yield (
                (*path, "versions", no, "features"),
                "who subscribes gets content or parcels as long as the version entitles to a feature, and it "
                "entitles to none; name one",
            )


def _place(path: Path, plan: Plan, field: str) -> Path:
    own = plan.content if field == "content" else plan.shipping
    return (*path, field) if own else (*path, "product")


def _bought_once(plan: Plan) -> bool:
    kinds = {price.type for version in plan.versions for phase in version.phases for price in phase.prices}
    return kinds == {PriceType.ONE_TIME}
