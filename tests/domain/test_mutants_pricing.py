"""What a mutation of pricing once slipped past: a price compiled, field by field, and an event of nothing."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from domain.catalog import Price, PriceModel
from domain.pricing import PricedTier, Schedule, Share, amount_for, schedule, share_of_events

ZERO = Fraction(0)
USAGE = {"code": "reading", "type": "usage", "meter": "articles"}


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (
            {"code": "access", "type": "recurring", "amounts": {"USD": "12.00"}},
            Schedule(PriceModel.FLAT, Fraction(1200), 1200, (), Fraction(1), None),
        ),
        (
            # A fraction of a cent is no whole amount: it must not be cut off on the fast path.
            {"code": "access", "type": "recurring", "amounts": {"USD": "12.005"}},
            Schedule(PriceModel.FLAT, Fraction(2401, 2), None, (), Fraction(1), None),
        ),
        (
            {**USAGE, "model": "package", "amounts": {"USD": "3"}, "package_size": Decimal(10)},
            Schedule(PriceModel.PACKAGE, Fraction(300), 300, (), Fraction(10), None),
        ),
        (
            {
                **USAGE,
                "model": "graduated",
                "tiers": [{"up_to": 10, "unit_amounts": {"USD": "0.10"}}, {"flat_amounts": {"USD": "5"}}],
            },
            Schedule(
                PriceModel.GRADUATED,
                ZERO,
                None,
                (PricedTier(Fraction(10), Fraction(10), ZERO), PricedTier(None, ZERO, Fraction(500))),
                Fraction(1),
                None,
            ),
        ),
        (
            {**USAGE, "model": "percentage", "percentage": {"rate": "2.5"}},
            Schedule(
                PriceModel.PERCENTAGE,
                ZERO,
                None,
                (),
                Fraction(1),
                Share(Fraction(1, 40), 0, ZERO, ZERO, ZERO, None),
            ),
        ),
    ],
)
def test_a_price_is_compiled_as_it_is_written(price: dict[str, Any], expected: Schedule) -> None:
    assert schedule(Price.model_validate(price), "USD") == expected


def test_half_a_cent_of_a_flat_price_is_rounded_and_not_cut_off() -> None:
    price = Price.model_validate({"code": "access", "type": "recurring", "amounts": {"USD": "12.005"}})
    assert amount_for(schedule(price, "USD"), Fraction(1), 1, 1) == 1201


def test_an_event_of_nothing_uses_up_no_free_event_and_costs_no_fee() -> None:
    share = Share(Fraction(1, 10), 1, ZERO, Fraction(30), Fraction(50), None)
    # The first real event is the free one, wherever the empty ones stand; the second costs 100 + 30.
    assert share_of_events(share, [ZERO, Fraction(700), ZERO, Fraction(1000)]) == 130
