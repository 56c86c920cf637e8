"""What the state and the dates of a subscription demand outside: access granted or taken, notices, deliveries.

A demand has a key that its subscription has once, made of what it is about, so that the same state never demands
anything twice. Demands that lie ahead are withdrawn when the dates that they are about move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.account import lifecycle
from domain.account.state import AccountState, Subscription
from domain.periods import Unit
from domain.subscriptions import State

# A period of at least this many days is renewed so rarely that its payer is told before.
_LONG = {Unit.YEAR: 1, Unit.MONTH: 12, Unit.WEEK: 52, Unit.DAY: 365}


class Kind(StrEnum):
    """Who carries a demand out: the identity system, the mail, the circulation."""

    PROVISIONING = "provisioning"
    NOTICE = "notice"
    SHIPMENT = "shipment"


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A demand, from its local day `due_on` on. `about` are the dates and plans that it is about, as text."""

    kind: Kind
    key: str
    due_on: date
    about: dict[str, str | None]


class Known(NamedTuple):
    """A demand that is written down: `open` until it is carried out, or `withdrawn`."""

    kind: str
    key: str
    due_on: date
    open: bool
    about: dict[str, str | None]
    withdrawn: bool = False


class Access(NamedTuple):
    """What the subscription entitles to today, by its grants; and on which day that changes by itself, to what."""

    features: tuple[str, ...] = ()
    changes_on: date | None = None
    then: tuple[str, ...] = ()


class Decision(NamedTuple):
    """What is demanded and not written down; the keys of what is written down and demanded no more; and of what was
    withdrawn and is demanded again."""

    new: list[FollowUp]
    withdrawn: list[str]
    again: list[str]


def decide(
    account: AccountState,
    subscription: Subscription,
    access: Access,
    known: Sequence[Known],
    since: date,
) -> Decision:
    """What the subscription demands today, given what was written down before. What happened to it before the local day
    `since` was told by others, or long ago."""
    happened = (each for each in _happened(account, subscription) if each.due_on >= min(since, account.today))
    demanded = [*_ahead(account, subscription), *happened, *_access(account, subscription, access, known)]
    written = {each.key: each for each in known}
    wanted = {each.key for each in demanded}
    return Decision(
        [each for each in demanded if each.key not in written],
        [
            each.key
            for each in known
            if each.open and each.key not in wanted and _ahead_of(each, account.today)
        ],
        [each.key for each in demanded if each.key in written and written[each.key].withdrawn],
    )


def _ahead_of(known: Known, today: date) -> bool:
    """Whether a demand is about what lies ahead, and has no reason any more once nothing leads there. A change of
    access whose day has come is what access is now."""
    if known.key.startswith("access-on/"):
        return known.due_on > today
    return known.key.startswith(("trial-ends-soon/", "renewal-notice/"))


def _notice(name: str, due_on: date, *parts: date, **about: date | str | None) -> FollowUp:
    texts = {key: value if value is None else str(value) for key, value in about.items()}
    key = "/".join([name, *map(str, parts)])
    return FollowUp(Kind.NOTICE, key, due_on, {"notice": name, **texts})


def _ahead(account: AccountState, subscription: Subscription) -> Iterator[FollowUp]:
    """Notices of what comes, as many days before as the policy says."""
    terms, policy = subscription.terms, account.policy.notices
    running = lifecycle.state(subscription, account.today) in (State.DRAFT, State.TRIALING, State.ACTIVE)
    if not running:
        return
    trial = terms.trial_ends_on
    goes_on = trial is not None and (terms.ends_on is None or terms.ends_on > trial)
    if policy.trial_ends_days and trial is not None and goes_on and trial > account.today:
        due = max(trial - timedelta(days=policy.trial_ends_days), terms.starts_on)
        yield _notice("trial-ends-soon", due, trial, ends_on=trial, plan=plan_of(subscription, trial))
    renews_on = terms.charged_through
    renews = terms.ends_on is None or terms.ends_on > renews_on
    if policy.renewal_days and renews and _is_long(subscription) and renews_on > account.today:
        if renews_on <= (trial or terms.starts_on):
            return  # nothing was charged yet: that is a beginning, no renewal
        due = renews_on - timedelta(days=policy.renewal_days)
        yield _notice(
            "renewal-notice", due, renews_on, renews_on=renews_on, plan=plan_of(subscription, renews_on)
        )


def _is_long(subscription: Subscription) -> bool:
    interval = subscription.terms.interval
    return interval.length >= _LONG[Unit(interval.unit)]


def _happened(account: AccountState, subscription: Subscription) -> Iterator[FollowUp]:
    """Notices of what has come."""
    terms = subscription.terms
    for start, end in subscription.pauses[-1:]:
        if start <= account.today:
            yield _notice("paused", start, start, paused_on=start, until=end or subscription.resumes_on)
        if end is not None and subscription.canceled_on is None:
            yield _notice("resumed", end, start, end, resumed_on=end)
    if subscription.canceled_on is not None and terms.ends_on is not None:
        day = subscription.canceled_on
        yield _notice("canceled", day, day, terms.ends_on, canceled_on=day, ends_on=terms.ends_on)
    if terms.ends_on is not None and terms.ends_on <= account.today:
        yield _notice("ended", terms.ends_on, terms.ends_on, ended_on=terms.ends_on)


def _access(
    account: AccountState, subscription: Subscription, access: Access, known: Sequence[Known]
) -> Iterator[FollowUp]:
    """Access that is another than was told last, the deliveries that go with it, and the next change ahead."""
    told = [each for each in known if each.kind == Kind.PROVISIONING and not each.withdrawn]
    past = sorted((each for each in told if each.due_on <= account.today), key=lambda each: each.due_on)
    before = past[-1].about if past else {}
    plan = plan_of(subscription, account.today) if access.features else None
    about = {"plan": plan, "before": before.get("plan"), "features": ",".join(access.features)}
    if about["features"] != (before.get("features") or "") or plan != before.get("plan"):
        number = sum(each.key.startswith("access/") for each in known) + 1
        yield FollowUp(Kind.PROVISIONING, f"access/{number}", account.today, about)
    delivered = [each for each in known if each.kind == Kind.SHIPMENT]
    delivers = bool(delivered) and delivered[-1].about.get("delivery") == "begins"
    if _delivered(account, plan) != delivers:
        what = "ends" if delivers else "begins"
        key = f"delivery/{len(delivered) + 1}"
        yield FollowUp(Kind.SHIPMENT, key, account.today, {"plan": plan, "delivery": what})
    if access.changes_on is not None:
        day = access.changes_on
        later = plan_of(subscription, day) if access.then else None
        then = {"plan": later, "before": plan, "features": ",".join(access.then)}
        yield FollowUp(Kind.PROVISIONING, f"access-on/{day}", day, then)


def plan_of(subscription: Subscription, day: date) -> str | None:
    """The plan that is read by on `day`, if the subscription runs then."""
    plans = [code for since, code in subscription.entitled if since <= day]
    return plans[-1] if plans else None


def _delivered(account: AccountState, plan: str | None) -> bool:
    """Whether `plan` is, or has within it, the edition of the delivery calendar."""
    calendar = account.rules.delivery
    found = next((each for each in account.catalog.plans if each.code == plan), None)
    if calendar is None or found is None:
        return False
    parts = {
        part.product
        for version in found.versions
        for phase in version.phases
        for price in phase.prices
        for part in price.parts
    }
    return calendar.edition in {found.product, *parts}
