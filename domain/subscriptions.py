"""A subscription's dates: how one begins, what state it is in on a day, when it next needs attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from domain.catalog import Billed, PhaseKind, PlanVersion, PriceType
from domain.periods import Anchor, Unit, boundary, first_anchor, period_at, start_of_day


class State(StrEnum):
    """What a subscription is (domain words)."""

    DRAFT = "draft"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"


# Set by a command or by dunning, not by the calendar.
_HELD_BY_COMMAND = frozenset({State.PAUSED, State.CANCELED, State.EXPIRED})


def state_on(
    recorded: State, *, starts_on: date, trial_ends_on: date | None, ends_on: date | None, day: date
) -> State:
    """The state on the local `day`: a pure function of the row, so that no run has to wait for a timer that only
    writes down what the calendar already says."""
    if recorded in _HELD_BY_COMMAND:
        return recorded
    if ends_on is not None and day >= ends_on:
        return State.EXPIRED
    if day < starts_on:
        return State.DRAFT
    if trial_ends_on is not None and day < trial_ends_on:
        return State.TRIALING
    return State.PAST_DUE if recorded is State.PAST_DUE else State.ACTIVE


def next_change(
    recorded: State,
    *,
    starts_on: date,
    trial_ends_on: date | None,
    ends_on: date | None,
    zone: ZoneInfo,
    after: date,
) -> datetime | None:
    """The instant of the first dated change of state on a local day after `after`, in UTC, or None when the
    subscription is quiet. A plain renewal is no change: the bill run does it."""
    if recorded in _HELD_BY_COMMAND:
        return None
    days = [day for day in (starts_on, trial_ends_on, ends_on) if day is not None and day > after]
    return start_of_day(min(days), zone) if days else None


def trial_end(version: PlanVersion, starts_on: date) -> date | None:
    """The first day after the trial of `version` for one who starts on `starts_on`, or None without a trial: also for
    one who starts when a trial until a date is over."""
    for phase in version.phases:
        if phase.kind is PhaseKind.TRIAL:
            if phase.days is not None:
                return starts_on + timedelta(days=phase.days)
            if phase.until is not None and starts_on < phase.until:
                return phase.until
    return None


@dataclass(frozen=True, slots=True)
class Opening:
    """The row of a subscription as it enters the books. Dates are local days, `next_due` an instant in UTC.

    Days before `opening_on` were never ours to bill: the former system did, or a trial gave them.
    """

    status: str
    starts_on: date
    trial_ends_on: date | None
    anchor_on: date
    anchor_day: int
    interval_unit: str
    interval_count: int
    ends_on: date | None
    opening_on: date
    charged_through: date
    arrears_through: date
    next_bill_on: date | None
    next_due: datetime | None


def open_subscription(
    version: PlanVersion,
    *,
    starts_on: date,
    as_of: date,
    charged_through: date | None,
    bill_cycle_day: int | None,
    ends_on: date | None,
    zone: ZoneInfo,
    add_ons: Sequence[PlanVersion] = (),
    first_bill_on: date | None = None,
) -> Opening:
    """How a subscription to `version` (and `add_ons`, billed with it) stands on the day `as_of`, given that it
    started on `starts_on` and has been charged through (exclusive) `charged_through`, or never.

    With `first_bill_on` nothing is billed before that day, and periods are counted from it, whatever the bill cycle day
    and the plan's alignment; the days before it are a leading stub, charged by that bill. Otherwise periods follow the
    alignment of `version`, and the first bill is on the first day that is charged for.

    Raises ValueError, in plain words, for dates that contradict each other and for plans that are no subscription.
    """
    if starts_on > as_of:
        raise ValueError(f"the start date {starts_on} lies after the as-of date {as_of}")
    if ends_on is not None and ends_on <= starts_on:
        raise ValueError(f"the end date {ends_on} is not after the start date {starts_on}")
    sold = (version, *add_ons)
    interval = version.interval.interval()
    if any(other.interval.interval() != interval for other in add_ons):
        raise ValueError("plans of one subscription are billed together: their intervals have to be the same")
    kinds = {price.type for each in sold for phase in each.phases for price in phase.prices}
    if not kinds & {PriceType.RECURRING, PriceType.USAGE}:
        raise ValueError("the plan has one-time prices only: it is bought, not subscribed to")
    trial_ends_on = trial_end(version, starts_on)
    charged_from = trial_ends_on or starts_on
    anchor = first_anchor(charged_from, interval, bill_cycle_day, version.interval.align)
    if first_bill_on is not None:
        if first_bill_on < charged_from:
            raise ValueError(
                f"the first bill date {first_bill_on} is before charging begins on {charged_from}"
            )
        anchor = Anchor.at(first_bill_on)
    if ends_on is None and version.term is not None and version.term.then == "end":
        ends_on = boundary(anchor, interval, version.term.periods)
    if first_bill_on is not None and ends_on is not None and first_bill_on >= ends_on:
        raise ValueError(
            f"the first bill date {first_bill_on} has to come before the subscription's end on {ends_on}"
        )
    opening_on = charged_from
    if charged_through is not None:
        if charged_through < charged_from:
            raise ValueError(
                f"charged through {charged_through}, which is before charging began on {charged_from}"
            )
        if ends_on is not None and charged_through > ends_on:
            raise ValueError(f"charged through {charged_through}, which is after the end on {ends_on}")
        opening_on = charged_through
    recurring = {
        price.billed
        for each in sold
        for phase in each.phases
        for price in phase.prices
        if price.type is PriceType.RECURRING
    }
    in_arrears = PriceType.USAGE in kinds or Billed.ARREARS in recurring
    # What another system charged in arrears, it charged to the end; usage before its cut-off may still come in.
    arrears_through = opening_on if Billed.ARREARS in recurring else max(charged_from, min(opening_on, as_of))
    next_bill_on: date | None = opening_on
    if first_bill_on is not None and opening_on < first_bill_on:
        next_bill_on = first_bill_on
    elif Billed.ADVANCE not in recurring:
        # Arrears are billed when their period ends; one that was under way at the opening is ours from the opening.
        next_bill_on = period_at(anchor, interval, opening_on).end
    if ends_on is not None and next_bill_on is not None and next_bill_on >= ends_on:
        next_bill_on = ends_on if in_arrears and arrears_through < ends_on else None
    recorded = state_on(
        State.ACTIVE, starts_on=starts_on, trial_ends_on=trial_ends_on, ends_on=ends_on, day=as_of
    )
    return Opening(
        status=recorded.value,
        starts_on=starts_on,
        trial_ends_on=trial_ends_on,
        anchor_on=anchor.on,
        anchor_day=anchor.day,
        interval_unit=Unit(interval.unit).value,
        interval_count=interval.length,
        ends_on=ends_on,
        opening_on=opening_on,
        charged_through=opening_on,
        arrears_through=arrears_through,
        next_bill_on=next_bill_on,
        next_due=next_change(
            recorded,
            starts_on=starts_on,
            trial_ends_on=trial_ends_on,
            ends_on=ends_on,
            zone=zone,
            after=as_of,
        ),
    )
