"""Recurring and one-time charges of an item: a whole period, or the part of it that is the item's (law 3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction

from domain.billing_steps import Step, Stretch, stretches
from domain.charge_key import charge_key
from domain.lines import Line
from domain.money import allocate
from domain.periods import Period, iso
from domain.phases import phase_of
from domain.price_book import PriceBook, ReadyPrice, ReadyVersion, recurring_amount
from domain.pricing import amount_for
from domain.proration import Moment, before
from domain.proration import part as part_of
from domain.subscription_terms import Item, SubscriptionTerms


def charge_advance(
    lines: list[Line],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    pinned: ReadyVersion,
    step: Step,
    period: Period,
) -> None:
    """Append what `item` is charged in advance on the billing day `step`, whose running period is `period`."""
    if item.starts_at is None and item.ends_at is None and step.start >= period.start:
        start = step.start if step.start >= item.starts_on else item.starts_on
        end = step.end if item.ends_on is None or step.end <= item.ends_on else item.ends_on
        if start >= end:
            return
        phase = phase_of(book, currency, terms, item, pinned, period)
        if start == period.start and end == period.end:
            _charge(lines, item, phase.advance, start, end, 1, 1, f"{iso(start)}|{iso(end)}")
        else:
            days = (end - start).days
            _charge(lines, item, phase.advance, start, end, days, period.days, f"{iso(start)}|{iso(end)}")
        if phase.one_time:
            _charge_once(lines, terms, item, phase.one_time, start)
        return
    for stretch in stretches(terms, item, step.start, step.end):
        charge_stretch(lines, book, currency, terms, item, pinned, stretch)


def charge_stretch(
    lines: list[Line],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    pinned: ReadyVersion,
    stretch: Stretch,
) -> None:
    """Append what `item` is charged in advance for `stretch`."""
    phase = phase_of(book, currency, terms, item, pinned, stretch.period)
    _charge_part(lines, item, phase.advance, stretch)
    if phase.one_time:
        _charge_once(lines, terms, item, phase.one_time, stretch.start)


def charge_arrears(
    lines: list[Line],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    pinned: ReadyVersion,
    step: Step,
) -> None:
    """Append what `item` is charged for the time that is over on the billing day `step`: each stretch by the prices of
    the period that it lies in."""
    for stretch in stretches(terms, item, step.used_from, step.bill_on):
        charge_stretch_in_arrears(lines, book, currency, terms, item, pinned, stretch)


def charge_stretch_in_arrears(
    lines: list[Line],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    pinned: ReadyVersion,
    stretch: Stretch,
) -> None:
    """Append what `item` is charged in arrears for `stretch`."""
    phase = phase_of(book, currency, terms, item, pinned, stretch.period)
    _charge_part(lines, item, phase.arrears, stretch)


def span_text(start: Moment, end: Moment) -> str:
    """A service period in a charge key: days, or instants in their zone to the second."""
    return f"{_moment_text(start)}|{_moment_text(end)}"


def _moment_text(moment: Moment) -> str:
    return moment.isoformat(timespec="seconds") if isinstance(moment, datetime) else iso(moment)


def _charge_part(lines: list[Line], item: Item, prices: Iterable[ReadyPrice], stretch: Stretch) -> None:
    period, start, end = stretch
    numerator, denominator = part_of(start, end, period.start, period.end)
    _charge(lines, item, prices, start, end, numerator, denominator, span_text(start, end))


def _charge(
    lines: list[Line],
    item: Item,
    prices: Iterable[ReadyPrice],
    start: Moment,
    end: Moment,
    numerator: int,
    denominator: int,
    span: str,
) -> None:
    quantity, item_id = item.quantity, item.id
    for price in prices:
        override = item.price_override if price.overridden else None
        if price.flat is not None and override is None and numerator == denominator:
            amount = price.flat
        else:
            amount = recurring_amount(price, quantity, override, numerator, denominator)
        parts = price.parts
        shares = (amount,) if len(parts) == 1 else allocate(amount, [part.weight for part in parts])
        for part, share in zip(parts, shares, strict=True):
            charge = f"{price.id}|{part.product}|{span}"
            lines.append(
                Line(
                    "recurring",
                    item_id,
                    price.id,
                    part.product,
                    start,
                    end,
                    quantity,
                    share,
                    None,
                    None,
                    None,
                    charge_key(item_id, charge),
                    charge,
                    part.category,
                )
            )


def _charge_once(
    lines: list[Line], terms: SubscriptionTerms, item: Item, prices: Iterable[ReadyPrice], start: Moment
) -> None:
    """One-time prices, if `start` is where charging for the item begins and no item before it had them."""
    if start != _charged_from(terms, item) or _replaces_the_same(terms, item):
        return
    for price in prices:
        part = price.parts[0]
        lines.append(
            Line(
                "one_time",
                item.id,
                price.id,
                part.product,
                None,
                None,
                item.quantity,
                amount_for(price.terms, Fraction(item.quantity), 1, 1),
                None,
                None,
                None,
                charge_key(item.id, price.id),
                price.id,
                part.category,
            )
        )


def _charged_from(terms: SubscriptionTerms, item: Item) -> Moment:
    trial = terms.trial_ends_on
    return trial if trial is not None and before(item.start, trial) else item.start


def _replaces_the_same(terms: SubscriptionTerms, item: Item) -> bool:
    """Whether the subscription had an item of the same plan, charged for, that was over when `item` began: its
    quantity, price or version was changed, or it was taken up again."""
    return any(
        other.end is not None
        and not before(item.start, other.end)
        and before(_charged_from(terms, other), other.end)
        for other in terms.items
        if other.plan == item.plan and other.id != item.id
    )
