"""Holiday stops under any sequence of wishes: what is printed stays, and the allowance holds."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.media.deliveries import cut_off, issues_delivered
from domain.media.holiday_stops import creditable_issues, stopped_issues
from tests.domain.media.stops import WEEKEND, WISHES, Wish, delivery, played


@given(WISHES)
def test_what_is_printed_stays_as_it_was_and_the_rest_follows_the_wishes(wishes: list[Wish]) -> None:
    to = delivery()
    history = played(to, wishes)
    last = stopped_issues(to, history[-1][1].values())
    assert len(last) == len(set(last))
    # Told anew, as the presses saw it: at each cut-off, what was wished just then.
    for issue in issues_delivered(WEEKEND, date(2025, 12, 1), date(2026, 3, 1)):
        printed = cut_off(WEEKEND, issue)
        (_, known) = [each for each in history if each[0] < printed or not each[1]][-1]
        away = any(stop.wished.start <= issue.day < stop.wished.until for stop in known.values())
        assert (issue in last) is away


@given(
    WISHES,
    st.integers(0, 6),
    st.sampled_from(["issues", "weeks"]),
    st.sampled_from(["calendar", "subscription"]),
)
def test_the_allowance_is_never_exceeded(wishes: list[Wish], allowance: int, counts: str, year: str) -> None:
    policy: dict[str, Any] = {"allowance": allowance, "counts": counts, "year": year}
    refusing = delivery(starts_on=date(2024, 12, 24), **policy)
    lenient = delivery(starts_on=date(2024, 12, 24), over_allowance="no_credit", **policy)

    def most(issues: list[Any]) -> int:
        first = {"calendar": date(2026, 1, 1), "subscription": date(2025, 12, 24)}[year]
        halves = [i for i in issues if i.day < first], [i for i in issues if i.day >= first]
        if counts == "issues":
            return max(len(half) for half in halves)
        return max(len({i.day.isocalendar()[:2] for i in half}) for half in halves)

    for _, stops in played(refusing, wishes):
        assert most(stopped_issues(refusing, stops.values())) <= allowance
        assert creditable_issues(refusing, stops.values()) == stopped_issues(refusing, stops.values())
    for _, stops in played(lenient, wishes):
        credited = creditable_issues(lenient, stops.values())
        stopped = stopped_issues(lenient, stops.values())
        assert most(credited) <= allowance
        assert set(credited) <= set(stopped)
        assert len(credited) == len(stopped) or most(stopped) > allowance
