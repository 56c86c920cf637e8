"""Entitlements: who may use which feature, by what, from when until when.

What is billed and what is read are two views of one subscription, and they may differ: access may go on through a
pause, or for some days after the end, and it may stop while bills go on. Grants are a function of what an account has,
of the catalog and of the policy; they know their ends beforehand, so nothing has to happen for one to begin or end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.allowances import more_generous
from domain.catalog import AppliesTo, FeatureAllowance, PlanVersion
from domain.media.gifts import Gift
from domain.media.households import Member
from domain.periods import boundary, period_index, start_of_day
from domain.policy import AccessPolicy
from domain.proration import Moment, before
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State

Plans = Mapping[str, Sequence[PlanVersion]]


class SourceKind(StrEnum):
    """What a grant comes from."""

    SUBSCRIPTION = "subscription"
    GIFT = "gift"
    PURCHASE = "purchase"


class Because(StrEnum):
    """Why a grant ends: the subscription or gift does, it is paused, the account owes too much, the plan changes, it
    was refunded, or the reader gave up the seat."""

    ENDED = "ended"
    PAUSED = "paused"
    UNPAID = "unpaid"
    CHANGED = "changed"
    REFUNDED = "refunded"
    LEFT = "left"


class Span(NamedTuple):
    """Local days: `start` is in it, `end` is not; None for no end."""

    start: date
    end: date | None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription. `pauses` are all it had (one that lasts ends with None, or on the day on which it is to be
    resumed), `awaits_payment` says that its first payment is still to come, `readers` who reads by it where that is
    not the account's subscriber alone."""

    terms: SubscriptionTerms
    pauses: tuple[Span, ...] = ()
    awaits_payment: bool = False
    readers: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """A plan that was bought or given once: from `start` on until `end` (None: for ever), or until it was refunded."""

    kind: SourceKind
    id: str
    plan: str
    version: int
    start: Moment
    end: Moment | None = None
    refunded: Moment | None = None
    reader: str | None = None


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """What of an account decides on access. `subscriber` reads what no other reader is named for; `withheld` is when
    debts keep out who reads by subscription (`domain.withholding`), `payment_open` whether an invoice is unpaid."""

    subscriber: str
    zone: ZoneInfo
    subscriptions: tuple[Subscribed, ...] = ()
    given: tuple[Given, ...] = ()
    withheld: tuple[Span, ...] = ()
    payment_open: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """`subscriber` may use `feature` from `starts_at` until `ends_at` (instants in UTC; None: no end), within
    `allowance` (None: without limit)."""

    subscriber: str
    feature: str
    source_kind: SourceKind
    source_id: str
    starts_at: datetime
    ends_at: datetime | None
    allowance: FeatureAllowance | None = None
    because: Because | None = None


def claimed(gift: Gift, plan: str, version: int) -> Given | None:
    """`gift`, which is of `plan`, as its reader has it; None until it is claimed."""
    if gift.access is None:
        return None
    return Given(
        SourceKind.GIFT, gift.id, plan, version, *gift.access, refunded=gift.refunded_on, reader=gift.reader
    )


def grants_of(facts: AccessFacts, plans: Plans, policy: AccessPolicy) -> list[Grant]:
    """All grants of an account, those that are over among them, in a fixed order. Those of one reader, feature and
    source do not overlap. Raises KeyError for a plan or version that `plans` does not have."""
    found = [grant for each in facts.subscriptions for grant in _of_subscription(facts, each, plans, policy)]
    found += [grant for each in facts.given for grant in _of_given(facts, each, plans)]
    return sorted(
        found,
        key=lambda grant: (
            grant.subscriber,
            grant.feature,
            grant.source_kind,
            grant.source_id,
            grant.starts_at,
        ),
    )


class _Stretch(NamedTuple):
    start: datetime
    end: datetime | None
    allowance: FeatureAllowance | None


def _of_subscription(
    facts: AccessFacts, held: Subscribed, plans: Plans, policy: AccessPolicy
) -> Iterator[Grant]:
    terms = held.terms
    if held.awaits_payment and not policy.before_payment:
        return
    last = _last_day(facts, terms, policy)
    stretches: dict[str, list[_Stretch]] = {}
    for item in terms.items:
        end = item.end
        if end is None or (terms.ends_on is not None and not before(end, terms.ends_on)):
            end = last
        elif policy.in_pause == "full":
            end = _through_pause(held, item) or end
        start = item.start if before(terms.starts_on, item.start) else terms.starts_on
        for since, until, version in _versions(plans, terms, item, start, end, facts.zone):
            for feature in version.features:
                stretches.setdefault(feature, []).append(
                    _Stretch(since, until, version.allowances.get(feature))
                )
    pauses = _instants(held.pauses, facts.zone) if policy.in_pause == "none" else []
    withheld = _instants(facts.withheld, facts.zone)
    over = None if last is None else _instant(last, facts.zone)
    for feature, all_of in stretches.items():
        for reader, seats in _seats(facts, held):
            open_ = _merged(_without(all_of, [*pauses, *withheld, *seats]))
            for stretch, following in pairwise([*open_, None]):
                if stretch is None:
                    continue
                yield Grant(
                    reader,
                    feature,
                    SourceKind.SUBSCRIPTION,
                    terms.id,
                    stretch.start,
                    stretch.end,
                    stretch.allowance,
                    _why(stretch, following, over, withheld, pauses, seats),
                )


def _why(
    stretch: _Stretch,
    following: _Stretch | None,
    over: datetime | None,
    withheld: Sequence[_Hole],
    pauses: Sequence[_Hole],
    seats: Sequence[_Hole],
) -> Because | None:
    end = stretch.end
    if end is None:
        return None
    if following is not None and following.start == end:
        return Because.CHANGED
    if over is not None and end >= over:
        return Because.ENDED
    for holes, because in ((withheld, Because.UNPAID), (pauses, Because.PAUSED), (seats, Because.LEFT)):
        if any(hole.start <= end and (hole.end is None or end < hole.end) for hole in holes):
            return because
    return Because.CHANGED


def _last_day(facts: AccessFacts, terms: SubscriptionTerms, policy: AccessPolicy) -> date | None:
    """The first day without access at the subscription's end, as far as that alone decides."""
    if terms.ends_on is None:
        return None
    at_once = terms.status is State.CANCELED
    if at_once or not (policy.grace_when == "always" or facts.payment_open):
        return terms.ends_on
    return terms.ends_on + timedelta(days=policy.grace_days)


def _through_pause(held: Subscribed, item: Item) -> date | None:
    """The day on which `item`, which a pause ended, goes on as another one."""
    heirs = {other.starts_on for other in held.terms.items if other.replaces == item.id}
    for pause in held.pauses:
        if pause.start == item.ends_on and pause.end in heirs:
            return pause.end
    return None


def _versions(
    plans: Plans, terms: SubscriptionTerms, item: Item, start: Moment, end: Moment | None, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime | None, PlanVersion]]:
    """`item` from `start` until `end` in stretches of one version: a newer version that reaches existing subscribers
    does so with the first renewal from its effective day on."""
    versions = plans[item.plan]
    pinned = next((each for each in versions if each.version == item.plan_version), None)
    if pinned is None:
        raise KeyError(f"plan {item.plan!r} has no version {item.plan_version}")
    turns: dict[date, PlanVersion] = {}
    for newer in sorted(versions, key=lambda each: each.version):
        if newer.version > pinned.version and newer.applies_to is AppliesTo.RENEWAL:
            turns[_renewal_from(terms, pinned, newer.effective)] = newer
    begun, version = _instant(start, zone), pinned
    over = None if end is None else _instant(end, zone)
    for day, newer in sorted(turns.items()):
        turn = _instant(day, zone)
        if over is not None and over <= turn:
            break
        if begun < turn:
            yield begun, turn, version
            begun = turn
        version = newer
    if over is None or begun < over:
        yield begun, over, version


def _renewal_from(terms: SubscriptionTerms, pinned: PlanVersion, day: date) -> date:
    """The first day on or after `day` on which the subscription was entered or is renewed."""
    if day <= terms.starts_on:
        return terms.starts_on
    each = pinned.term.periods if pinned.term else 1
    index = max(1, period_index(terms.anchor, terms.interval, day))
    index += -index % each
    while boundary(terms.anchor, terms.interval, index) < day:
        index += each
    return boundary(terms.anchor, terms.interval, index)


def _of_given(facts: AccessFacts, given: Given, plans: Plans) -> Iterator[Grant]:
    version = next((each for each in plans[given.plan] if each.version == given.version), None)
    if version is None:
        raise KeyError(f"plan {given.plan!r} has no version {given.version}")
    start = _instant(given.start, facts.zone)
    ends = [
        (_instant(moment, facts.zone), because)
        for moment, because in ((given.end, Because.ENDED), (given.refunded, Because.REFUNDED))
        if moment is not None
    ]
    end, because = min(ends, default=(None, None), key=lambda each: each[0])
    if end is not None and end <= start:
        return
    for feature in dict.fromkeys(version.features):
        yield Grant(
            given.reader or facts.subscriber,
            feature,
            given.kind,
            given.id,
            start,
            end,
            version.allowances.get(feature),
            because,
        )


class _Hole(NamedTuple):
    start: datetime
    end: datetime | None


_EVER = datetime.min.replace(tzinfo=UTC)


def _seats(facts: AccessFacts, held: Subscribed) -> Iterator[tuple[str, list[_Hole]]]:
    """Who reads, each with the time in which they do not."""
    if not held.readers:
        yield facts.subscriber, []
        return
    seats: dict[str, list[_Hole]] = {}
    for member in held.readers:
        holes = seats.setdefault(member.reader, [_Hole(_EVER, None)])
        joined = _instant(member.joined_on, facts.zone)
        holes[-1] = _Hole(holes[-1].start, joined)
        if member.left_on is not None:
            holes.append(_Hole(_instant(member.left_on, facts.zone), None))
    yield from seats.items()


def _without(stretches: Iterable[_Stretch], holes: Sequence[_Hole]) -> list[_Stretch]:
    """`stretches` less the time of `holes`."""
    rest = list(stretches)
    for hole in holes:
        cut = []
        for each in rest:
            if each.start < hole.start:
                until = hole.start if each.end is None else min(each.end, hole.start)
                cut.append(each._replace(end=until))
            if hole.end is not None and (each.end is None or hole.end < each.end):
                cut.append(each._replace(start=max(each.start, hole.end)))
        rest = cut
    return [each for each in rest if each.end is None or each.start < each.end]


def _merged(stretches: Sequence[_Stretch]) -> list[_Stretch]:
    """`stretches` in order of time without overlaps: where several are open, the most generous allowance counts."""
    if len(stretches) == 1:
        return list(stretches)
    edges = sorted({each.start for each in stretches} | {each.end for each in stretches if each.end})
    found: list[_Stretch] = []
    for start, end in pairwise([*edges, None]):
        if start is None:
            continue
        now = [each for each in stretches if each.start <= start and (each.end is None or start < each.end)]
        if not now:
            continue
        allowance = now[0].allowance
        for each in now[1:]:
            allowance = more_generous(allowance, each.allowance)
        if found and found[-1].end == start and found[-1].allowance == allowance:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(_Stretch(start, end, allowance))
    return found


def _instants(spans: Iterable[Span], zone: ZoneInfo) -> list[_Hole]:
    return [
        _Hole(start_of_day(span.start, zone), None if span.end is None else start_of_day(span.end, zone))
        for span in spans
    ]


def _instant(moment: Moment, zone: ZoneInfo) -> datetime:
    return moment.astimezone(UTC) if isinstance(moment, datetime) else start_of_day(moment, zone)
