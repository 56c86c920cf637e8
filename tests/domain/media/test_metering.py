"""Metered reading: one allowance for the site, an article counted once, nobody counted twice at login."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.media.metering import (
    Counted,
    MeteringPolicy,
    Readings,
    Verdict,
    allowance_of,
    counting,
    merge_readings,
    read_article,
)

NONE: Readings = frozenset()
ROLLING = {"kind": "rolling", "days": 30}
MONTH = {"kind": "calendar_month"}


def policy(allowance: int = 3, window: dict[str, Any] = ROLLING, **given: Any) -> MeteringPolicy:
    return MeteringPolicy.model_validate({"allowance": allowance, "window": window, **given})


def jan(day: int) -> date:
    return date(2026, 1, 1) + timedelta(days=day - 1)


def read(*articles: tuple[str, int]) -> Readings:
    return frozenset(Counted(article, jan(day)) for article, day in articles)


def test_reading_counts_down_to_a_warning_and_a_wall() -> None:
    readings, told = NONE, []
    for day, article in enumerate(("a", "b", "c", "d"), start=1):
        decision = read_article(policy(), readings, article, jan(day))
        told.append((decision.verdict, decision.counted, decision.left))
        readings = decision.readings
    assert told == [
        (Verdict.ALLOW, True, 2),
        (Verdict.ALLOW, True, 1),
        (Verdict.WARN, True, 0),
        (Verdict.DENY, False, 0),
    ]
    assert readings == read(("a", 1), ("b", 2), ("c", 3))


@pytest.mark.parametrize(
    ("left", "expected"),
    [(0, [Verdict.ALLOW, Verdict.ALLOW, Verdict.WARN]), (1, [Verdict.ALLOW, Verdict.WARN, Verdict.WARN])],
)
def test_the_warning_comes_when_the_policy_says(left: int, expected: list[Verdict]) -> None:
    readings, verdicts = NONE, []
    for article in ("a", "b", "c"):
        decision = read_article(policy(warn_when_left=left), readings, article, jan(1))
        verdicts.append(decision.verdict)
        readings = decision.readings
    assert verdicts == expected


def test_reading_a_counted_article_again_is_free_even_when_nothing_is_left() -> None:
    # Truth
    full = read(("a", 1), ("b", 2), ("c", 3))
    again = read_article(policy(), full, "a", jan(30))
    assert (again.verdict, again.counted, again.left) == (Verdict.WARN, False, 0)
    assert again.readings == full, "and it does not count any longer for it"
    early = read_article(policy(), read(("a", 1)), "a", jan(2))
    assert (early.verdict, early.counted, early.left) == (Verdict.ALLOW, False, 2)


def test_an_article_counts_for_so_many_days_and_then_anew() -> None:
    once = read(("a", 1))
    assert counting(policy(), once, jan(30)) == {"a": jan(1)}
    assert counting(policy(), once, jan(31)) == {}
    anew = read_article(policy(), once, "a", jan(31))
    assert (anew.counted, anew.left, anew.readings) == (True, 2, read(("a", 31)))
    single = policy(window={"kind": "rolling", "days": 1})
    assert counting(single, once, jan(1)) == {"a": jan(1)}
    assert counting(single, once, jan(2)) == {}


def test_a_month_begins_with_the_whole_allowance() -> None:
    monthly = policy(window=MONTH)
    full = read(("a", 1), ("b", 30), ("c", 31))
    wall = read_article(monthly, full, "d", jan(31))
    assert (wall.verdict, wall.next_free_on) == (Verdict.DENY, date(2026, 2, 1))
    fresh = read_article(monthly, full, "d", date(2026, 2, 1))
    assert (fresh.verdict, fresh.left, fresh.readings) == (
        Verdict.ALLOW,
        2,
        frozenset({Counted("d", date(2026, 2, 1))}),
    )
    december = read_article(monthly, NONE, "a", date(2026, 12, 31))
    assert december.next_free_on == date(2027, 1, 1)


def test_the_next_one_frees_up_when_the_oldest_no_longer_counts() -> None:
    full = read(("a", 5), ("b", 1), ("c", 3))
    assert read_article(policy(), full, "d", jan(10)).next_free_on == jan(31)
    assert read_article(policy(), full, "d", jan(30)).verdict is Verdict.DENY
    assert read_article(policy(), full, "d", jan(31)).verdict is Verdict.WARN
    assert read_article(policy(), NONE, "a", jan(10)).next_free_on == jan(40)
    assert read_article(policy(), read(("a", 5)), "b", jan(10)).next_free_on == jan(35)


def test_after_a_merge_as_many_go_as_are_over_before_one_is_free() -> None:
    five = read(("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5))
    wall = read_article(policy(), five, "f", jan(10))
    assert (wall.verdict, wall.left) == (Verdict.DENY, 0)
    # a, b go on the 31st and 1 February; with c two are left on the day after.
    assert wall.next_free_on == jan(33)
    assert read_article(policy(), five, "f", jan(32)).verdict is Verdict.DENY
    assert read_article(policy(), five, "f", jan(33)).verdict is Verdict.WARN


def test_no_allowance_frees_nothing() -> None:
    wall = read_article(policy(allowance=0), NONE, "a", jan(1))
    assert (wall.verdict, wall.left, wall.next_free_on, wall.readings) == (Verdict.DENY, 0, None, NONE)
    assert read_article(policy(allowance=0), read(("a", 1)), "b", jan(1)).next_free_on is None


def test_who_registers_may_read_more() -> None:
    bonus = policy(registration_bonus=2)
    assert (allowance_of(bonus, False), allowance_of(bonus, True)) == (3, 5)
    full = read(("a", 1), ("b", 2), ("c", 3))
    assert read_article(bonus, full, "d", jan(4)).verdict is Verdict.DENY
    registered = read_article(bonus, full, "d", jan(4), registered=True)
    assert (registered.verdict, registered.left) == (Verdict.ALLOW, 1)


def test_the_anonymous_count_joins_the_readers_at_login() -> None:
    # Truth: an article of both counts once, from the day it was first read.
    anonymous, account = read(("a", 5), ("b", 6)), read(("a", 8), ("c", 2))
    merged = merge_readings(policy(), anonymous, account, jan(10))
    assert merged == read(("a", 5), ("b", 6), ("c", 2))


def test_what_counts_no_more_is_not_merged() -> None:
    old = read(("a", 1), ("b", 2))
    assert merge_readings(policy(), old, NONE, jan(31)) == read(("b", 2))
    # Read again after the window: the old reading does not shorten the new one.
    assert merge_readings(policy(), old, read(("a", 20)), jan(31)) == read(("a", 20), ("b", 2))


DAYS = st.integers(1, 80)
READINGS = st.frozensets(st.builds(Counted, st.sampled_from("abcdefgh"), st.builds(jan, DAYS)), max_size=12)
POLICIES = st.builds(
    policy,
    st.integers(0, 5),
    st.one_of(st.just(MONTH), st.builds(lambda days: {"kind": "rolling", "days": days}, st.integers(1, 40))),
)


@given(POLICIES, READINGS, READINGS, READINGS, st.builds(jan, DAYS))
def test_merging_asks_for_no_order_and_counts_nothing_twice(
    meter: MeteringPolicy, one: Readings, two: Readings, three: Readings, on: date
) -> None:
    def merge(a: Readings, b: Readings) -> Readings:
        return merge_readings(meter, a, b, on)

    both = merge(one, two)
    assert both == merge(two, one)
    assert merge(both, both) == merge(both, one) == both
    assert merge(both, three) == merge(one, merge(two, three))
    articles = [article for article, _ in both]
    assert len(articles) == len(set(articles))
    assert set(articles) == set(counting(meter, one, on)) | set(counting(meter, two, on))


@given(POLICIES, st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 9)), max_size=40))
def test_the_allowance_is_never_exceeded(meter: MeteringPolicy, wishes: list[tuple[str, int]]) -> None:
    readings, on = NONE, jan(1)
    taken: list[tuple[str, date]] = []
    for article, later in wishes:
        on += timedelta(days=later)
        decision = read_article(meter, readings, article, on)
        readings = decision.readings
        if decision.counted:
            taken.append((article, on))
        # Counted again from what was counted, by the window's own words.
        if meter.window.kind == "rolling":
            live = [name for name, day in taken if (on - day).days < meter.window.days]
        else:
            live = [name for name, day in taken if (on.year, on.month) == (day.year, day.month)]
        assert len(live) == len(set(live)) <= meter.allowance
        assert decision.left == meter.allowance - len(live)
        assert (decision.verdict is Verdict.DENY) == (article not in live)
        if decision.next_free_on is not None:
            day_before = decision.next_free_on - timedelta(days=1)
            assert len(counting(meter, readings, max(day_before, on))) == len(live)
            assert len(counting(meter, readings, decision.next_free_on)) < len(live)


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowance": -1},
        {"window": {"kind": "weekly"}},
        {"window": {"kind": "rolling"}},
        {"window": {"kind": "calendar_month", "days": 30}},
        {"sections": ["sports"]},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policy(**wrong)
