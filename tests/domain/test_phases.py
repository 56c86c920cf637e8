"""Where a subscription stands at a moment: a pure function of its rows, whatever timers did or did not fire."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import PhaseKind
from domain.phases import Standing, standing
from domain.rating import SubscriptionTerms, rate_subscription
from domain.subscriptions import State
from tests.domain.books import book, item, one_time, percent, recurring, terms, usage, version
from tests.domain.rated import versions

TOKYO = ZoneInfo("Asia/Tokyo")
BERLIN = ZoneInfo("Europe/Berlin")

LIFE = book(
    plan=version(
        phases=[
            {"kind": "trial", "days": 14},
            {"kind": "intro", "periods": 2, "percent": "50"},
            {
                "kind": "evergreen",
                "prices": [
                    recurring("12.00"),
                    recurring("3.00", code="later", billed="arrears"),
                    usage(),
                    one_time(),
                ],
            },
        ]
    )
)


def life(**more: Any) -> SubscriptionTerms:
    """Starts on 17 November, charged from 1 December, over on 15 March."""
    return terms(
        date(2026, 12, 1),
        starts_on=date(2026, 11, 17),
        trial_ends_on=date(2026, 12, 1),
        ends_on=date(2027, 3, 15),
        **more,
    )


@pytest.mark.parametrize(
    ("day", "state", "phase", "amount"),
    [
        (date(2026, 11, 16), State.DRAFT, None, 0),
        (date(2026, 11, 17), State.TRIALING, PhaseKind.TRIAL, 0),
        (date(2026, 11, 30), State.TRIALING, PhaseKind.TRIAL, 0),
        (date(2026, 12, 1), State.ACTIVE, PhaseKind.INTRO, 750),
        (date(2027, 1, 31), State.ACTIVE, PhaseKind.INTRO, 750),
        (date(2027, 2, 1), State.ACTIVE, PhaseKind.EVERGREEN, 1500),
        (date(2027, 3, 14), State.ACTIVE, PhaseKind.EVERGREEN, 1500),
        (date(2027, 3, 15), State.EXPIRED, None, 0),
    ],
)
@pytest.mark.parametrize("recorded", [State.ACTIVE, State.DRAFT, State.TRIALING])
def test_a_day_has_a_state_a_phase_and_a_price(
    day: date, state: State, phase: PhaseKind | None, amount: int, recorded: State
) -> None:
    subscription = life(status=recorded, discounts=[percent("10")])  # the price is before discounts
    assert standing(LIFE, "USD", subscription, day, TOKYO) == Standing(state, phase, amount)


@pytest.mark.parametrize(
    ("instant", "phase"),
    [
        (datetime(2026, 11, 30, 14, 59, 59, tzinfo=UTC), PhaseKind.TRIAL),
        (datetime(2026, 11, 30, 15, 0, 0, tzinfo=UTC), PhaseKind.INTRO),  # midnight in Tokyo
        (datetime(2027, 2, 1, 0, 0, 0, tzinfo=TOKYO), PhaseKind.EVERGREEN),
        (datetime(2027, 1, 31, 23, 59, 59, tzinfo=TOKYO), PhaseKind.INTRO),
    ],
)
def test_an_instant_falls_on_the_local_day(instant: datetime, phase: PhaseKind) -> None:
    assert standing(LIFE, "USD", life(), instant, TOKYO).phase is phase


@pytest.mark.parametrize(
    ("status", "phase", "amount"),
    [
        (State.PAUSED, None, 0),
        (State.CANCELED, None, 0),
        (State.EXPIRED, None, 0),
        (State.PAST_DUE, PhaseKind.INTRO, 750),
    ],
)
def test_what_a_command_holds_has_no_price(status: State, phase: PhaseKind | None, amount: int) -> None:
    found = standing(LIFE, "USD", life(status=status), date(2026, 12, 5), TOKYO)
    assert found == Standing(status, phase, amount)


def test_all_items_served_on_the_day_cost_together() -> None:
    prices = book(
        plan=version(
            phases=[
                {"kind": "intro", "periods": 9, "percent": "50"},
                {"kind": "evergreen", "prices": [recurring()]},
            ]
        ),
        seats=version(recurring("2.50", model="per_unit")),
    )
    subscription = terms(
        date(2026, 12, 1),
        item(ends_on=date(2026, 12, 10)),
        item("seats", "seats", quantity=Decimal(3), starts_on=date(2026, 12, 5)),
        item(name="special", price_override=700, starts_on=date(2026, 12, 10)),
    )
    on = {day: standing(prices, "USD", subscription, date(2026, 12, day), BERLIN) for day in (4, 5, 9, 10)}
    assert [on[day].amount for day in (4, 5, 9, 10)] == [600, 1350, 1350, 1450]
    assert [on[day].phase for day in (4, 10)] == [
        PhaseKind.INTRO,
        PhaseKind.EVERGREEN,
    ]  # of the first item served
    assert standing(
        prices, "USD", terms(date(2026, 12, 1), item(ends_on=date(2026, 12, 1))), date(2026, 12, 1), BERLIN
    ) == (
        State.ACTIVE,
        None,
        0,
    )


def test_items_bounded_by_the_second_change_in_that_second() -> None:
    noon = datetime(2026, 12, 10, 12, tzinfo=BERLIN)
    prices = book(plan=version(recurring("12.00")), dear=version(recurring("20.00")))
    subscription = terms(
        date(2026, 12, 1),
        item(ends_on=noon.date(), ends_at=noon),
        item("dear", "dear", starts_on=noon.date(), starts_at=noon),
    )
    for instant, amount in ((noon - timedelta(seconds=1), 1200), (noon, 2000)):
        assert standing(prices, "USD", subscription, instant, BERLIN).amount == amount
        assert standing(prices, "USD", subscription, instant.astimezone(UTC), BERLIN).amount == amount


def test_a_new_version_is_in_force_from_the_renewal() -> None:
    subscription = terms(date(2027, 1, 15))
    for day, amount in ((date(2027, 3, 14), 1200), (date(2027, 3, 15), 1350)):
        assert standing(versions("renewal"), "USD", subscription, day, BERLIN).amount == amount


@given(st.integers(0, 104), st.integers(0, 3))
def test_what_stands_is_what_the_run_charges(later: int, shift: int) -> None:
    """Each whole period is charged the price that stands on its days."""
    prices = book(
        plan=version(
            phases=[
                {"kind": "intro", "periods": 2, "percent": "50"},
                {"kind": "evergreen", "prices": [recurring("12.00")]},
            ]
        )
    )
    subscription = terms(date(2026, 12, 1), item(phase_shift=shift))
    day = date(2026, 12, 1) + timedelta(days=later)
    rated = rate_subscription(prices, "USD", subscription, date(2027, 6, 1))
    assert rated is not None
    (line,) = [
        line
        for line in rated.lines
        if line.period_start and line.period_end and line.period_start <= day < line.period_end
    ]
    assert standing(prices, "USD", subscription, day, BERLIN).amount == line.amount
