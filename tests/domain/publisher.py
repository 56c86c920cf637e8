"""A publisher for random walks: plans of every kind, prices that do not divide evenly, taxes in two places."""

from __future__ import annotations

from typing import Any

from domain.catalog import Catalog
from domain.catalog_checks import find_problems


def _recurring(usd: str, jpy: int, **more: Any) -> dict[str, Any]:
    return {"code": "access", "type": "recurring", "amounts": {"USD": usd, "EUR": usd, "JPY": jpy}, **more}


def _plan(
    code: str, *phases: dict[str, Any], unit: str = "month", count: int = 1, product: str = "news"
) -> dict[str, Any]:
    version = {
        "version": 1,
        "effective": "2015-01-01",
        "interval": {"unit": unit, "count": count},
        "phases": list(phases),
    }
    return {"code": code, "name": code, "product": product, "versions": [version]}


def _evergreen(*prices: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "evergreen", "prices": list(prices)}


_ARTICLES = {
    "code": "articles",
    "type": "usage",
    "model": "per_unit",
    "meter": "articles",
    "allowance": 3,
    "amounts": {"USD": "0.25", "EUR": "0.25", "JPY": 25},
}
_MINIMUM = {
    "code": "least",
    "type": "usage",
    "model": "minimum",
    "amounts": {"USD": "1.50", "EUR": "1.50", "JPY": 150},
}
_PARTS = [{"product": "news", "weight": 1}, {"product": "paper", "weight": 2}]

CATALOG = Catalog.model_validate(
    {
        "format": "masthead.catalog/1",
        "publisher": "Walk",
        "currencies": ["USD", "EUR", "JPY"],
        "meters": [{"code": "articles", "name": "Articles", "unit": "article"}],
        "products": [
            {"code": "news", "name": "News", "tax_category": "digital"},
            {"code": "paper", "name": "Paper", "tax_category": "print"},
        ],
        "plans": [
            _plan("basic", _evergreen(_recurring("10.01", 1001))),
            _plan("plus", _evergreen(_recurring("17.99", 1799))),
            _plan(
                "intro",
                {"kind": "intro", "periods": 2, "prices": [_recurring("1.00", 100)]},
                _evergreen(_recurring("12.00", 1200)),
            ),
            _plan("trial", {"kind": "trial", "days": 14}, _evergreen(_recurring("12.00", 1200))),
            _plan("yearly", _evergreen(_recurring("99.00", 9900)), unit="year"),
            _plan("weekly", _evergreen(_recurring("2.99", 299)), unit="week"),
            _plan("seats", _evergreen(_recurring("3.33", 333, model="per_unit"))),
            _plan("bundle", _evergreen(_recurring("25.01", 2501, parts=_PARTS))),
            _plan("paper", _evergreen(_recurring("31.00", 3100)), product="paper"),
            _plan("metered", _evergreen(_recurring("5.00", 500), _ARTICLES, _MINIMUM)),
            _plan("arrears", _evergreen(_recurring("7.77", 777, billed="arrears"))),
            _plan("free", _evergreen(_recurring("0.00", 0))),
        ],
        "tax_rates": [
            {
                "region": "US-NY",
                "category": category,
                "jurisdiction": place,
                "rate": rate,
                "effective": "2015-01-01",
            }
            for category, place, rate in (
                ("digital", "New York", "0.04"),
                ("digital", "New York City", "0.045"),
                ("print", "New York", "0.02"),
            )
        ],
    }
)
assert not find_problems(CATALOG), find_problems(CATALOG)
PLANS = [plan.code for plan in CATALOG.plans]
