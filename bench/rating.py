"""What rating costs beside a bare loop: one ordinary subscription (one flat monthly price, a whole period, no discount
and no tax) by `rate_subscription`, and the least that could bill it, in the same process and by turns.

The bare loop is the yardstick, so it is frozen: it calls nothing of the domain and is not to be made faster or slower.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import median

from domain.catalog import PlanVersion
from domain.periods import Anchor, Interval, Unit
from domain.price_book import PriceBook
from domain.rating import Item, Rated, SubscriptionTerms, rate_subscription
from domain.subscriptions import State

BAR = 20.0  # times what the bare loop takes
RATINGS, BARE = 100, 2_500  # in a round; about a millisecond each
INVOICES_PER_S = (10_000, 13_400)  # of a bill run, on the machine of docs/performance.md

_MONTH_BEGINS, _MONTH_ENDS = date(2027, 3, 15), date(2027, 4, 15)
_CENTS = 1_799
_PRICE_ID = "5d2a4f4e-3c1b-5a0f-9b57-2f7f0c9a1e10"


@dataclass(slots=True)
class BareLine:
    """The least that a line of an invoice has to say; amounts in minor units."""

    item_id: str
    price_id: str
    period_start: date
    period_end: date
    amount: int
    tax: int


def ordinary() -> tuple[PriceBook, SubscriptionTerms]:
    """A catalog of one plan at 17.99 USD a month, and a subscription to it that owes a whole month."""
    version = PlanVersion.model_validate(
        {
            "version": 1,
            "effective": date(2020, 1, 1),
            "interval": {"unit": "month"},
            "phases": [
                {
                    "kind": "evergreen",
                    "prices": [{"code": "access", "type": "recurring", "amounts": {"USD": "17.99"}}],
                }
            ],
        }
    )
    book = PriceBook(
        {"digital": (version,)},
        {"digital": "digital"},
        {"digital": "digital"},
        {("digital", 1, "evergreen", "access", "USD"): _PRICE_ID},
    )
    joined = date(2025, 9, 15)
    item = Item("0190b4c6-7c1e-7d55-8f0e-4a1d2c3b4e5f", "digital", 1, Decimal(1), None, joined, None)
    terms = SubscriptionTerms(
        id="0190b4c6-7c1d-7c21-9a3b-6d5e4f3a2b1c",
        version=18,
        status=State.ACTIVE,
        starts_on=joined,
        trial_ends_on=None,
        anchor=Anchor.at(joined),
        interval=Interval(Unit.MONTH),
        ends_on=None,
        charged_through=_MONTH_BEGINS,
        arrears_through=_MONTH_BEGINS,
        next_bill_on=_MONTH_BEGINS,
        items=[item],
    )
    return book, terms


def bare(times: int, item: Item) -> BareLine:
    """Two multiplications, two roundings half away from zero and one line, `times` over; the last line."""
    cents, days, whole, rate, one = _CENTS, 31, 31, 19, 100
    start, end, item_id, price_id = _MONTH_BEGINS, _MONTH_ENDS, item.id, _PRICE_ID
    for _ in range(times):
        amount = (2 * (cents * days) + whole) // (2 * whole)
        tax = (2 * (amount * rate) + one) // (2 * one)
        line = BareLine(item_id, price_id, start, end, amount, tax)
    return line


def rated(times: int, book: PriceBook, terms: SubscriptionTerms) -> Rated | None:
    """The month of `terms`, rated `times` over; the last answer."""
    for _ in range(times):
        found = rate_subscription(book, "USD", terms, _MONTH_BEGINS)
    return found


def bench_rating(rounds: int = 400) -> dict[str, object]:
    """Microseconds of a rating and of the bare loop, and their ratio to be at most `bar`.

    The two take turns for `rounds` rounds of about a millisecond each, so that a busy machine slows both alike; of
    each the fastest round counts, for noise only adds. `middle_ratio` is that of the median rounds.
    `share_of_invoice` is the part of the wall time of one invoice that one rating would be, at the slower and the
    faster bill run on record; a run rates accounts of one shape once, so it is the most that rating can take there.
    """
    book, terms = ordinary()
    times: dict[str, list[float]] = {"rating": [], "bare": []}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            times["rating"].append(_us(lambda: rated(RATINGS, book, terms), RATINGS))
            times["bare"].append(_us(lambda: bare(BARE, terms.items[0]), BARE))
    finally:
        if collecting:
            gc.enable()
    us, us_bare = min(times["rating"]), min(times["bare"])
    ratio = us / us_bare
    return {
        "us_per_rating": round(us, 3),
        "us_bare": round(us_bare, 3),
        "ratio": round(ratio, 2),
        "bar": BAR,
        "reached": ratio <= BAR,
        "middle_ratio": round(median(times["rating"]) / median(times["bare"]), 2),
        "rounds": rounds,
        "a_round": {"rating": RATINGS, "bare": BARE},
        "share_of_invoice": [round(us * rate / 1e6, 3) for rate in INVOICES_PER_S],
    }


def _us(work: Callable[[], object], times: int) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) / times * 1e6
