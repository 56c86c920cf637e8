"""Revenue schedules: when what was billed becomes revenue, and what a credit takes back of it.

A schedule is a billed line seen by the books: its net amount is earned evenly over the days of its service, by the
issues delivered, on one day, or with its document. Earned amounts are running amounts, rounded, so that the parts of
any cut of the time sum to the whole. `through` is exclusive, as in charged through: what was recognised through
1 February is what stands at the end of January. Always: recognised + deferred + credited = billed.

A credit does not rewrite what was earned before the time that it gives back. Such time ends with a day (`until`):
what is credited is the last that would have been earned before that day, so that a tail that is given back ends the
schedule, and a missed issue or a pause leaves a gap in it. A credit of an amount and no time lowers the price, of the
days gone by and of those to come alike. In the amounts of a negative line every sign turns round.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from domain.credits import BilledLine, CreditLine
from domain.ledger import DEFERRED_KINDS, EARNED_KINDS
from domain.lines import Line
from domain.money import scaled
from domain.proration import Moment, day_of

_DAY = timedelta(days=1)
_CREDITS = frozenset({"unused_credit", "delivery_credit"})


class ScheduleRefused(ValueError):
    """A line has no schedule, or a credit does not fit one; the message says why."""


class Credit(NamedTuple):
    """What is given back of a schedule: `on` is the day of the document that credits it, `amount` is net, in minor
    units, with the sign of the line; `until` is the end (exclusive) of the time given back, None for no time. A credit
    that was `withdrawn_on` a day (the invoice with it was voided) counts through that day."""

    on: date
    amount: int
    until: date | None
    withdrawn_on: date | None = None


class Split(NamedTuple):
    """An amount by the account that it belongs to: deferred revenue, or revenue that was earned (minor units)."""

    deferred: int
    earned: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the `net` (minor units of `currency`) of the line `key` is earned: in equal parts on `deliveries` (days, in
    order, one per issue) or, where there are none, on each day from `start` to `end` (exclusive); never before it is
    `billed_on`. What is not `deferred` is revenue with its document. `credits` are in the order of their giving."""

    key: str
    currency: str
    net: int
    billed_on: date
    start: date
    end: date
    deliveries: tuple[date, ...] = ()
    deferred: bool = True
    credits: tuple[Credit, ...] = ()

    @property
    def left(self) -> int:
        """What is left of the net after all credits."""
        return self.net - credited(self)

    @property
    def opening(self) -> Split:
        """What the document itself posts to deferred revenue, and to revenue."""
        return Split(self.net, 0) if self.deferred else Split(0, self.net)


def schedule_of(
    line: BilledLine,
    *,
    currency: str,
    billed_on: date,
    deliveries: Iterable[date] = (),
    delivered_on: date | None = None,
) -> Schedule:
    """The schedule of `line`, which a document of the day `billed_on` charges. Its net has its discounts taken off, so
    that they lessen what is recognised.

    Recurring: daily over its period; with `deliveries` (issues of its product; those outside the period are left out)
    by issue; with its document where the period is over by then, as it is in arrears. Gift: daily or by issue over the
    period of its redemption, `billed_on` being the day of that. One-time: with its document, or on `delivered_on` where
    that is later. Usage, minimum and adjustment: with their document.

    Raises ScheduleRefused for a recurring or gift line without period, for a credit, which belongs to the schedule of
    the line that it corrects, and for a kind without rule.
    """
    kind = line.kind
    if kind in _CREDITS:
        raise ScheduleRefused(
            f"line {line.key} is a credit ({kind}): take it off the schedule of the line that it corrects"
        )
    if kind in EARNED_KINDS:
        if kind == "one_time" and delivered_on is not None and delivered_on > billed_on:
            return Schedule(line.key, currency, line.net, billed_on, delivered_on, delivered_on + _DAY)
        return Schedule(line.key, currency, line.net, billed_on, billed_on, billed_on + _DAY, deferred=False)
    if kind != "gift" and kind not in DEFERRED_KINDS:
        raise ScheduleRefused(f"line {line.key}: it is not laid down when lines of kind {kind!r} are earned")
    if line.start is None or line.end is None:
        raise ScheduleRefused(
            f"line {line.key} ({kind}) has no service period: it cannot be recognised over time"
            + (" before the gift is redeemed" if kind == "gift" else "")
        )
    start, end = day_of(line.start), _end_day(line.end)
    if start >= end:
        raise ScheduleRefused(
            f"line {line.key} has a service period that ends on {end} and starts on {start}"
        )
    if kind == "recurring" and _over(line.end, billed_on):
        return Schedule(line.key, currency, line.net, billed_on, start, end, deferred=False)
    issues = tuple(sorted(day for day in deliveries if start <= day < end))
    return Schedule(line.key, currency, line.net, billed_on, start, end, issues)


def earned_at_issue(lines: Iterable[Line], issued_on: date) -> dict[int, int]:
    """What is deferred, by place, of those lines of a document of the day `issued_on` that their kind alone does not
    settle: nothing (0) of a recurring line whose period is over, in arrears or billed late. `ledger.settle` takes it as
    `deferred_parts`, and the document then posts what `schedule_of` has as the line's opening."""
    earned = {}
    for place, line in enumerate(lines):
        end = line.period_end
        if end is not None and line.kind == "recurring" and _over(end, issued_on):
            earned[place] = 0
    return earned


def credit_of(line: CreditLine, on: date) -> Credit:
    """What `line`, on a document of the day `on`, takes off the schedule of the line that it corrects."""
    return Credit(on, -line.net, None if line.end is None else _end_day(line.end))


def with_credit(schedule: Schedule, credit: Credit) -> Schedule:
    """`schedule` with `credit` taken off; a credit of nothing changes nothing.

    Raises ScheduleRefused when more is credited than is left (law 5), the sign is not the line's, or the credit is
    dated before the line was billed or an earlier credit was given.
    """
    if not credit.amount:
        return schedule
    if not min(0, schedule.left) <= credit.amount <= max(0, schedule.left):
        raise ScheduleRefused(
            f"{credit.amount} minor units are to be credited on line {schedule.key}, and {schedule.left} are left of it"
        )
    last = last_document(schedule)
    if credit.on < last:
        raise ScheduleRefused(
            f"a credit on line {schedule.key} cannot be dated {credit.on}: it was billed or credited on {last}; "
            "date the credit on that day or later"
        )
    return replace(schedule, credits=(*schedule.credits, credit))


def withdraw_credit(schedule: Schedule, credit: Credit, on: date) -> Schedule:
    """`schedule` with `credit`, one of its own, withdrawn on the day `on`. The whole amount goes back to
    where the line's document had put it: to deferred revenue, of which the next run recognises what is earned, or to
    revenue, for a line that is earned with its document. Raises ScheduleRefused for a credit that does not stand
    against `schedule`, and a day before the last document."""
    if credit not in schedule.credits or credit.withdrawn_on is not None:
        raise ScheduleRefused(
            f"no credit of {credit.amount} from {credit.on} stands against line {schedule.key}"
        )
    last = last_document(schedule)
    if on < last:
        raise ScheduleRefused(
            f"a credit on line {schedule.key} cannot be withdrawn on {on}: it was credited on {last}"
        )
    place = schedule.credits.index(credit)
    withdrawn = credit._replace(withdrawn_on=on)
    return replace(schedule, credits=(*schedule.credits[:place], withdrawn, *schedule.credits[place + 1 :]))


def split_credit(schedule: Schedule, credit: Credit, recognised: int) -> Split:
    """How the entry of `credit` divides: what it takes from deferred revenue, and what it reverses of the `recognised`
    amount, which is what the books have recognised of `schedule` so far (all in minor units). They have recognised
    `recognised - earned` of it afterwards. Zero or of the sign of the line, and together the credit.

    Raises ScheduleRefused as `with_credit` does, and when the books cannot have recognised that much.
    """
    after = with_credit(schedule, credit)
    if not min(0, schedule.left) <= recognised <= max(0, schedule.left):
        raise ScheduleRefused(
            f"{recognised} minor units of line {schedule.key} are said to be recognised, and {schedule.left} are left"
        )
    if after is schedule:
        return Split(0, 0)
    sign = -1 if schedule.net < 0 else 1
    at_until = 0 if credit.until is None else _running(schedule, credit.until, _standing(schedule))
    kept = sign * _without(abs(recognised), credit, at_until, abs(schedule.left))
    return Split(credit.amount - (recognised - kept), recognised - kept)


def credit_amounts(credits: Iterable[tuple[CreditLine, Split]]) -> dict[str, int]:
    """The parts of the entry that gives `credits` back, each with its split: deferred, revenue and tax, minor units,
    positive where something is given back. Where it goes (receivable, account_credit, refund) is for the caller to add.
    """
    parts = {"deferred": 0, "revenue": 0, "tax": 0}
    for line, split in credits:
        parts["deferred"] += split.deferred
        parts["revenue"] += split.earned
        parts["tax"] -= line.tax
    return parts


def recognised_through(schedule: Schedule, through: date, as_of: date | None = None) -> int:
    """What is recognised of `schedule` through the day `through` (exclusive), minor units. Of the credits those count
    that were given before `as_of` (exclusive), which is `through` unless said otherwise: with a later day, what was
    recognised comes out as it would be had the credits been known."""
    amount = _running(schedule, through, _standing(schedule, through if as_of is None else as_of))
    return -amount if schedule.net < 0 else amount


def to_recognise(schedule: Schedule, through: date, recognised: int) -> int:
    """What a journal run through `through` (exclusive) adds to the `recognised` amount that the books have, given all
    credits that are known. Nothing when they are ahead already: a run never takes back, credits do (`split_credit`)."""
    amount = _running(schedule, through, _standing(schedule)) - abs(recognised)
    return max(0, amount) if schedule.net >= 0 else -max(0, amount)


def credited(schedule: Schedule, as_of: date | None = None) -> int:
    """What was given back of `schedule` before the day `as_of` (all, if None), net minor units."""
    return sum(credit.amount for credit in _standing(schedule, as_of))


def billed(schedule: Schedule, through: date) -> int:
    """The net of `schedule`, once it is billed: nothing through the day of its document, all after it."""
    return schedule.net if schedule.billed_on < through else 0


def deferred_on(schedule: Schedule, day: date) -> int:
    """What stands in deferred revenue of `schedule` when `day` begins, minor units: billed, not recognised, not
    credited. With the first day of a month, the balance at the end of the month before."""
    return billed(schedule, day) - credited(schedule, day) - recognised_through(schedule, day)


def last_day(schedule: Schedule) -> date:
    """The last day on which `schedule` is billed, earns or is credited; nothing of it moves later."""
    earning = schedule.deliveries[-1] if schedule.deliveries else schedule.end - _DAY
    return max(last_document(schedule), earning)


def last_document(schedule: Schedule) -> date:
    """When it was last billed, credited, or a credit withdrawn."""
    return max((schedule.billed_on, *(credit.withdrawn_on or credit.on for credit in schedule.credits)))


def _end_day(moment: Moment) -> date:
    """The first day after a time that ends at `moment`: part of a day is a day."""
    begun = isinstance(moment, datetime) and moment.time() != time()
    return day_of(moment) + _DAY if begun else day_of(moment)


def _over(end: Moment, day: date) -> bool:
    """Whether a time that ends at `end` is over when `day` begins."""
    return _end_day(end) <= day if isinstance(end, datetime) else end <= day


def _standing(schedule: Schedule, as_of: date | None = None) -> tuple[Credit, ...]:
    """The credits that stand when the day `as_of` begins, or all that do, in order."""
    if as_of is None:
        return tuple(credit for credit in schedule.credits if credit.withdrawn_on is None)
    return tuple(
        credit
        for credit in schedule.credits
        if credit.on < as_of and (credit.withdrawn_on is None or credit.withdrawn_on >= as_of)
    )


def _earned(schedule: Schedule, through: date) -> int:
    """What is earned through `through` but for credits, without sign."""
    if through <= schedule.billed_on:
        return 0
    net = abs(schedule.net)
    if not schedule.deferred:
        return net
    if schedule.deliveries:
        return scaled(net, bisect_left(schedule.deliveries, through), len(schedule.deliveries))
    days = (schedule.end - schedule.start).days
    return scaled(net, min(max((through - schedule.start).days, 0), days), days)


def _running(schedule: Schedule, through: date, credits: Sequence[Credit]) -> int:
    """What is recognised through `through` when `credits` count, without sign."""
    value = _earned(schedule, through)
    # Each credit needs to know where the ones before it have put the end of its time.
    ends = [0 if credit.until is None else _earned(schedule, credit.until) for credit in credits]
    left = abs(schedule.net)
    for place, credit in enumerate(credits):
        at_until = ends[place]
        value = _without(value, credit, at_until, left)
        for later in range(place + 1, len(credits)):
            ends[later] = _without(ends[later], credit, at_until, left)
        left -= abs(credit.amount)
    return value


def _without(value: int, credit: Credit, at_until: int, left: int) -> int:
    """What `credit` makes of a running amount `value`, when the running amount at the end of its time is `at_until`
    and the last one `left`. It keeps the order of running amounts, and the last one becomes `left` less the credit."""
    amount = abs(credit.amount)
    if credit.until is None:
        return scaled(value, left - amount, left)
    return max(0, min(value, max(at_until, value) - amount))
