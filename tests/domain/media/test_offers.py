"""Retention offers: the best one that the reader meets every condition of, and what it yields."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.media.offers import (
    Answer,
    ChangeTo,
    Coupon,
    Extended,
    Leaving,
    Offer,
    OfferRefused,
    Offers,
    Paused,
    best_offer,
    refuse_offer,
    take_offer,
    why_not,
)
from domain.subscriptions import State

HALF = {"kind": "percent_off", "percent": "50", "periods": 3}
TODAY = date(2026, 3, 10)


def offer(code: str = "half", benefit: dict[str, Any] = HALF, **given: Any) -> Offer:
    return Offer.model_validate({"code": code, "benefit": benefit, **given})


def leaving(**given: Any) -> Leaving:
    """69 days with the paper, two periods paid, charged through 31 March."""
    reader = Leaving(
        day=TODAY,
        plan="digital",
        state=State.ACTIVE,
        currency="EUR",
        starts_on=date(2025, 12, 31),
        periods_paid=2,
        charged_through=date(2026, 3, 31),
        channel="web",
        reason="too-dear",
    )
    return replace(reader, **given)


def answer(on: str, taken: bool = True, code: str = "half") -> Answer:
    return Answer(code, date.fromisoformat(on), taken, "web")


def test_an_offer_without_conditions_is_for_everybody() -> None:
    assert why_not(offer(), leaving()) == []
    assert why_not(offer(), leaving(state=State.PAUSED, reason=None)) == []


@pytest.mark.parametrize(
    ("condition", "reader", "reason"),
    [
        ({"starts_on": "2026-03-11"}, {}, "it is made from 2026-03-11 on"),
        ({"starts_on": "2026-03-10"}, {}, None),
        ({"ends_on": "2026-03-10"}, {}, "it was made until 2026-03-10"),
        ({"ends_on": "2026-03-11"}, {}, None),
        ({"plans": ["print"]}, {}, "it is not for plan digital"),
        ({"plans": ["print", "digital"]}, {}, None),
        ({"states": ["past_due"]}, {}, "it is not for a subscription that is active"),
        ({"states": ["active", "past_due"]}, {}, None),
        ({"reasons": ["no-time"]}, {}, "it is for other reasons than too-dear"),
        ({"reasons": ["no-time"]}, {"reason": None}, "it is for other reasons than none given"),
        ({"reasons": ["too-dear"]}, {}, None),
        ({"channels": ["phone"]}, {}, "it is not made by web"),
        ({"channels": ["phone", "web"]}, {}, None),
        ({"min_days": 70}, {}, "it asks for 70 days since the start, and there are 69"),
        ({"min_days": 69}, {}, None),
        ({"max_days": 68}, {}, "it is for 68 days since the start at most, and there are 69"),
        ({"max_days": 69}, {}, None),
        ({"min_periods": 3}, {}, "it asks for 3 periods paid, and there are 2"),
        ({"min_periods": 2}, {}, None),
        ({"max_periods": 1}, {}, "it is for 1 periods paid at most, and there are 2"),
        ({"max_periods": 0}, {"periods_paid": 0}, None),
        ({"benefit": {"kind": "plan_change", "plan": "digital"}}, {}, "the reader has plan digital already"),
        ({"benefit": {"kind": "plan_change", "plan": "light"}}, {}, None),
        (
            {"benefit": {"kind": "amount_off", "amounts": {"USD": "2.00"}, "periods": 1}},
            {},
            "it has no amount in EUR",
        ),
    ],
)
def test_each_condition_says_why_the_offer_is_not_made(
    condition: dict[str, Any], reader: dict[str, Any], reason: str | None
) -> None:
    found = why_not(offer(**condition), leaving(**reader))
    assert found == ([] if reason is None else [reason])


def test_every_condition_that_is_not_met_is_told() -> None:
    found = why_not(
        offer(plans=["print"], min_days=100, max_per_life=1), leaving(answers=(answer("2025-01-01"),))
    )
    assert found == [
        "it is not for plan digital",
        "it asks for 100 days since the start, and there are 69",
        "it was taken 1 times, and 1 is the most",
    ]


@pytest.mark.parametrize(
    ("condition", "answers", "reason"),
    [
        ({"max_per_life": 2}, [answer("2020-01-01")], None),
        ({"max_per_life": 1}, [answer("2020-01-01", code="other")], None),
        ({"max_per_life": 1}, [answer("2020-01-01", taken=False)], None),
        (
            {"max_per_life": 2},
            [answer("2020-01-01"), answer("2021-01-01")],
            "it was taken 2 times, and 2 is the most",
        ),
        # Six months from 10 September are over on 10 March.
        ({"not_taken_within_months": 6}, [answer("2025-09-10")], None),
        (
            {"not_taken_within_months": 6},
            [answer("2025-09-11"), answer("2024-01-01")],
            "it was taken on 2025-09-11, less than 6 months ago",
        ),
        ({"not_taken_within_months": 6}, [answer("2026-03-01", code="other")], None),
        ({"not_taken_within_months": 6}, [answer("2026-03-01", taken=False)], None),
        (
            {"none_taken_within_months": 6},
            [answer("2026-03-01", code="other")],
            "an offer was taken on 2026-03-01, less than 6 months ago",
        ),
        ({"none_taken_within_months": 6}, [answer("2026-03-01", taken=False, code="other")], None),
        ({"none_taken_within_months": 6}, [answer("2025-09-10", code="other")], None),
        (
            {"not_refused_within_months": 1},
            [answer("2026-02-11", taken=False)],
            "it was refused on 2026-02-11, less than 1 months ago",
        ),
        ({"not_refused_within_months": 1}, [answer("2026-02-10", taken=False)], None),
        ({"not_refused_within_months": 1}, [answer("2026-02-11", taken=False, code="other")], None),
        ({"not_refused_within_months": 1}, [answer("2026-02-11")], None),
    ],
)
def test_what_a_reader_answered_before_decides_what_they_are_offered(
    condition: dict[str, Any], answers: list[Answer], reason: str | None
) -> None:
    found = why_not(offer(**condition), leaving(answers=tuple(answers)))
    assert found == ([] if reason is None else [reason])


def test_the_eligible_offer_of_the_highest_priority_is_made() -> None:
    low, high, closed = (
        offer("low", priority=1),
        offer("high", priority=5),
        offer("top", priority=9, plans=["x"]),
    )
    assert best_offer([low, closed, high], leaving()) is high
    assert best_offer([closed], leaving()) is None
    assert best_offer([], leaving()) is None


def test_of_two_with_the_same_priority_the_first_by_code_is_made() -> None:
    a, b = offer("a"), offer("b")
    assert best_offer([b, a], leaving()) is a
    assert best_offer([a, b], leaving()) is a
    assert best_offer([offer("a", priority=-1), b], leaving()) is b


@pytest.mark.parametrize(
    ("benefit", "expected"),
    [
        (HALF, Coupon(Decimal(50), None, 3, date(2026, 3, 31))),
        (
            {"kind": "amount_off", "amounts": {"EUR": "2.50", "USD": 3}, "periods": 2},
            Coupon(None, 250, 2, date(2026, 3, 31)),
        ),
        # law 2: one month from the 31st
        (
            {"kind": "pause", "length": {"unit": "month"}},
            Paused(date(2026, 3, 31), date(2026, 4, 30)),
        ),
        (
            {"kind": "extension", "length": {"unit": "week", "count": 2}},
            Extended(date(2026, 3, 31), date(2026, 4, 14)),
        ),
        ({"kind": "plan_change", "plan": "light"}, ChangeTo("light", TODAY)),
    ],
)
def test_accepting_yields_a_value_and_is_recorded(benefit: dict[str, Any], expected: object) -> None:
    said, found = take_offer(offer(benefit=benefit), leaving())
    assert found == expected
    assert said == Answer("half", TODAY, taken=True, channel="web", reason="too-dear")


def test_where_nothing_is_paid_ahead_a_pause_or_extension_begins_today() -> None:
    behind = leaving(charged_through=date(2026, 2, 28))
    length = {"unit": "day", "count": 10}
    for kind in ("pause", "extension"):
        _, found = take_offer(offer(benefit={"kind": kind, "length": length}), behind)
        assert tuple(found) == (TODAY, date(2026, 3, 20))
    _, coupon = take_offer(offer(), behind)
    assert coupon == Coupon(Decimal(50), None, 3, date(2026, 2, 28))


def test_an_offer_that_is_not_for_the_reader_cannot_be_taken() -> None:
    once = offer(max_per_life=1)
    said, _ = take_offer(once, leaving())
    with pytest.raises(
        OfferRefused, match="half is not for this reader: it was taken 1 times, and 1 is the most"
    ):
        take_offer(once, leaving(answers=(said,)))


def test_refusing_is_recorded_and_the_next_best_offer_is_made() -> None:
    first, second = offer("first", priority=2, not_refused_within_months=3), offer("second")
    said = refuse_offer(first, leaving())
    assert said == Answer("first", TODAY, taken=False, channel="web", reason="too-dear")
    assert best_offer([first, second], leaving(answers=(said,))) is second


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_days": 10, "max_days": 9}, "min_days 10 is above max_days 9"),
        ({"min_periods": 2, "max_periods": 1}, "min_periods 2 is above max_periods 1"),
        ({"starts_on": "2026-01-01", "ends_on": "2026-01-01"}, "is not after starts_on"),
        ({"benefit": {"kind": "amount_off", "amounts": {"EUR": "0.00"}, "periods": 1}}, "no discount"),
        ({"benefit": {"kind": "amount_off", "amounts": {"JPY": "1.50"}, "periods": 1}}, "decimal places"),
        ({"benefit": {"kind": "percent_off", "percent": "100.5", "periods": 1}}, "less than or equal to 100"),
        ({"benefit": {"kind": "percent_off", "percent": "0", "periods": 1}}, "greater than 0"),
        ({"benefit": {"kind": "tea"}}, "benefit"),
        ({"plan": "digital"}, "Extra inputs"),
    ],
)
def test_an_offer_that_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        offer(**wrong)


def test_bounds_may_be_reached() -> None:
    exact = offer(min_days=69, max_days=69, min_periods=2, max_periods=2)
    assert why_not(exact, leaving()) == []
    assert offer(starts_on="2026-03-10", ends_on="2026-03-11").ends_on == date(2026, 3, 11)
    cent = {"kind": "amount_off", "amounts": {"EUR": "0.01"}, "periods": 1}
    assert take_offer(offer(benefit=cent), leaving())[1] == Coupon(None, 1, 1, date(2026, 3, 31))
    whole = {"kind": "percent_off", "percent": 100, "periods": 1}
    assert take_offer(offer(benefit=whole), leaving())[1] == Coupon(Decimal(100), None, 1, date(2026, 3, 31))


def test_a_code_names_one_offer() -> None:
    one = {"code": "half", "benefit": HALF}
    assert len(Offers.model_validate({"offers": [one, {**one, "code": "other"}]}).offers) == 2
    with pytest.raises(ValidationError, match="offer half stands here twice"):
        Offers.model_validate({"offers": [one, one]})


@given(
    st.lists(st.tuples(st.integers(0, 120), st.booleans()), max_size=25),
    st.integers(1, 4),
    st.integers(1, 12),
)
def test_a_limited_offer_is_never_taken_oftener_nor_sooner(
    visits: list[tuple[int, bool]], most: int, months: int
) -> None:
    limited = offer(max_per_life=most, not_taken_within_months=months)
    reader = leaving()
    for later, accepts in visits:
        reader = replace(reader, day=date.fromordinal(reader.day.toordinal() + later))
        if best_offer([limited], reader) is None:
            continue
        said = take_offer(limited, reader)[0] if accepts else refuse_offer(limited, reader)
        reader = replace(reader, answers=(*reader.answers, said))
    taken = [said.on for said in reader.answers if said.taken]
    assert len(taken) <= most
    # No month is shorter than 28 days.
    assert all((b - a).days >= 28 * months for a, b in pairwise(taken))
