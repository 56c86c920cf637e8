"""Which item of a subscription is charged for what was used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from domain.price_book import ReadyVersion
from domain.subscription_terms import Item


def item_charged_by(
    meter: str,
    day: date,
    items: Iterable[Item],
    ends_on: date | None,
    version_of: Callable[[Item], ReadyVersion],
) -> Item | None:
    """The first of `items`, served on the local `day`, whose plan has a usage price on `meter`; None where none is.
    `ends_on`: the subscription's end, exclusive."""
    if ends_on is not None and day >= ends_on:
        return None
    for item in items:
        if item.starts_on <= day and (item.ends_on is None or day < item.ends_on):
            phases = version_of(item).phases
            if any(price.meter == meter for phase in phases for price in phase.usage):
                return item
    return None
