"""Playing a scenario: the days pass one by one, each step is one command, and what is refused is noted and leaves
everything as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain.account_credit import Source
from domain.amendments import Refused
from domain.catalog import Catalog
from domain.credit_placement import Destination
from domain.ledger_events import Event
from domain.proration import Moment, moment_at
from domain.revenue import to_recognise
from domain.simulation import billing, collecting, corrections, coupons, lifecycle, media, voiding
from domain.simulation import steps as verbs
from domain.simulation.scenario import MOST_YEARS, Scenario, StepOutOfOrder, StepTooFar
from domain.simulation.world import UsageRecord, World, minor, open_world, snapshot

_NOON = time(12)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that could not be carried out: its place (from 0), its day and verb, and why."""

    place: int
    day: date
    verb: str
    reason: str


@dataclass(slots=True)
class Played:
    """A scenario's world at its end, and the steps that were refused."""

    world: World
    refused: list[Refusal] = field(default_factory=list)


def play(scenario: Scenario, catalog: Catalog) -> Played:
    """All steps of `scenario`, in their order. Raises StepOutOfOrder for a step that lies before the one above it, and
    StepTooFar for one more than a lifetime of subscriptions away."""
    world = open_world(scenario, catalog)
    played = Played(world)
    check_order(scenario)
    for step in scenario.steps:
        if isinstance(step, verbs.PaymentFails) and world.terms.auto_pay:
            day = instant_of(step.at, world.zone).date()
            while day <= (step.until or instant_of(step.at, world.zone).date()):
                world.failing[day] = step.code
                day += _DAY
    for place, step in enumerate(scenario.steps):
        advance(world, instant_of(step.at, world.zone).date())
        world.tell(str(place), "step")
        refused = attempt(world, step)
        if refused is not None:
            played.world, reason = refused
            world = played.world
            played.refused.append(Refusal(place, world.today, step.do, reason))
    return played


def instant_of(at: date | datetime, zone: ZoneInfo) -> datetime:
    """The instant of a step, in the account's zone; a day stands for its beginning."""
    if isinstance(at, datetime):
        return at.astimezone(zone) if at.tzinfo else at.replace(tzinfo=zone)
    return datetime.combine(at, time(), zone)


def check_order(scenario: Scenario) -> None:
    """Raises StepOutOfOrder, or StepTooFar for one that would be played for ages. Steps of one day may mix days and
    instants."""
    zone = ZoneInfo(scenario.account.timezone)
    latest = scenario.steps[0].at
    first = instant_of(latest, zone).date()
    for place, step in enumerate(scenario.steps):
        one, other = instant_of(step.at, zone), instant_of(latest, zone)
        if one.date() < other.date() or (
            isinstance(step.at, datetime) and isinstance(latest, datetime) and one < other
        ):
            raise StepOutOfOrder(place, step.at, latest)
        last = _last_day(step, one.date())
        if last.year - first.year > MOST_YEARS:
            raise StepTooFar(place, last, first)
        if isinstance(step.at, datetime) or one.date() > other.date():
            latest = step.at


def _last_day(step: verbs.Step, day: date) -> date:
    if isinstance(step, verbs.Bill):
        return step.to or day
    return (step.until or day) if isinstance(step, verbs.PaymentFails) else day


def attempt(world: World, step: verbs.Step) -> tuple[World, str] | None:
    """Carry out `step`; when it is refused, the world as it was before and the reason."""
    before = snapshot(world)
    try:
        act(world, step)
    except ValueError as error:
        return before, str(error)
    return None


def advance(world: World, day: date) -> None:
    """Let the days pass until `day` begins: what is dated for a day happens at its beginning."""
    while world.today < day:
        world.today += _DAY
        lifecycle.resume_what_waited(world)
        lifecycle.change_what_waited(world)
        corrections.expire_credit(world)
        media.expire_gifts(world)
        if world.today.day == 1:
            recognise(world)
        collecting.judge(world)
        collecting.retry(world)


def recognise(world: World) -> None:
    """The journal run of a month's first day: what was delivered until now is revenue."""
    total = 0
    for books in world.revenue.values():
        due = to_recognise(books.schedule, world.today, books.recognised)
        books.recognised += due
        total += due
    if total > 0:
        world.post(Event.REVENUE_RECOGNISED, {"amount": total}, f"revenue through {world.today}")


def act(world: World, step: verbs.Step) -> None:
    """One step. Raises ValueError, of some kind, with the reason when it cannot be carried out."""
    at = instant_of(step.at, world.zone)
    if world.latest is not None and not isinstance(step.at, datetime):
        # A day that is named after an instant of it stands for that instant: time does not go back.
        at = max(at, world.latest.astimezone(world.zone)) if at.date() == world.latest.date() else at
    world.latest = at
    _ACTS[step.do](world, step, moment_at(at, world.zone, world.policy.proration))


def _bill(world: World, step: Any, at: Moment) -> None:
    last = step.to or world.today
    if last < world.today:
        raise Refused(f"the target date {last} lies before the day of the bill run, {world.today}")
    run_bill(world)
    while world.today < last:
        advance(world, world.today + _DAY)
        run_bill(world)


def run_bill(world: World) -> None:
    """One bill run as of today, and the charge of what it made."""
    media.credit_missed_issues(world, world.today)
    invoice = billing.bill(world, world.today)
    waits = world.collecting is not None and not world.collecting.given_up
    if invoice is not None and world.terms.auto_pay and not waits:
        collecting.charge(world)
    collecting.judge(world)


def _usage(world: World, step: Any, at: Moment) -> None:
    subscription = world.subscription(step.subscription)
    if (step.quantity is None) == (not step.events):
        raise Refused("usage is a quantity or a list of events, one of the two")
    if not any(meter.code == step.meter for meter in world.catalog.meters):
        raise Refused(f"the catalog has no meter {step.meter!r}")
    instant = instant_of(step.at, world.zone)
    if not isinstance(step.at, datetime):
        instant = datetime.combine(step.at, _NOON, world.zone)
    item = lifecycle.item_for_usage(world, subscription, step.meter, instant.date())
    for quantity in step.events or (step.quantity,):
        world.usage.append(UsageRecord(step.subscription, item, step.meter, instant, quantity))


def _fails(world: World, step: Any, at: Moment) -> None:
    if not world.terms.auto_pay:
        collecting.fail(world, step.code)


def _cancel(world: World, step: Any, at: Moment) -> None:
    subscription = world.subscription(step.subscription)
    if step.when == "now":
        lifecycle.cancel(world, subscription, at, step.credit, step.to and Destination(step.to))
    else:
        lifecycle.cancel_later(world, subscription, world.today)


def _write_off(world: World, step: Any, at: Moment) -> None:
    amount = None if step.amount is None else minor(world, step.amount)
    invoices = world.open_invoices() if step.invoice is None else [world.invoice(step.invoice)]
    if not invoices:
        raise Refused("no invoice is open, so there is nothing to write off")
    if amount is not None and len(invoices) > 1:
        raise Refused("an amount is written off on one invoice: name it")
    for invoice in invoices:
        corrections.give_up(world, invoice, amount)
    collecting.judge(world)


def _grant(world: World, step: Any, at: Moment) -> None:
    amount = minor(world, step.amount)
    name = f"goodwill {len(world.credit.grants) + 1}"
    corrections.grant(world, amount, Source.GOODWILL, name, step.expires_on)
    world.post(Event.ACCOUNT_CREDIT_GRANTED, {"amount": amount}, name)


def _move_zone(world: World, step: Any, at: Moment) -> None:
    world.zone = ZoneInfo(step.timezone)


def _credit_note(world: World, step: Any, at: Moment) -> None:
    amount = None if step.amount is None else minor(world, step.amount)
    corrections.write_credit_note(world, step.invoice, step.lines, amount, Destination(step.to), step.reason)
    collecting.judge(world)


def _gift(world: World, step: Any, at: Moment) -> None:
    price = None if step.price is None else minor(world, step.price)
    media.buy(world, step.name, step.plan, price, step.starts_on)
    if world.terms.auto_pay:
        collecting.charge(world)


def _void(world: World, step: Any, at: Moment) -> None:
    voiding.take_back(world, step.invoice, step.reason)
    collecting.judge(world)


def _day(at: Moment) -> date:
    return at.date() if isinstance(at, datetime) else at


_ACTS: dict[str, Callable[[World, Any, Moment], None]] = {
    "subscribe": lambda world, step, at: lifecycle.subscribe(world, step, _day(at)),
    "change_plan": lifecycle.change_plan,
    "change_quantity": lifecycle.change_quantity,
    "pause": lambda world, step, at: lifecycle.pause_subscription(
        world, step.subscription, _day(at), step.until
    ),
    "resume": lambda world, step, at: lifecycle.resume_subscription(
        world, world.subscription(step.subscription), _day(at)
    ),
    "cancel": _cancel,
    "reactivate": lambda world, step, at: lifecycle.reactivate_subscription(
        world, step.subscription, _day(at)
    ),
    "usage": _usage,
    "bill": _bill,
    "pay": lambda world, step, at: collecting.sent(
        world, None if step.amount is None else minor(world, step.amount), step.invoice
    ),
    "payment_fails": _fails,
    "refund": lambda world, step, at: corrections.refund_payment(
        world, step.payment, None if step.amount is None else minor(world, step.amount), step.reason
    ),
    "credit_note": _credit_note,
    "grant_credit": _grant,
    "adjust_line": lambda world, step, at: corrections.adjust_line(
        world, step.invoice, step.line, minor(world, step.amount), step.reason
    ),
    "void": _void,
    "write_off": _write_off,
    "set_bill_cycle_day": lambda world, step, at: lifecycle.set_bill_cycle_day(world, step.day, _day(at)),
    "move_time_zone": _move_zone,
    "apply_coupon": lambda world, step, at: coupons.apply(
        world, world.subscription(step.subscription), step.coupon, _day(at)
    ),
    "holiday_stop": lambda world, step, at: media.request_holiday_stop(
        world, step.subscription, step.start, step.until, instant_of(step.at, world.zone)
    ),
    "gift": _gift,
    "claim": lambda world, step, at: media.claim(world, step.gift, step.starts_on),
    "refund_gift": lambda world, step, at: media.refund(world, step.gift),
}
