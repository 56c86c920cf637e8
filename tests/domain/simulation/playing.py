"""A small publisher with round prices, and scenarios played on it: in April a day of `news` costs 1.00."""

from __future__ import annotations

from typing import Any

from domain.catalog import Catalog
from domain.catalog_checks import find_problems
from domain.simulation.play import Played, play
from domain.simulation.report import report
from domain.simulation.scenario import Scenario


def recurring(usd: str, **more: Any) -> dict[str, Any]:
    """A recurring price; in yen it is a hundred times as many."""
    yen = int(float(usd) * 100)
    return {"code": "access", "type": "recurring", "amounts": {"USD": usd, "JPY": yen}, **more}


def usage(usd: str, **more: Any) -> dict[str, Any]:
    """A usage price of so much for each article."""
    return {**recurring(usd, meter="articles", model="per_unit", **more), "code": "reading", "type": "usage"}


def plan(code: str, *prices: dict[str, Any], phases: Any = (), **version: Any) -> dict[str, Any]:
    """A plan with one version from 2020 on; `phases` come before the evergreen one with `prices`."""
    terms = {"version": 1, "effective": "2020-01-01", "interval": {"unit": "month"}, **version}
    terms["phases"] = [*phases, {"kind": "evergreen", "prices": list(prices)}]
    product = terms.pop("product", "news")
    return {"code": code, "name": code, "product": product, "versions": [terms]}


CATALOG = Catalog.model_validate(
    {
        "format": "masthead.catalog/1",
        "publisher": "Test",
        "currencies": ["USD", "JPY"],
        "meters": [
            {"code": "articles", "name": "Articles", "unit": "article"},
            {"code": "minutes", "name": "Minutes watched", "unit": "minute"},
        ],
        "products": [
            {"code": "news", "name": "News", "tax_category": "digital"},
            {"code": "paper", "name": "Paper", "tax_category": "print"},
        ],
        "plans": [
            plan("news", recurring("30.00")),
            plan("plus", recurring("60.00")),
            plan("lite", recurring("15.00")),
            plan("year", recurring("365.00"), interval={"unit": "year"}),
            plan("seats", recurring("3.00", model="per_unit")),
            plan("add-on", recurring("6.00")),
            plan("trial", recurring("30.00"), phases=[{"kind": "trial", "days": 14}]),
            plan(
                "intro",
                recurring("30.00"),
                phases=[{"kind": "intro", "periods": 1, "prices": [recurring("1.00")]}],
            ),
            plan("term", recurring("30.00"), term={"periods": 3, "then": "end"}),
            plan("arrears", recurring("30.00", billed="arrears")),
            plan("metered", recurring("5.00"), usage("0.10", allowance=10)),
            plan("paper", recurring("28.00"), interval={"unit": "week", "count": 4}, product="paper"),
            {**plan("book", {**recurring("9.00"), "type": "one_time"})},
        ],
        "tax_rates": [
            {
                "region": "XX",
                "category": "digital",
                "jurisdiction": "Land",
                "rate": "0.10",
                "effective": "2020-01-01",
            },
            {
                "region": "XX",
                "category": "print",
                "jurisdiction": "Land",
                "rate": "0.05",
                "effective": "2020-01-01",
            },
        ],
    }
)
if found := find_problems(CATALOG):
    raise ValueError(f"the test catalog is wrong: {found}")


def step(at: str, do: str, **fields: Any) -> dict[str, Any]:
    """A step as a document has it; `start` stands for `from`."""
    if "start" in fields:
        fields["from"] = fields.pop("start")
    return {"at": at, "do": do, **fields}


def scenario(*steps: dict[str, Any], region: str | None = None, **more: Any) -> Scenario:
    """A scenario of `steps`: in dollars, UTC and untaxed, where `account` and `region` say nothing else."""
    account = {"currency": "USD", "tax": {"region": region}, **more.pop("account", {})}
    return Scenario.model_validate({"account": account, "catalog": "-", "steps": list(steps), **more})


def played(*steps: dict[str, Any], **more: Any) -> Played:
    """The world at the end of `steps`."""
    return play(scenario(*steps, **more), CATALOG)


def told(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The report of `steps`; the laws of the books hold."""
    found = report(played(*steps, **more))
    assert found["broken_laws"] == []
    return found


def refusal(*steps: dict[str, Any], **more: Any) -> str:
    """Why the last of `steps` was refused; nothing else was, and the refusal changed nothing."""
    found = told(*steps, **more)
    assert [each["step"] for each in found["refused"]] == [len(steps)]
    zone = more.get("account", {}).get("timezone", "UTC")
    idle = step(steps[-1]["at"], "move_time_zone", timezone=zone)
    before = told(*steps[:-1], idle, **more)
    for key in found.keys() - {"timeline", "refused"}:
        assert found[key] == before[key]
    return str(found["refused"][0]["reason"])


def totals(found: dict[str, Any]) -> list[int]:
    """What each invoice comes to."""
    return [invoice["total"] for invoice in found["invoices"]]


def amounts(found: dict[str, Any], number: int) -> list[tuple[str, str | None, str | None, int]]:
    """(kind, start, end, amount) of the lines of an invoice."""
    lines = found["invoices"][number - 1]["lines"]
    return [(line["kind"], line["start"], line["end"], line["amount"]) for line in lines]


def notes(found: dict[str, Any]) -> list[str]:
    """What happened beside steps, documents and dunning, each with its day."""
    return [f"{each['date']} {each['what']}" for each in found["timeline"] if each["kind"] == "note"]


SUBSCRIBED = (step("2026-04-01", "subscribe", plan="news"), step("2026-04-01", "bill"))
