"""Metered reading: how many articles a reader may read for nothing.

One allowance for the whole site, whatever the section, device or channel: an article is counted once, by its id,
and reading it again is free while it counts. What was read before login counts at login with the reader's own. There
is one set of readings per reader and site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field

from domain.periods import add_months


class RollingWindow(BaseModel, extra="forbid", frozen=True):
    """An article counts on the local day it is read and on the days after it, `days` in all."""

    kind: Literal["rolling"]
    days: int = Field(ge=1, le=366, description="local days for which an article counts")


class MonthWindow(BaseModel, extra="forbid", frozen=True):
    """An article counts until the end of the calendar month in which it is read."""

    kind: Literal["calendar_month"]


Window = Annotated[RollingWindow | MonthWindow, Field(discriminator="kind")]


class MeteringPolicy(BaseModel, extra="forbid", frozen=True):
    """What an operator decides about metered reading on one site."""

    allowance: int = Field(ge=0, description="articles that may be read in a window")
    window: Window = Field(description="for how long one counts")
    registration_bonus: int = Field(default=0, ge=0, description="further articles for who is logged in")
    warn_when_left: int = Field(
        default=0, ge=0, description="warn when no more than this many are left after the article"
    )


class Counted(NamedTuple):
    """An article that counts against the allowance, and the local day from which it does."""

    article: str
    on: date


Readings = frozenset[Counted]


class Verdict(StrEnum):
    """What to show: the article, the article with a warning, or the wall."""

    ALLOW = "allow"
    WARN = "warn"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a reader's wish to read: `counted` is whether this reading takes one of the allowance, `left`
    how many remain after it, `next_free_on` the first day on which more will remain (None while nothing counts), and
    `readings` what counts from now on."""

    verdict: Verdict
    counted: bool
    left: int
    next_free_on: date | None
    readings: Readings


def counting(policy: MeteringPolicy, readings: Readings, on: date) -> dict[str, date]:
    """The articles that count on the local day `on`, each with the first day it counts from."""
    since = window_start(policy.window, on)
    found: dict[str, date] = {}
    for article, day in readings:
        if day >= since:
            found[article] = min(day, found.get(article, day))
    return found


def allowance_of(policy: MeteringPolicy, registered: bool) -> int:
    """How many articles a window has for a reader, who is `registered` (logged in) or not."""
    return policy.allowance + (policy.registration_bonus if registered else 0)


def read_article(
    policy: MeteringPolicy, readings: Readings, article: str, on: date, registered: bool = False
) -> Decision:
    """Whether `article` may be read on the local day `on`. One that counts already is read for nothing and does not
    count any longer for it; a new one is counted if the allowance is not used up. Readings that no longer count are
    dropped from the answer's."""
    counted = counting(policy, readings, on)
    allowance = allowance_of(policy, registered)
    again = article in counted
    denied = not again and len(counted) >= allowance
    if not again and not denied:
        counted[article] = on
    left = max(0, allowance - len(counted))
    shown = Verdict.WARN if left <= policy.warn_when_left else Verdict.ALLOW
    return Decision(
        Verdict.DENY if denied else shown,
        not again and not denied,
        left,
        next_free_on(policy.window, counted, allowance),
        frozenset(Counted(name, day) for name, day in counted.items()),
    )


def merge_readings(policy: MeteringPolicy, one: Readings, other: Readings, on: date) -> Readings:
    """What counts on `on` for a reader who was two until now (at login: anonymous, and the account): the
    distinct articles of both, each from the first day it counts. Which is which makes no difference, nor does merging
    again."""
    return frozenset(Counted(name, day) for name, day in counting(policy, one | other, on).items())


def window_start(window: Window, on: date) -> date:
    """The first day of which an article still counts on `on`."""
    if isinstance(window, MonthWindow):
        return on.replace(day=1)
    return on - timedelta(days=window.days - 1)


def free_on(window: Window, day: date) -> date:
    """The first day on which an article counted from `day` counts no more."""
    if isinstance(window, MonthWindow):
        return add_months(day.replace(day=1), 1)
    return day + timedelta(days=window.days)


def next_free_on(window: Window, counted: Mapping[str, date], allowance: int) -> date | None:
    """The first day on which more is left than now: after a merge more may count than the allowance has, and then as
    many have to go first. None when none counts, or when there is no allowance to free."""
    days = sorted(free_on(window, day) for day in counted.values())
    over = max(0, len(days) - allowance)
    return days[over] if over < len(days) else None
