"""`masthead catalog`: check a catalog document, load it, show what is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.catalog import AppliesTo, Billed, Percentage, Phase, PhaseKind, PlanVersion, Price, ZeroUsage
from domain.delivered import Delivered
from domain.periods import Align
from operations.catalog import CatalogConflict, CatalogLoad, CatalogRows, load_catalog, read_catalog
from runtime.catalog_source import CatalogSource, read_catalog_file
from runtime.cli.errors import UserError
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from runtime.yaml_source import DocumentError
from storage.database import make_engine, transaction

app = typer.Typer(no_args_is_help=True, help="The catalog: products, plans, prices and tax rates.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A catalog document (YAML).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_LOAD_AGAIN = "Nothing was loaded. Correct the file and load it again."
_REACHES = {AppliesTo.NEW: "new subscribers", AppliesTo.RENEWAL: "all, at their renewal"}


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Read FILE and report everything that is wrong with it. Needs no database."""
    catalog = _read(file, "Correct the file and check it again.").catalog
    facts = {
        "products": len(catalog.products),
        "plans": len(catalog.plans),
        "plan_versions": sum(len(plan.versions) for plan in catalog.plans),
        "currencies": list(catalog.currencies),
        "tax_rates": len(catalog.tax_rates),
    }
    if as_json:
        print(json.dumps({"file": str(file), "ok": True, **facts}))
    else:
        print(
            f"{file} is sound: {facts['plans']} plans in {facts['plan_versions']} versions, "
            f"{facts['products']} products, {facts['tax_rates']} tax rates, "
            f"prices in {', '.join(catalog.currencies)}"
        )


@app.command()
def load(file: File, as_json: AsJson = False) -> None:
    """Load FILE: all of it, or, when anything is wrong, nothing. Loading it again changes nothing."""
    source = _read(file, _LOAD_AGAIN)
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            done = load_catalog(engine, source.catalog)
        except CatalogConflict as conflict:
            found = DocumentError(file, [source.problem(reason) for reason in conflict.reasons])
            raise UserError(str(found), remedy=_LOAD_AGAIN) from None
        finally:
            engine.dispose()
    if as_json:
        print(json.dumps({"added": done.added, "changed": done.changed, "unchanged": done.unchanged}))
    else:
        _tell(file, done)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the plans that are loaded, with their versions and prices."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with transaction(engine) as connection:
                rows = read_catalog(connection)
        finally:
            engine.dispose()
    if as_json:
        print(json.dumps(_as_data(rows), ensure_ascii=False))
        return
    if not rows.plans:
        print("No catalog is loaded yet; `masthead catalog load FILE` loads one.")
    for code, versions in rows.plans.items():
        print(f"{code}: {rows.plan_names[code]}")
        for version in versions:
            print(f"  {_version_text(version)}")
            for phase in version.phases:
                prices = [_price_text(price) for price in phase.prices] or [_without_prices(phase)]
                name = f"intro, {_many(phase.periods or 0, 'period')}" if phase.periods else phase.kind.value
                alone = len(version.phases) == 1 and phase.kind is PhaseKind.EVERGREEN
                for text in prices:
                    print(f"    {text}" if alone else f"    {name}: {text}")
        for text in _delivered_texts(rows.delivered.get(code, Delivered())):
            print(f"  {text}")


def _read(file: Path, remedy: str) -> CatalogSource:
    try:
        return read_catalog_file(file)
    except DocumentError as error:
        found = len(error.problems)
        raise UserError(str(error), remedy=f"{found} problems. {remedy}" if found > 1 else remedy) from None


def _tell(file: Path, done: CatalogLoad) -> None:
    for kind, unchanged in done.unchanged.items():
        added, changed = done.added.get(kind, []), done.changed.get(kind, [])
        parts = [f"{len(added)} added"] if added else []
        parts += [f"{len(changed)} changed ({', '.join(changed[:5])})"] if changed else []
        parts += [f"{unchanged} unchanged"] if unchanged or not parts else []
        print(f"{kind:<14} {', '.join(parts)}")
    if not done.added and not done.changed:
        print(f"{file} was loaded before: nothing changed")


def _version_text(version: PlanVersion) -> str:
    every = _many(version.interval.count, version.interval.unit.value.replace("_", "-"))
    every = every.removeprefix("1 ")
    if version.interval.align is Align.CALENDAR:
        every += " of the calendar"
    text = f"version {version.version} from {version.effective}, every {every}, reaches {_REACHES[version.applies_to]}"
    if version.term is not None:
        then = "renews" if version.term.then == "renew" else "ends"
        text += f"; {then} after {_many(version.term.periods, 'period')}"
    return text


def _delivered_texts(delivered: Delivered) -> Iterator[str]:
    for content in delivered.content:
        devices = "" if content.devices is None else f", {_many(content.devices, 'device')}"
        days = "" if content.days is None else f", {_many(content.days, 'day')} where it is bought once"
        yield f"delivers content {content.id}{devices}{days}"
    for shipping in delivered.shipping:
        issues = shipping.issues
        if issues is None:
            when = "once"
        elif issues.weekdays:
            when = f"each {', '.join(issues.weekdays)}"
        else:
            when = f"on day {', '.join(map(str, issues.month_days))} of the month"
        yield f"sends {shipping.sku}, {shipping.weight} g, {when}"


def _without_prices(phase: Phase) -> str:
    if phase.percent is not None:
        return f"{phase.percent:f} % of the evergreen recurring prices"
    return f"free until {phase.until}" if phase.until is not None else f"free for {phase.days} days"


def _price_text(price: Price) -> str:
    tier = price.tiers[0] if price.tiers else None
    amounts = price.amounts if tier is None else tier.unit_amounts or tier.flat_amounts
    kind = f"{price.type.value}, {price.model.value}"
    if price.tiers:
        kind += f", first of {_many(len(price.tiers), 'tier')}"
    if price.allowance:
        kind += f", {price.allowance:f} free"
    if price.billed is Billed.ARREARS:
        kind += ", in arrears"
    if price.zero_usage is ZeroUsage.LINE:
        kind += ", shown when nothing is used"
    if price.percentage is not None:
        return f"{price.code}: {_percentage_text(price.percentage)} ({kind})"
    text = ", ".join(f"{amount} {currency}" for currency, amount in amounts.items())
    return f"{price.code}: {text} ({kind})"


def _percentage_text(share: Percentage) -> str:
    text = f"{share.rate:f} %"
    for said, amounts in (
        ("and {} an event", share.fixed_fees),
        ("at least {}", share.min_amounts),
        ("at most {}", share.max_amounts),
        ("the first {} free", share.free_amounts),
    ):
        if amounts:
            text += ", " + said.format("/".join(f"{amount} {code}" for code, amount in amounts.items()))
    return f"{text}, {_many(share.free_events, 'event')} free" if share.free_events else text


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _as_data(rows: CatalogRows) -> dict[str, Any]:
    return {
        "products": [{"code": code, "tax_category": category} for code, category in rows.product_tax.items()],
        "plans": [
            {
                "code": code,
                "name": rows.plan_names[code],
                "product": rows.plan_products[code],
                "versions": [version.model_dump(mode="json") for version in versions],
                "content": [each.model_dump(mode="json") for each in delivered.content],
                "shipping": [each.model_dump(mode="json") for each in delivered.shipping],
            }
            for code, versions in rows.plans.items()
            for delivered in [rows.delivered.get(code, Delivered())]
        ],
        "tax_rates": [rate.model_dump(mode="json") for rate in rows.tax_rates],
    }
