"""Usage is charged to the item that is served on its day and has a price on its meter."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from domain.metered_items import item_charged_by
from domain.subscription_terms import Item
from tests.domain.books import book, recurring, usage, version

BOOK = book(
    plain=version(recurring()),
    metered=version(recurring(), usage()),
    tipped=version(usage(meter="tips")),
)


def item(plan: str, starts_on: date, ends_on: date | None = None) -> Item:
    return Item(f"{plan} from {starts_on}", plan, 1, Decimal(1), None, starts_on, ends_on)


ITEMS = [
    item("plain", date(2026, 1, 1)),
    item("metered", date(2026, 1, 1), date(2026, 3, 10)),
    item("tipped", date(2026, 1, 1)),
    item("metered", date(2026, 3, 10)),
]


@pytest.mark.parametrize(
    ("meter", "day", "place"),
    [
        ("articles", date(2025, 12, 31), None),
        ("articles", date(2026, 1, 1), 1),
        ("articles", date(2026, 3, 9), 1),
        ("articles", date(2026, 3, 10), 3),
        ("articles", date(2026, 5, 31), 3),
        ("articles", date(2026, 6, 1), None),  # the subscription is over
        ("tips", date(2026, 2, 1), 2),
        ("films", date(2026, 2, 1), None),
    ],
)
def test_the_item_that_is_charged(meter: str, day: date, place: int | None) -> None:
    found = item_charged_by(
        meter, day, ITEMS, date(2026, 6, 1), lambda each: BOOK.version(each.plan, each.plan_version, "USD")
    )
    assert found is (None if place is None else ITEMS[place])


def test_a_subscription_without_an_end_goes_on() -> None:
    found = item_charged_by(
        "articles", date(2099, 1, 1), ITEMS, None, lambda each: BOOK.version(each.plan, 1, "USD")
    )
    assert found is ITEMS[3]
