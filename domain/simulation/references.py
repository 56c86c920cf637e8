"""What a scenario refers to by code and its catalog or its own lists do not have: found before anything is played."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from domain.catalog import Catalog, Problem
from domain.simulation.scenario import Scenario


def unknown_references(scenario: Scenario, catalog: Catalog) -> list[Problem]:
    """A problem for each currency, plan, meter and coupon that `scenario` names and that does not exist, with the path
    to its place. A tax region without rates is none: who lives there is not taxed."""
    found = []
    if scenario.account.currency not in catalog.currencies:
        listed = ", ".join(catalog.currencies)
        message = f"the catalog has no prices in {scenario.account.currency}; it has them in: {listed}"
        found.append(Problem(path=("account", "currency"), message=message))
    known = {
        "plan": [plan.code for plan in catalog.plans],
        "meter": [meter.code for meter in catalog.meters],
        "coupon": [coupon.code for coupon in scenario.coupons],
    }
    for place in range(len(scenario.steps)):
        for path, what, code in _named(scenario, place):
            if code not in known[what]:
                found.append(Problem(path=path, message=_unknown(what, code, known[what])))
    return found


def _named(scenario: Scenario, place: int) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """(path, kind, code) of what the step at `place` names."""
    step = scenario.steps[place]
    at: tuple[str | int, ...] = ("steps", place)
    if step.do in ("subscribe", "gift"):
        yield (*at, "plan"), "plan", step.plan
    if step.do == "subscribe":
        for no, code in enumerate(step.add_ons):
            yield (*at, "add_ons", no), "plan", code
        for no, code in enumerate(step.coupons):
            yield (*at, "coupons", no), "coupon", code
    elif step.do == "change_plan":
        yield (*at, "to"), "plan", step.to
    elif step.do == "apply_coupon":
        yield (*at, "coupon"), "coupon", step.coupon
    elif step.do == "usage":
        yield (*at, "meter"), "meter", step.meter


def _unknown(what: str, code: str, known: list[str]) -> str:
    where = "the scenario" if what == "coupon" else "the catalog"
    alike = difflib.get_close_matches(code, known, 1)
    if alike:
        return f"{where} has no {what} {code!r}; did you mean {alike[0]!r}?"
    return f"{where} has no {what} {code!r}; it has: {', '.join(known) or 'none'}"
