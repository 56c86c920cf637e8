"""Carrying out a command on an account: one function for every verb; what is refused leaves all as it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain.account import (
    changing,
    collecting,
    corrections,
    coupons,
    holding,
    lifecycle,
    media,
    pausing,
    returning,
    voiding,
)
from domain.account import commands as verbs
from domain.account.days import advance, run_bill
from domain.account.naming import in_words
from domain.account.state import AccountState, UsageRecord, minor, snapshot
from domain.account_credit import Source
from domain.amendments import Refused
from domain.credit_placement import Destination
from domain.ledger_events import Event
from domain.proration import Moment, moment_at

_NOON = time(12)
_DAY = timedelta(days=1)


def instant_of(at: date | datetime, zone: ZoneInfo) -> datetime:
    """The instant of a step, in the account's zone; a day stands for its beginning."""
    if isinstance(at, datetime):
        return at.astimezone(zone) if at.tzinfo else at.replace(tzinfo=zone)
    return datetime.combine(at, time(), zone)


def attempt(
    account: AccountState, step: verbs.Step, before: AccountState | None = None
) -> tuple[AccountState, str] | None:
    """Carry out `step`; when it is refused, the account as it was before and the reason, in the words of whoever
    asked. `before`: a snapshot of it as it is, where there is one already."""
    before = before or snapshot(account)
    try:
        act(account, step)
    except ValueError as error:
        return before, in_words(account, str(error))
    return None


def act(account: AccountState, step: verbs.Step) -> None:
    """One step. Raises ValueError, of some kind, with the reason when it cannot be carried out."""
    # Time does not go back, for a day that is named after an instant of it, nor in a time zone that was moved to.
    at = max(instant_of(step.at, account.zone), instant_of(account.today, account.zone))
    if account.latest is not None:
        at = max(at, account.latest.astimezone(account.zone))
    account.latest = at
    _ACTS[step.do](account, step, moment_at(at, account.zone, account.policy.proration))


def _bill(account: AccountState, step: Any, at: Moment) -> None:
    last = step.to or account.today
    if last < account.today:
        raise Refused(f"the target date {last} lies before the day of the bill run, {account.today}")
    run_bill(account)
    while account.today < last:
        advance(account, account.today + _DAY)
        run_bill(account)


def _pay(account: AccountState, step: Any, at: Moment) -> None:
    if step.received_on is not None and step.received_on > account.today:
        raise Refused(
            f"money cannot have come in on {step.received_on}, which is after today, {account.today}"
        )
    named = (*step.invoices, *(() if step.invoice is None else (step.invoice,)))
    collecting.sent(account, None if step.amount is None else minor(account, step.amount), named)


def _usage(account: AccountState, step: Any, at: Moment) -> None:
    subscription = account.subscription(step.subscription)
    if (step.quantity is None) == (not step.events):
        raise Refused("usage is a quantity or a list of events, one of the two")
    if not any(meter.code == step.meter for meter in account.catalog.meters):
        raise Refused(f"the catalog has no meter {step.meter!r}")
    instant = instant_of(step.at, account.zone)
    if not isinstance(step.at, datetime):
        instant = datetime.combine(step.at, _NOON, account.zone)
    item = lifecycle.item_for_usage(account, subscription, step.meter, instant.date())
    for quantity in step.events or (step.quantity,):
        account.usage.append(UsageRecord(step.subscription, item, step.meter, instant, quantity))


def _fails(account: AccountState, step: Any, at: Moment) -> None:
    if not account.terms.auto_pay:
        collecting.fail(account, step.code)


def _cancel(account: AccountState, step: Any, at: Moment) -> None:
    subscription = account.subscription(step.subscription)
    if step.when == "now":
        lifecycle.cancel(account, subscription, at, step.credit, step.to and Destination(step.to))
    else:
        lifecycle.cancel_later(account, subscription, account.today)


def _write_off(account: AccountState, step: Any, at: Moment) -> None:
    amount = None if step.amount is None else minor(account, step.amount)
    invoices = account.open_invoices() if step.invoice is None else [account.invoice(step.invoice)]
    if not invoices:
        raise Refused("no invoice is open, so there is nothing to write off")
    if amount is not None and len(invoices) > 1:
        raise Refused("an amount is written off on one invoice: name it")
    for invoice in invoices:
        corrections.give_up(account, invoice, amount)
    collecting.judge(account)


def _grant(account: AccountState, step: Any, at: Moment) -> None:
    amount = minor(account, step.amount)
    name = f"goodwill {len(account.credit.grants) + 1}"
    corrections.grant(account, amount, Source.GOODWILL, name, step.expires_on)
    account.post(Event.ACCOUNT_CREDIT_GRANTED, {"amount": amount}, name)


def _move_zone(account: AccountState, step: Any, at: Moment) -> None:
    account.zone = ZoneInfo(step.timezone)
    if account.latest is not None:
        # At this instant the next day may have begun there; a day that is not over here does not come again.
        advance(account, account.latest.astimezone(account.zone).date())


def _credit_note(account: AccountState, step: Any, at: Moment) -> None:
    amount = None if step.amount is None else minor(account, step.amount)
    corrections.write_credit_note(
        account, step.invoice, step.lines, amount, Destination(step.to), step.reason
    )
    collecting.judge(account)


def _gift(account: AccountState, step: Any, at: Moment) -> None:
    price = None if step.price is None else minor(account, step.price)
    media.buy(account, step.name, step.plan, price, step.starts_on)
    if account.terms.auto_pay:
        collecting.charge(account)


def _refund_gift(account: AccountState, step: Any, at: Moment) -> None:
    media.refund(account, step.gift)
    collecting.judge(account)


def _void(account: AccountState, step: Any, at: Moment) -> None:
    voiding.take_back(account, step.invoice, step.reason)
    collecting.judge(account)


def _day(at: Moment) -> date:
    return at.date() if isinstance(at, datetime) else at


_ACTS: dict[str, Callable[[AccountState, Any, Moment], None]] = {
    "subscribe": lambda account, step, at: lifecycle.subscribe(account, step, _day(at)),
    "change_plan": changing.change_plan,
    "change_quantity": changing.change_quantity,
    "pause": lambda account, step, at: pausing.pause_subscription(
        account, step.subscription, _day(at), step.until
    ),
    "resume": lambda account, step, at: pausing.resume_subscription(
        account, account.subscription(step.subscription), _day(at)
    ),
    "cancel": _cancel,
    "reactivate": lambda account, step, at: lifecycle.reactivate_subscription(
        account, step.subscription, _day(at)
    ),
    "usage": _usage,
    "bill": _bill,
    "pay": _pay,
    "return_payment": lambda account, step, at: returning.take_back(account, step.payment),
    "payment_fails": _fails,
    "refund": lambda account, step, at: corrections.refund_payment(
        account, step.payment, None if step.amount is None else minor(account, step.amount), step.reason
    ),
    "credit_note": _credit_note,
    "grant_credit": _grant,
    "adjust_line": lambda account, step, at: corrections.adjust_line(
        account, step.invoice, step.line, minor(account, step.amount), step.reason
    ),
    "void": _void,
    "write_off": _write_off,
    "set_bill_cycle_day": lambda account, step, at: lifecycle.set_bill_cycle_day(account, step.day, _day(at)),
    "move_time_zone": _move_zone,
    "apply_coupon": lambda account, step, at: coupons.apply(
        account, account.subscription(step.subscription), step.coupon, _day(at)
    ),
    "holiday_stop": lambda account, step, at: media.request_holiday_stop(
        account, step.subscription, step.start, step.until, instant_of(step.at, account.zone)
    ),
    "gift": _gift,
    "claim": lambda account, step, at: media.claim(account, step.gift, step.starts_on, step.reader),
    "refund_gift": _refund_gift,
    "hold_dunning": lambda account, step, at: holding.hold(account, step.why, step.until),
    "release_dunning": lambda account, step, at: holding.release(account, step.why),
}
