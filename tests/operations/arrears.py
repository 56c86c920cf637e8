"""A fleet whose plans charge in advance, in arrears and both ways, imported in every state of its periods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from domain.catalog import Catalog
from domain.catalog_checks import find_problems
from domain.import_map import ImportMap
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, import_file
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.billed import bill


def _price(code: str, usd: str, billed: str = "advance", **more: Any) -> dict[str, Any]:
    return {"code": code, "type": "recurring", "billed": billed, "amounts": {"USD": usd}, **more}


def _evergreen(*prices: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "evergreen", "prices": list(prices)}


def _plan(code: str, *phases: dict[str, Any], **more: Any) -> dict[str, Any]:
    version = {"version": 1, "effective": "2020-01-01", "interval": {"unit": "month"}, "phases": list(phases)}
    return {"code": code, "name": code.title(), "product": "news", "versions": [version | more]}


_PARTS = [{"product": "news", "weight": 2}, {"product": "puzzles", "weight": 1}]
_READING = {
    "code": "reading",
    "type": "usage",
    "model": "per_unit",
    "meter": "articles",
    "amounts": {"USD": "0.10"},
}

CATALOG = Catalog.model_validate(
    {
        "format": "masthead.catalog/1",
        "publisher": "The Late Post",
        "currencies": ["USD"],
        "meters": [{"code": "articles", "name": "Articles", "unit": "article"}],
        "products": [
            {"code": code, "name": code.title(), "tax_category": "digital"} for code in ("news", "puzzles")
        ],
        "plans": [
            _plan("ahead", _evergreen(_price("access", "10.00"))),
            # A bundle in arrears, at half its price at first: no day without.
            _plan(
                "later",
                {"kind": "intro", "periods": 1, "percent": "50"},
                _evergreen(_price("access", "9.00", "arrears", parts=_PARTS), _READING),
            ),
            _plan(
                "mixed",
                {"kind": "trial", "days": 10},
                _evergreen(
                    _price("base", "2.00"),
                    _price("fee", "5.00", "arrears"),
                    _price("page", "1.00", "arrears"),
                ),
            ),
            # In some phases only: the intro is paid ahead, the rest in arrears.
            _plan(
                "turning",
                {"kind": "intro", "periods": 1, "prices": [_price("access", "1.00")]},
                _evergreen(_price("access", "8.00", "arrears")),
            ),
        ],
    }
)
assert not find_problems(CATALOG), find_problems(CATALOG)

_MAP = ImportMap.model_validate(
    {
        "format": "masthead.import-map/1",
        "account": {
            "key": {"column": "key"},
            "currency": {"value": "USD"},
            "time_zone": {"value": "America/New_York"},
            "bill_cycle_day": {"column": "day"},
        },
        "subscription": {
            "start": {"column": "start"},
            "charged_through": {"column": "charged"},
            "end": {"column": "end"},
        },
        "items": [
            {"plan": {"column": "plan"}},
            {"plan": {"value": "ahead"}, "when": {"column": "more", "equals": ["yes"]}},
        ],
    }
)

IMPORTED_ON = date(2026, 11, 20)
_COLUMNS = "key,plan,start,charged,day,end,more"
_ROWS = [
    f"{plan}-{name},{plan},{rest}"
    for plan in ("ahead", "later", "mixed", "turning")
    for name, rest in (
        ("new", "2026-11-20,,,,"),
        ("old", "2024-01-31,2026-11-30,,,"),
        ("within", "2026-06-05,2026-11-17,,,"),  # another system charged to a day within a period
        ("cycle", "2026-11-03,,15,,"),  # a leading stub
        ("late", "2026-09-12,,,,"),  # periods that were never billed
        ("ending", "2026-10-10,2026-11-10,,2027-01-04,"),  # a trailing part
        ("more", "2026-05-08,2026-11-08,,," + ("" if plan == "ahead" else "yes")),
    )
]
SUBSCRIPTIONS = len(_ROWS)
ITEMS = SUBSCRIPTIONS + 3


def late_fleet(server: PostgresForTests, folder: Path, days: Sequence[date]) -> str:
    """The URL of a database with the fleet, billed on `days`."""
    url = server.fresh_database("late")
    engine = make_engine(url)
    try:
        subscribe(engine, folder)
        for day in days:
            bill(engine, day)
    finally:
        engine.dispose()
    return url


def subscribe(engine: Engine, folder: Path) -> None:
    """Load the catalog and import every row."""
    load_catalog(engine, CATALOG)
    file = folder / "readers.csv"
    file.write_text("\n".join([_COLUMNS, *_ROWS]) + "\n")
    summary = import_file(engine, ImportRequest(file, _MAP, IMPORTED_ON))
    assert (summary.imported, summary.rejected) == (SUBSCRIPTIONS, 0)
