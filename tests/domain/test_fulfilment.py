"""Which step leads from what another system was told to what shall be, and when issues come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.delivered import Content, Delivers, Issues, Shipping, delivered_by, issue_days
from domain.fulfilment import Entry, Step, next_step

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ISSUE = date(2026, 3, 15).toordinal()


def entry(capability: str, **changes: Any) -> Entry:
    """A licence or parcel that shall be given, of which nothing was told."""
    values: dict[str, Any] = {
        "source_id": "s",
        "capability": capability,
        "item": "x",
        "number": 1,
        "wish": "given",
        "told": "nothing",
        "until": NOW + 30 * DAY,
        "given_until": None,
        "changeable_until": NOW + DAY,
        "due_at": NOW,
    }
    return Entry(**(values | changes))


GIVEN: dict[str, Any] = {"told": "given", "given_until": NOW + 30 * DAY}
ENDS: dict[str, Any] = {"wish": "ended"}


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (entry("drm"), Step.GRANT),
        (entry("drm", until=NOW - DAY), Step.CLOSE),  # it would be over as it begins
        (entry("drm", **ENDS), Step.CLOSE),
        (entry("drm", **GIVEN), None),
        (entry("drm", **GIVEN, until=NOW + 60 * DAY), Step.EXTEND),
        (entry("drm", **GIVEN, until=NOW + 10 * DAY), None),  # never shorter; it is revoked when access ends
        (entry("drm", told="given", given_until=NOW - DAY), None),  # another takes its place
        (entry("drm", **GIVEN, **ENDS), Step.REVOKE),
        (entry("drm", told="given", given_until=NOW - DAY, **ENDS), Step.CLOSE),
        (entry("drm", told="ended"), None),
        (entry("shipping"), Step.BUY),
        (entry("shipping", changeable_until=NOW - DAY), Step.BUY),  # late, as nothing was connected
        (entry("shipping", number=ISSUE), Step.BUY),
        (entry("shipping", number=ISSUE, changeable_until=NOW - DAY), Step.CLOSE),  # of yesterday
        (entry("shipping", number=0), None),
        (entry("shipping", **ENDS), Step.CLOSE),
        (entry("shipping", told="given"), None),
        (entry("shipping", told="given", **ENDS), Step.VOID),
        (entry("shipping", told="given", elsewhere=True), Step.VOID),
        (entry("shipping", told="given", elsewhere=True, changeable_until=NOW), None),  # on its way
        (entry("shipping", told="ended", elsewhere=True), None),
    ],
)
def test_the_next_step(found: Entry, step: Step | None) -> None:
    assert next_step(found, NOW) is step


@pytest.mark.parametrize(
    ("issues", "days"),
    [
        (Issues(weekdays=("sat", "sun")), [1, 7, 8, 14, 15, 21, 22, 28]),
        (Issues(month_days=(1, 15)), [1, 15]),
        (Issues(month_days=(15, 31)), [15, 28]),  # the last of February
    ],
)
def test_when_issues_come(issues: Issues, days: list[int]) -> None:
    found = issue_days(issues, date(2026, 2, 1), date(2026, 3, 1))
    assert [day.day for day in found] == days


def test_a_plan_says_it_for_itself_or_its_products_do() -> None:
    paper = Shipping(sku="PAPER", weight=250)
    of = {
        "print": Delivers(shipping=paper),
        "digital": Delivers(content=(Content(id="archive"),)),
    }
    bundle = delivered_by(Delivers(), ["print", "print", "digital"], of)
    assert ([each.sku for each in bundle.shipping], [each.id for each in bundle.content]) == (
        ["PAPER"],
        ["archive"],
    )
    own = delivered_by(Delivers(shipping=Shipping(sku="WEEKEND", weight=380)), ["print", "digital"], of)
    assert ([each.sku for each in own.shipping], [each.id for each in own.content]) == (
        ["WEEKEND"],
        ["archive"],
    )
