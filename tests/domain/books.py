"""Small catalogs and subscriptions for the tests of rating, said in as few words as a case needs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from domain.catalog import PlanVersion
from domain.charge_key import charge_key
from domain.periods import Anchor, Interval, Unit
from domain.phase_prices import prices_of
from domain.price_book import PriceBook
from domain.rating import ONE, Discount, Item, Line, SubscriptionTerms
from domain.subscriptions import State

MONTH = Interval(Unit.MONTH)
YEAR = Interval(Unit.YEAR)
LONG_AGO = date(2020, 1, 1)
_numbers = count(1)

PRODUCTS = {"digital": "digital", "print": "print", "books": "ebook"}


def uid(name: str) -> str:
    """A UUID that is always the same for `name`."""
    return str(uuid5(NAMESPACE_URL, name))


def recurring(usd: str = "12.00", code: str = "access", **more: Any) -> dict[str, Any]:
    """A flat recurring price, or another model by `more`; in yen it costs 100 times the dollars."""
    return {"code": code, "type": "recurring", "amounts": both(usd), **more}


def both(usd: str) -> dict[str, str]:
    """An amount in dollars and in yen."""
    return {"USD": usd, "JPY": str(Decimal(usd) * 100)}


def usage(usd: str = "0.10", code: str = "reading", **more: Any) -> dict[str, Any]:
    """A per-unit usage price on the meter `articles`."""
    amounts = {} if "tiers" in more else {"amounts": both(usd)}
    return {"code": code, "type": "usage", "model": "per_unit", "meter": "articles", **amounts, **more}


def percentage(rate: str = "5", code: str = "tips", **more: Any) -> dict[str, Any]:
    """A percentage usage price on the meter `articles`; `more` are its terms."""
    terms = {"rate": rate, **more}
    return {"code": code, "type": "usage", "model": "percentage", "meter": "articles", "percentage": terms}


def minimum(usd: str = "20.00", code: str = "least", **more: Any) -> dict[str, Any]:
    """A minimum for the usage of a phase."""
    return {"code": code, "type": "usage", "model": "minimum", "amounts": both(usd), **more}


def one_time(usd: str = "5.00", code: str = "setup", **more: Any) -> dict[str, Any]:
    """A one-time price."""
    return {"code": code, "type": "one_time", "amounts": both(usd), **more}


def version(*prices: dict[str, Any], number: int = 1, **more: Any) -> PlanVersion:
    """A plan version: an evergreen phase of `prices`, or `phases`, monthly unless `interval` says otherwise."""
    return PlanVersion.model_validate(
        {
            "version": number,
            "effective": LONG_AGO,
            "interval": {"unit": "month"},
            "phases": [{"kind": "evergreen", "prices": prices or [recurring()]}],
            **more,
        }
    )


def book(**plans: PlanVersion | tuple[PlanVersion, ...]) -> PriceBook:
    """A price book of these plans, all of product `digital`; price ids are uid("plan/version/phase/code/USD")."""
    versions = {code: (found if isinstance(found, tuple) else (found,)) for code, found in plans.items()}
    ids = {}
    for plan, found in versions.items():
        for each in found:
            for phase in each.phases:
                for price in prices_of(each, phase):
                    for currency in ("USD", "JPY"):
                        key = (plan, each.version, phase.kind.value, price.code, currency)
                        ids[key] = uid("/".join(map(str, key)))
    return PriceBook(versions, dict.fromkeys(versions, "digital"), PRODUCTS, ids)


def item(plan: str = "plan", name: str = "item", **more: Any) -> Item:
    """One of `plan` version 1, without override, from long ago."""
    fields = {
        "id": uid(name),
        "plan": plan,
        "plan_version": 1,
        "quantity": Decimal(1),
        "price_override": None,
        "starts_on": LONG_AGO,
        "ends_on": None,
    }
    return Item(**(fields | more))


def percent(value: str, code: str = "PERCENT", **more: Any) -> Discount:
    """A percentage off, from long ago without end."""
    return discount(code, percent=Decimal(value), **more)


def off(amount: int, code: str = "OFF", **more: Any) -> Discount:
    """Minor units off each period, from long ago without end."""
    return discount(code, amount=amount, **more)


def discount(code: str, **more: Any) -> Discount:
    fields: dict[str, Any] = {"percent": None, "amount": None, "starts_on": LONG_AGO, "ends_on": None}
    return Discount(code=code, **(fields | more))


def line(amount: int, kind: str = "recurring", parent: int | None = None, category: str = "digital") -> Line:
    """A line as rating makes one, of what matters to tax and ledger only; no two have the same key."""
    charge = f"{kind}|{amount}|{next(_numbers)}"
    fields: dict[str, Any] = dict.fromkeys(
        ("item_id", "price_id", "part", "period_start", "period_end", "reference", "rate")
    )
    key = charge_key(uid("item"), charge)
    return Line(
        kind=kind,
        quantity=ONE,
        amount=amount,
        parent=parent,
        charge_key=key,
        charge=charge,
        category=category,
        **fields,
    )


def terms(charged_from: date, *items: Item, anchor: Anchor | None = None, **more: Any) -> SubscriptionTerms:
    """An active monthly subscription that is billed from `charged_from`, which is its anchor unless one is given."""
    items_or_one = list(items) or [item(starts_on=charged_from)]
    fields = {
        "id": uid("subscription"),
        "version": 1,
        "status": State.ACTIVE,
        "starts_on": charged_from,
        "trial_ends_on": None,
        "anchor": anchor or Anchor.at(charged_from),
        "interval": MONTH,
        "ends_on": None,
        "charged_through": charged_from,
        "arrears_through": charged_from,
        "next_bill_on": charged_from,
        "items": items_or_one,
        "discounts": (),
    }
    return SubscriptionTerms(**(fields | more))
