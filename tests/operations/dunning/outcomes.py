"""Accounts that owe, with mixed outcomes: each seed is a scenario, under one policy of six steps."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from domain.catalog import Catalog
from domain.catalog_checks import find_problems
from domain.simulation.scenario import Scenario
from tests.domain.simulation.playing import CATALOG as WITHOUT_FEATURES
from tests.domain.simulation.playing import scenario, step

FIRST = date(2026, 4, 1)
LAST = FIRST + timedelta(days=75)
_DAY = timedelta(days=1)


def _with_features(catalog: Catalog) -> Catalog:
    """The catalog, whose plans of news are for reading."""
    document = catalog.model_dump(mode="json", exclude_unset=True)
    document["features"] = [{"code": "site", "name": "The site"}]
    for plan in document["plans"]:
        if plan["product"] == "news":
            for version in plan["versions"]:
                version["features"] = ["site"]
    found = Catalog.model_validate(document)
    assert not find_problems(found)
    return found


CATALOG = _with_features(WITHOUT_FEATURES)

SIX_STEPS: dict[str, Any] = {
    "states": [
        {"name": "current", "on_entry": [{"do": "mail", "template": "thank-you"}]},
        {
            "name": "overdue",
            "when": {"age_days": 1},
            "on_entry": [{"do": "mail", "template": "payment-overdue"}],
        },
        {
            "name": "reminded",
            "when": {"age_days": 4},
            "on_entry": [{"do": "mail", "template": "payment-overdue"}],
        },
        {
            "name": "restricted",
            "when": {"age_days": 8},
            "blocks": ["plan_change"],
            "on_entry": [{"do": "mail", "template": "account-restricted"}, {"do": "restrict"}],
        },
        {
            "name": "suspended",
            "when": {"age_days": 15},
            "blocks": ["plan_change", "entitlement"],
            "on_entry": [{"do": "mail", "template": "account-suspended"}, {"do": "suspend"}],
        },
        {
            "name": "canceled",
            "when": {"age_days": 32},
            "blocks": ["plan_change", "entitlement", "billing"],
            "on_entry": [{"do": "mail", "template": "subscription-canceled"}, {"do": "cancel"}],
        },
        {
            "name": "written_off",
            "when": {"age_days": 50},
            "blocks": ["plan_change", "entitlement", "billing"],
            "on_entry": [{"do": "write_off"}],
        },
    ],
    "retry": {
        "soft": {"days": [1, 3, 5, 7]},
        "hard": {
            "reminder_days": [1, 3, 7, 14],
            "template": "payment-method-needed",
            "give_up_after": 40,
        },
        "action": {"reminder_days": [1, 3, 7], "template": "payment-action-needed"},
    },
}
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Tokyo")
CODES = ("insufficient_funds", "expired_card", "authentication_required", "lost_card", "brand_new_code")
KINDS = (
    "paid_late",
    "card_replaced",
    "promise_kept",
    "promise_broken",
    "dispute_lifted",
    "dispute_credited",
    "paused",
    "paid_in_part",
    "never_paid",
    "by_transfer",
    "pays_at_once",
)


def mixed(seed: int) -> Scenario:
    """The scenario of a seed: its kind goes round, the rest is drawn."""
    draw = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    auto_pay = kind != "by_transfer"
    later = [FIRST + draw.randint(1, 60) * _DAY for _ in range(3)]
    first, second, third = sorted(later)
    steps: list[tuple[date, dict[str, Any]]] = []

    def put(day: date, do: str, **fields: Any) -> None:
        steps.append((day, step(str(day), do, **fields)))

    code = draw.choice(CODES)
    until = {"paid_late": first, "card_replaced": first, "pays_at_once": None}.get(kind, LAST + 90 * _DAY)
    put(FIRST, "subscribe", plan=draw.choice(("news", "lite", "plus")))
    if auto_pay and until is not None:
        put(FIRST, "payment_fails", code=code, until=str(until))
    if kind == "card_replaced":
        put(first + _DAY, "pay")
    elif kind == "promise_kept":
        put(first, "hold_dunning", why="promise", until=str(second))
        put(first + ((second - first) // 2), "pay")
    elif kind == "promise_broken":
        put(first, "hold_dunning", why="promise", until=str(second))
    elif kind == "dispute_lifted":
        put(first, "hold_dunning", why="dispute")
        put(second, "release_dunning", why="dispute")
        put(third, "pay")
    elif kind == "dispute_credited":
        put(first, "hold_dunning", why="dispute")
        put(second, "credit_note", invoice=1, reason="you were right")
    elif kind == "paused":
        put(first, "hold_dunning", why="pause", until=str(second))
        if draw.random() < 0.5:
            put(first + ((second - first) // 2), "release_dunning")
    elif kind == "paid_in_part":
        put(first, "pay", amount="5.00")
        put(second, "pay")
    elif kind == "by_transfer" and draw.random() < 0.7:
        put(second, "pay")
    return scenario(
        *_with_bills(steps),
        account={
            "timezone": draw.choice(ZONES),
            "auto_pay": auto_pay,
            "payment_terms_days": draw.choice((0, 0, 7, 14)) if not auto_pay else 0,
        },
        policy={
            "dunning": SIX_STEPS
            | {"give_up": draw.choice(("leave_unpaid", "leave_unpaid", "cancel", "write_off"))}
        },
    )


def _with_bills(steps: list[tuple[date, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The steps, with a bill run on each day from FIRST to LAST; a step comes after its day's bill."""
    found: list[dict[str, Any]] = []
    billed = FIRST - _DAY
    for day, each in sorted(steps, key=lambda one: one[0]):
        if day > billed and each["do"] not in ("subscribe", "payment_fails"):
            found.append(step(str(billed + _DAY), "bill", to=str(day)))
            billed = day
        found.append(each)
    found.append(step(str(billed + _DAY), "bill", to=str(LAST)))
    return found
