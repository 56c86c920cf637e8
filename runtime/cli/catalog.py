"""`masthead catalog`: check a catalog document, load it, show what is loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

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


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Read FILE and report everything that is wrong with it. Needs no database."""
    catalog = _read(file).catalog
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
    source = _read(file)
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            done = load_catalog(engine, source.catalog)
        except CatalogConflict as conflict:
            raise UserError(
                "\n".join(f"{file}: {reason}" for reason in conflict.reasons),
                remedy="Nothing was loaded. Correct the file and load it again.",
            ) from None
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
    table = Table(box=None, pad_edge=False)
    for name in ("plan", "version", "from", "reaches", "every", "phase"):
        table.add_column(name, no_wrap=True)
    table.add_column("prices", overflow="fold")
    for code, versions in rows.plans.items():
        for version in versions:
            for phase in version.phases:
                prices = "\n".join(_price_text(price.model_dump()) for price in phase.prices)
                table.add_row(
                    code,
                    str(version.version),
                    str(version.effective),
                    version.applies_to.value,
                    f"{version.interval.count} {version.interval.unit.value}",
                    phase.kind.value,
                    prices or f"free for {phase.days} days",
                )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _read(file: Path) -> CatalogSource:
    try:
        return read_catalog_file(file)
    except DocumentError as error:
        raise UserError(str(error), remedy=_remedy(len(error.problems))) from None


def _remedy(problems: int) -> str:
    found = "1 problem" if problems == 1 else f"{problems} problems"
    return f"{found} found; nothing was loaded. Correct the file and repeat."


def _tell(file: Path, done: CatalogLoad) -> None:
    for kind, unchanged in done.unchanged.items():
        added, changed = done.added.get(kind, []), done.changed.get(kind, [])
        parts = [f"{len(added)} added"] if added else []
        parts += [f"{len(changed)} changed ({', '.join(changed[:5])})"] if changed else []
        parts += [f"{unchanged} unchanged"] if unchanged or not parts else []
        print(f"{kind:<14} {', '.join(parts)}")
    if not done.added and not done.changed:
        print(f"{file} was loaded before: nothing changed")


def _price_text(price: dict[str, Any]) -> str:
    amounts = price["amounts"] or (price["tiers"][0]["unit_amounts"] or price["tiers"][0]["flat_amounts"])
    text = ", ".join(f"{amount} {currency}" for currency, amount in amounts.items())
    return f"{price['code']}: {'from ' if price['tiers'] else ''}{text} ({price['type'].value}, {price['model'].value})"


def _as_data(rows: CatalogRows) -> dict[str, Any]:
    return {
        "products": [{"code": code, "tax_category": category} for code, category in rows.product_tax.items()],
        "plans": [
            {
                "code": code,
                "name": rows.plan_names[code],
                "product": rows.plan_products[code],
                "versions": [version.model_dump(mode="json") for version in versions],
            }
            for code, versions in rows.plans.items()
        ],
        "tax_rates": [rate.model_dump(mode="json") for rate in rows.tax_rates],
    }
