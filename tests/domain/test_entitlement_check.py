"""The paywall's answer from a reader's grants, and the allowances in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.allowances import BadPeriod, more_generous, period_text, read_allowance
from domain.catalog import FeatureAllowance
from domain.entitlement_check import Reason, standing
from domain.entitlements import Grant, SourceKind
from domain.media.metering import MonthWindow, RollingWindow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def allowance(count: int, days: int | None = None) -> FeatureAllowance:
    if days is None:
        return FeatureAllowance(count=count)
    return FeatureAllowance(count=count, window=RollingWindow(kind="rolling", days=days))


def grant(
    start: int, end: int | None = None, limit: FeatureAllowance | None = None, source: str = "s1"
) -> Grant:
    return Grant(
        "reader",
        "news",
        SourceKind.SUBSCRIPTION,
        source,
        NOON + timedelta(days=start),
        None if end is None else NOON + timedelta(days=end),
        limit,
    )


@pytest.mark.parametrize(
    ("grants", "reason", "deciding"),
    [
        ([], Reason.NO_GRANT, None),
        ([grant(-5)], Reason.GRANTED, 0),
        ([grant(0)], Reason.GRANTED, 0),
        ([grant(-5, 0)], Reason.ENDED, 0),
        ([grant(-9, -7), grant(-5, -1), grant(-8, -6)], Reason.ENDED, 1),
        ([grant(9), grant(3), grant(-5, -1)], Reason.NOT_YET, 1),
        ([grant(-5, limit=allowance(5))], Reason.ALLOWANCE, 0),
        ([grant(-5, limit=allowance(50)), grant(-2, 2, source="g1")], Reason.GRANTED, 1),
        ([grant(-5, limit=allowance(5)), grant(-5, limit=allowance(6))], Reason.ALLOWANCE, 1),
        ([grant(-5, limit=allowance(6)), grant(-5, limit=allowance(5))], Reason.ALLOWANCE, 0),
        ([grant(-5, 3), grant(-5, 7, source="g1"), grant(-5, 5)], Reason.GRANTED, 1),
        ([grant(-5, 3), grant(-5), grant(-5, 5)], Reason.GRANTED, 1),
    ],
)
def test_which_grant_decides(grants: list[Grant], reason: Reason, deciding: int | None) -> None:
    found = standing(grants, NOON)
    assert found.reason is reason
    assert found.grant is (None if deciding is None else grants[deciding])
    assert found.open == (reason in (Reason.GRANTED, Reason.ALLOWANCE))


_allowances = st.none() | st.builds(
    FeatureAllowance,
    count=st.integers(1, 10_000),
    window=st.just(MonthWindow(kind="calendar_month"))
    | st.builds(RollingWindow, kind=st.just("rolling"), days=st.integers(1, 366)),
)


@given(_allowances)
def test_an_allowance_is_read_back_as_it_was_written(given_: FeatureAllowance | None) -> None:
    count = None if given_ is None else given_.count
    assert read_allowance(count, None if given_ is None else period_text(given_)) == given_


@pytest.mark.parametrize("text", ["month", "rolling/", "rolling/x", "30"])
def test_a_period_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadPeriod, match="rolling/30"):
        read_allowance(5, text)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (allowance(1000), None),
        (allowance(5), allowance(6)),
        (allowance(30), allowance(2, days=1)),
        (allowance(29, days=30), allowance(30)),
        (allowance(10, days=10), allowance(30)),
    ],
)
def test_the_more_generous_of_two(less: FeatureAllowance, more: FeatureAllowance | None) -> None:
    assert more_generous(less, more) == more_generous(more, less) == more
