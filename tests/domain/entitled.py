"""What tests of access are made of: plans with features, subscriptions to them, grants as short texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from domain.catalog import PlanVersion
from domain.entitlements import AccessFacts, Grant, Span, Subscribed, grants_of
from domain.periods import Anchor, Interval, Unit
from domain.policy import AccessPolicy
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State

NEW_YORK = ZoneInfo("America/New_York")
ORDINARY = AccessPolicy()
PHASES = (
    {"kind": "evergreen", "prices": [{"code": "access", "type": "recurring", "amounts": {"USD": "12.00"}}]},
)


def plan_version(
    version: int, *features: str, effective: date = date(2015, 1, 1), **more: Any
) -> PlanVersion:
    return PlanVersion.model_validate(
        {
            "version": version,
            "effective": effective,
            "interval": {"unit": "month"},
            "phases": PHASES,
            "features": features,
            **more,
        }
    )


METERED = {"allowances": {"news": {"count": 5}}}
PLANS = {
    "digital": (plan_version(1, "news"),),
    "plus": (plan_version(1, "news", "epaper"),),
    "lite": (plan_version(1, "news", **METERED),),
    "tv": (plan_version(1, "tv"),),
    "growing": (
        plan_version(1, "news"),
        plan_version(2, "news", "epaper", effective=date(2026, 3, 10), applies_to="renewal"),
    ),
    "committed": (
        plan_version(1, "news", term={"periods": 12}),
        plan_version(2, "news", "epaper", effective=date(2026, 3, 10), applies_to="renewal"),
    ),
}


def item(
    plan: str,
    start: date,
    end: date | None = None,
    *,
    item_id: str = "i1",
    replaces: str | None = None,
    **at: datetime,
) -> Item:
    return Item(item_id, plan, 1, Decimal(1), None, start, end, replaces=replaces, **at)


def terms(
    *items: Item, ends_on: date | None = None, status: State = State.ACTIVE, starts_on: date | None = None
) -> SubscriptionTerms:
    first = starts_on or items[0].starts_on
    return SubscriptionTerms(
        "s1",
        1,
        status,
        first,
        None,
        Anchor.at(first),
        Interval(Unit.MONTH),
        ends_on,
        first,
        first,
        first,
        list(items),
    )


def facts(
    *held: Subscribed, withheld: Sequence[Span] = (), zone: ZoneInfo = NEW_YORK, **more: Any
) -> AccessFacts:
    return AccessFacts("reader", zone, held, withheld=tuple(withheld), **more)


def told(found: list[Grant], zone: ZoneInfo = NEW_YORK) -> list[str]:
    """`news 2026-01-01..2026-02-01 ended`, days where an instant is a local midnight."""
    return [
        " ".join(
            word
            for word in (
                "" if grant.subscriber == "reader" else f"{grant.subscriber}:",
                grant.feature,
                f"{_moment(grant.starts_at, zone)}..{'' if grant.ends_at is None else _moment(grant.ends_at, zone)}",
                "" if grant.allowance is None else f"max {grant.allowance.count}",
                "" if grant.because is None else grant.because.value,
            )
            if word
        )
        for grant in found
    ]


def granted(given: AccessFacts, policy: AccessPolicy = ORDINARY) -> list[str]:
    return told(grants_of(given, PLANS, policy), given.zone)


def _moment(instant: datetime, zone: ZoneInfo) -> str:
    local = instant.astimezone(zone)
    midnight = (local.hour, local.minute, local.second) == (0, 0, 0)
    return local.date().isoformat() if midnight else local.strftime("%Y-%m-%dT%H:%M")
