"""Rating as tests read it: lines told in short, and a subscription moved on by what was rated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from domain.price_book import PriceBook
from domain.rating import (
    Line,
    Rated,
    SubscriptionTerms,
    UsageKey,
    rate_subscription,
    usage_windows,
)
from tests.domain.books import book, recurring, version

MONTHLY = book(plan=version(recurring("12.00")))


def rate(prices: PriceBook, subscription: SubscriptionTerms, as_of: date, currency: str = "USD") -> Rated:
    found = rate_subscription(prices, currency, subscription, as_of)
    assert found is not None
    return found


def lines(prices: PriceBook, subscription: SubscriptionTerms, as_of: date) -> list[tuple[Any, ...]]:
    return [told(line) for line in rate(prices, subscription, as_of).lines]


def told(line: Line) -> tuple[Any, ...]:
    """Kind, period as text, amount."""
    span = f"{line.period_start}..{line.period_end}" if line.period_start else ""
    return line.kind, span, line.amount


def advanced(subscription: SubscriptionTerms, rated: Rated) -> SubscriptionTerms:
    """The subscription as its row stands after posting."""
    return replace(
        subscription,
        charged_through=rated.charged_through,
        arrears_through=rated.arrears_through,
        next_bill_on=rated.next_bill_on,
    )


@dataclass
class Meter:
    """Usage by day as the database answers for it: what is billed is not answered again."""

    records: list[tuple[date, Decimal]]
    billed: list[tuple[date, Decimal]] = field(default_factory=list)

    def answer(self, windows: Iterable[tuple[str, str, date | None, date]]) -> dict[UsageKey, Decimal]:
        found: dict[UsageKey, Decimal] = {}
        for item_id, meter, since, until in windows:
            inside = [r for r in self.records if r[0] < until and (since is None or r[0] >= since)]
            self.records = [r for r in self.records if r not in inside]
            self.billed += inside
            if inside:
                found[item_id, meter, until] = sum((quantity for _, quantity in inside), Decimal(0))
        return found


def bill(prices: PriceBook, subscription: SubscriptionTerms, as_of: date, meter: Meter) -> Rated | None:
    found = meter.answer(usage_windows(prices, "USD", subscription, as_of))
    return rate_subscription(prices, "USD", subscription, as_of, found)


def versions(applies_to: str, **first: Any) -> PriceBook:
    return book(
        plan=(
            version(recurring("12.00"), **first),
            version(recurring("13.50"), number=2, effective=date(2027, 3, 1), applies_to=applies_to),
        )
    )
