"""Licences and parcels: what shall be, and which step leads there from what the other system was told.

One entry is one licence, one parcel, or the standing order of an edition that brings a parcel for each issue. Its steps
go one after the other: the next is decided when it is known what the one before came to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from domain.delivered import Content, Delivered, Issues, Shipping, issue_days
from domain.periods import start_of_day

# How long a parcel that is no issue can be stopped, or sent elsewhere, after it was ordered: until the carrier has it.
CHANGEABLE = timedelta(days=2)
STANDING = 0  # the number of a standing order
# Other entries are counted from 1; an issue's number is that of its day, which is beyond any count.
_FIRST_DAY = date(1900, 1, 1).toordinal()


class Wish(StrEnum):
    """What shall be."""

    GIVEN = "given"
    ENDED = "ended"


class Told(StrEnum):
    """What the other system was told, and has done."""

    NOTHING = "nothing"
    GIVEN = "given"
    ENDED = "ended"


class Step(StrEnum):
    """What to do next; the first five are calls of these names."""

    GRANT = "drm.grant"
    EXTEND = "drm.extend"
    REVOKE = "drm.revoke"
    BUY = "shipping.buy"
    VOID = "shipping.void"
    CLOSE = "close"  # nothing is asked any more

    @property
    def calls(self) -> bool:
        """Whether another system is asked."""
        return self is not Step.CLOSE


class Capability(StrEnum):
    """Who does it."""

    DRM = "drm"
    SHIPPING = "shipping"


class Source(NamedTuple):
    """What gives it: a subscription that is read by, billed until the local day `until` (exclusive) and
    over on `ends_on`, or a purchase that is paid for, of the local day `since`."""

    kind: str
    id: str
    delivered: Delivered
    since: date
    until: date | None
    ends_on: date | None = None
    copies: int = 1
    stopped: tuple[tuple[date, date], ...] = ()


class Wanted(NamedTuple):
    """An entry that shall be. `due_at`: of a standing order, when its next issue is ordered; of an issue, when it
    comes. `until`: of a licence; `changeable_until`: of a parcel. `missed`: it is too late for it."""

    source: Source
    capability: Capability
    item: str
    number: int
    due_at: datetime
    until: datetime | None
    changeable_until: datetime | None
    terms: dict[str, Any]
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is written down. `given_until`: to what the licence was given; `elsewhere`: the address is another
    than the one that the other system was told."""

    source_id: str
    capability: str
    item: str
    number: int
    wish: str
    told: str
    until: datetime | None
    given_until: datetime | None
    changeable_until: datetime | None
    due_at: datetime
    asked: bool = False
    elsewhere: bool = False


def is_issue(number: int) -> bool:
    """Whether the entry of that number is an issue of an edition."""
    return number >= _FIRST_DAY


def next_step(entry: Entry, now: datetime) -> Step | None:
    """What leads from what was told to what shall be; None: nothing does, or nothing is to be done."""
    if entry.capability == Capability.DRM:
        return _of_licence(entry, now)
    return None if entry.number == STANDING else _of_parcel(entry, now)


def _of_licence(entry: Entry, now: datetime) -> Step | None:
    if entry.told == Told.ENDED:
        return None
    if entry.told == Told.NOTHING:
        wanted = entry.wish == Wish.GIVEN and entry.until is not None and entry.until > now
        return Step.GRANT if wanted else Step.CLOSE
    given = entry.given_until or now
    if entry.wish == Wish.ENDED:
        return Step.REVOKE if given > now else Step.CLOSE
    # One that has run out is not woken: another takes its place.
    return Step.EXTEND if entry.until is not None and entry.until > given > now else None


def _of_parcel(entry: Entry, now: datetime) -> Step | None:
    changeable = entry.changeable_until is not None and now < entry.changeable_until
    if entry.told == Told.ENDED:
        return None
    if entry.told == Told.NOTHING:
        too_late = is_issue(entry.number) and not changeable
        return Step.BUY if entry.wish == Wish.GIVEN and not too_late else Step.CLOSE
    if entry.wish == Wish.ENDED or entry.elsewhere:
        return Step.VOID if changeable else None
    return None


def wanted(
    source: Source, known: Sequence[Entry], zone: ZoneInfo, today: date, now: datetime
) -> list[Wanted]:
    """What the source gives rise to on the local day `today`, at the instant `now` of it. `known`: its entries."""
    return [
        *(each for one in source.delivered.content for each in _licence(source, one, known, zone, now)),
        *(
            each
            for one in source.delivered.shipping
            for each in _parcels(source, one, known, zone, today, now)
        ),
    ]


def _licence(
    source: Source, content: Content, known: Sequence[Entry], zone: ZoneInfo, now: datetime
) -> list[Wanted]:
    if source.until is None:
        until = start_of_day(source.since + timedelta(days=content.days or 1), zone)
    else:
        day = source.until + timedelta(days=content.grace_days)
        until = start_of_day(day if source.ends_on is None else min(day, source.ends_on), zone)
    number = _number(known, Capability.DRM, content.id, now)
    there = [each for each in known if each.capability == Capability.DRM and each.item == content.id]
    if until <= now and not any(each.number == number for each in there):
        return []
    terms = {"devices": content.devices, "grace_days": content.grace_days}
    return [Wanted(source, Capability.DRM, content.id, number, now, until, None, terms)]


def _number(known: Sequence[Entry], capability: Capability, item: str, now: datetime) -> int:
    """The entry that goes on, or the next one where the last has come to its end. One that was refused for good is not
    tried again under another number."""
    own = [each for each in known if each.capability == capability and each.item == item]
    if not own:
        return 1
    last = max(own, key=lambda each: each.number)
    over = last.wish == Wish.ENDED and (last.told != Told.NOTHING or last.asked)
    ran_out = last.told == Told.GIVEN and last.given_until is not None and last.given_until <= now
    return last.number + 1 if over or ran_out else last.number


def _parcels(
    source: Source, shipping: Shipping, known: Sequence[Entry], zone: ZoneInfo, today: date, now: datetime
) -> list[Wanted]:
    terms = {**shipping.model_dump(mode="json", exclude={"issues"}), "copies": source.copies}
    own = [each for each in known if each.capability == Capability.SHIPPING and each.item == shipping.sku]
    if shipping.issues is None:
        given = [each for each in own if each.told == Told.GIVEN]
        number = given[-1].number if given else _number(known, Capability.SHIPPING, shipping.sku, now)
        there = next((each for each in own if each.number == number), None)
        stop = now + CHANGEABLE if there is None else there.changeable_until
        return [Wanted(source, Capability.SHIPPING, shipping.sku, number, now, None, stop, terms)]
    return _issues(source, shipping, shipping.issues, own, zone, today, terms)


def _issues(
    source: Source,
    shipping: Shipping,
    issues: Issues,
    own: Sequence[Entry],
    zone: ZoneInfo,
    today: date,
    terms: dict[str, Any],
) -> list[Wanted]:
    """The standing order, due when its next issue is to be ordered; and the issues that are to be ordered by now, with
    those that were and are still to come."""
    standing = next((each for each in own if each.number == STANDING), None)
    going_on = standing is not None and standing.wish == Wish.GIVEN
    begun = today if standing is None or not going_on else _cursor(standing, zone, issues)
    ordered_by = today + timedelta(days=issues.lead_days + 1)
    ordered = [date.fromordinal(each.number) for each in own if is_issue(each.number)]
    days = [
        *(day for day in ordered if today <= day < begun),
        *issue_days(issues, begun, ordered_by),
    ]
    found = [
        _issue(source, shipping, day, zone, terms, missed=day < today)
        for day in days
        if not any(start <= day < until for start, until in source.stopped)
    ]
    following = issues.next_from(max(begun, ordered_by))
    due = start_of_day(following - timedelta(days=issues.lead_days), zone)
    order = Wanted(source, Capability.SHIPPING, shipping.sku, STANDING, due, None, None, terms)
    return [order, *found]


def _cursor(standing: Entry, zone: ZoneInfo, issues: Issues) -> date:
    """The first issue that the standing order has not come to."""
    return standing.due_at.astimezone(zone).date() + timedelta(days=issues.lead_days)


def _issue(
    source: Source,
    shipping: Shipping,
    day: date,
    zone: ZoneInfo,
    terms: dict[str, Any],
    *,
    missed: bool = False,
) -> Wanted:
    begins = start_of_day(day, zone)
    named = {**terms, "issue": day.isoformat()}
    return Wanted(
        source, Capability.SHIPPING, shipping.sku, day.toordinal(), begins, None, begins, named, missed
    )
