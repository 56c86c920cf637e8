"""Amendments: what a command does to a subscription's dates, items and money, as values.

The functions of plan_changes, pauses, endings and billing_days take the terms as they stand, what was billed and
credited so far, and the moment, and answer an Amendment. Nothing given is altered. Its credits and charges go on
the next invoice, or on one at once, as the caller's policy says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from domain.credits import BilledLine, CreditLine, credit_rest, credit_time
from domain.lines import Line
from domain.periods import Anchor, Interval, period_at, period_index
from domain.price_book import PriceBook
from domain.proration import Moment, before
from domain.rating import UsageAnswers, rate_subscription
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State


class Refused(ValueError):
    """A command that cannot be carried out on the subscription as it stands; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Account:
    """What amendments need around a subscription: prices, currency, and usage not billed so far."""

    book: PriceBook
    currency: str
    usage: UsageAnswers | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """Paid time that a pause kept: what was paid for from `paused_on` on is given from `resumed_on` on. `lines` are the
    keys of the lines that it was billed by, those of periods that were billed ahead among them; None, in records from
    before they were noted: the lines that begin by `paused_on`."""

    paused_on: date
    resumed_on: date
    lines: tuple[str, ...] | None = None

    @property
    def days(self) -> timedelta:
        """How far it moved."""
        return self.resumed_on - self.paused_on

    def moves(self, line: BilledLine) -> bool:
        """Whether time of `line` was moved."""
        if line.start is None:
            return False
        return not before(self.paused_on, line.start) if self.lines is None else line.key in self.lines


@dataclass(frozen=True, slots=True)
class History:
    """What was billed for a subscription, what was given back of it, and the pauses that moved paid time, oldest
    first."""

    billed: Sequence[BilledLine] = ()
    credits: Sequence[CreditLine] = ()
    moved: Sequence[Moved] = ()

    def recurring(self, items: Iterable[Item]) -> list[BilledLine]:
        """The billed recurring lines of `items`."""
        ids = {item.id for item in items}
        return [line for line in self.billed if line.kind == "recurring" and line.item_id in ids]


@dataclass(frozen=True, slots=True)
class Amendment:
    """What follows: the new terms, credits against billed lines, and charges that are on no invoice yet."""

    terms: SubscriptionTerms
    credits: tuple[CreditLine, ...] = ()
    charges: tuple[Line, ...] = ()


def must_run(terms: SubscriptionTerms, day: date, what: str) -> None:
    """Raises Refused unless the subscription is running on `day`, so that it can be `what` (changed, paused)."""
    if terms.status is State.PAUSED:
        raise Refused(f"the subscription is paused and cannot be {what}; resume it first")
    if terms.status in (State.CANCELED, State.EXPIRED) or (
        terms.ends_on is not None and terms.ends_on <= day
    ):
        raise Refused(f"the subscription has ended and cannot be {what}; reactivate it first")
    if day < terms.starts_on:
        raise Refused(
            f"the subscription starts on {terms.starts_on} and cannot be {what} on {day}, before that"
        )


def running_items(terms: SubscriptionTerms, day: date) -> list[Item]:
    """The items that are served on `day` or begin later, the replaced ones left out."""
    return [
        item
        for item in terms.items
        if (item.ends_on is None or item.ends_on > day) and item.starts_on != item.ends_on
    ]


def in_whole_days(terms: SubscriptionTerms, day: date) -> tuple[SubscriptionTerms, list[Item]]:
    """`terms` for a command that counts from the beginning of `day`, where changes by the second came earlier on that
    day: their instants become the day, and the items that they ended, which are answered too, were not served on
    it."""
    ended = [item for item in terms.items if item.ends_on == day and item.ends_at is not None]
    if not ended and not any(item.starts_on == day and item.starts_at is not None for item in terms.items):
        return terms, []
    items = [
        replace(
            item,
            starts_at=None if item.starts_on == day else item.starts_at,
            ends_at=None if item.ends_on == day else item.ends_at,
        )
        for item in terms.items
    ]
    return replace(terms, items=items), ended


def unused_credits(history: History, items: Iterable[Item], at: Moment) -> list[CreditLine]:
    """The credits for the time from `at` on that was billed in advance for `items` (law 5). One of zero gives back time
    for which nothing is left to be given back; it goes on no document, and counts for the coverage (I13)."""
    found = []
    for line in history.recurring(items):
        if line.end is None:
            continue
        credit = credit_time(line, history.credits, time_of_line(line, history.moved, at), line.end)
        if credit is not None:
            found.append(credit)
    return found


def unserved_credits(history: History, items: Iterable[Item]) -> list[CreditLine]:
    """The credits for all that was billed ahead for `items` of which no charged day was served: their time, fees and
    minimums, and not what was used."""
    ids = {item.id for item in items}
    found = [
        credit_rest(line, history.credits, "unused_credit")
        for line in history.billed
        if line.item_id in ids and line.kind in ("recurring", "one_time", "minimum")
    ]
    return [credit for credit in found if credit is not None]


def charged_at(history: History, item: Item, at: Moment) -> list[BilledLine]:
    """The recurring lines of `item` that `at` was billed by."""
    found = []
    for line in history.recurring([item]):
        then = time_of_line(line, history.moved, at)
        if line.start is None or line.end is None:
            continue
        if not before(then, line.start) and before(then, line.end):
            found.append(line)
    return found


def time_of_line(line: BilledLine, moved: Sequence[Moved], at: Moment) -> Moment:
    """`at` in the time that `line` was billed for: paid time that a pause moved later is counted where it was
    billed."""
    for move in reversed(moved):
        if move.moves(line) and not before(at, move.resumed_on):
            at = at - move.days
    return at


def moved_time(history: History, paused_on: date, resumed_on: date) -> Moved:
    """The time from `paused_on` on that was billed by then, given from `resumed_on` on."""
    keys = [
        line.key
        for line in history.billed
        if line.kind == "recurring"
        and line.end is not None
        and before(time_of_line(line, history.moved, paused_on), line.end)
    ]
    return Moved(paused_on, resumed_on, tuple(dict.fromkeys(keys)))


def close_stretch(account: Account, terms: SubscriptionTerms, day: date) -> list[Line]:
    """What has been served or used until `day` (exclusive) and is on no invoice: the charge that a subscription ending
    on that day would get. By whole days, whatever prorates the rest."""
    rated = rate_subscription(account.book, account.currency, closing(terms, day), day, account.usage)
    return rated.lines if rated is not None else []


def closing(terms: SubscriptionTerms, day: date) -> SubscriptionTerms:
    """`terms` as if they ended on `day`, or earlier where they do, and were billed then. An amendment that closes a
    stretch needs an answer for each of the `usage_windows` of these terms. What is charged in advance is closed from
    charged-through on, though a bill would come later: an item that took the place of one charged in arrears."""
    return replace(
        terms,
        ends_on=day if terms.ends_on is None or day < terms.ends_on else terms.ends_on,
        next_bill_on=terms.next_bill_on and min(terms.next_bill_on, day, terms.charged_through),
    )


def with_anchor(
    terms: SubscriptionTerms,
    anchor: Anchor,
    interval: Interval,
    day: date,
    *,
    made_until: date | None = None,
) -> SubscriptionTerms:
    """`terms` with periods that tile from `anchor`, from `day` on. The phase that the period of `day` is in goes on:
    periods that were had before count. Changes that wait for the end of a later period wait for that of a new one;
    those that came by `made_until` (`day`, if that is not given) do not wait."""
    had = max(0, period_index(terms.anchor, terms.interval, day))
    ends = {
        item.starts_on: boundary_from(anchor, interval, item.starts_on)
        for item in terms.items
        if item.replaces is not None and item.starts_on > (made_until or day)
    }
    items = [
        replace(
            item,
            phase_shift=item.phase_shift + had,
            starts_on=ends.get(item.starts_on, item.starts_on),
            ends_on=item.ends_on and ends.get(item.ends_on, item.ends_on),
        )
        for item in terms.items
    ]
    return replace(terms, anchor=anchor, interval=interval, items=items)


def boundary_from(anchor: Anchor, interval: Interval, day: date) -> date:
    """The first boundary on or after `day`."""
    period = period_at(anchor, interval, day)
    return day if period.start == day else period.end


def period_end(terms: SubscriptionTerms, day: date) -> date:
    """The end of the billing period that `day` lies in, or of what is charged already, whichever is later; the end of
    the subscription if that comes first."""
    end = max(period_at(terms.anchor, terms.interval, day).end, terms.charged_through)
    return end if terms.ends_on is None or end < terms.ends_on else terms.ends_on
