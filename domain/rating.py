"""Rating: what a subscription owes on a day, from its rows and the price book. The bill run, its preview and any
single invoice come through here.

Everything here runs by the million, so the values are slotted and plain; they are not changed once made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from domain.catalog import PriceModel
from domain.charge_key import charge_key
from domain.money import MoneyError, allocate, scaled
from domain.periods import Anchor, Interval, Period, boundary, iso, period_at
from domain.price_book import PriceBook, ReadyPhase, ReadyPrice, ReadyVersion
from domain.pricing import amount_for
from domain.subscriptions import State, state_on

ONE = Decimal(1)
MOST_STEPS = 400  # a year of daily bills, with room to spare

# (item id, meter, first day or None for "whatever came before", end day) → quantity
UsageKey = tuple[str, str, date]


@dataclass(slots=True)
class Item:
    """One plan within a subscription, from `starts_on` to `ends_on` (exclusive). `price_override` replaces the
    amount of the plan's first recurring price, in minor units a period (times the quantity, if per unit)."""

    id: str
    plan: str
    plan_version: int
    quantity: Decimal
    price_override: int | None
    starts_on: date
    ends_on: date | None


@dataclass(slots=True)
class Discount:
    """A percentage, or minor units a period, for periods that start from `starts_on` until `ends_on`. A code stands
    once on a subscription."""

    code: str
    percent: Decimal | None
    amount: int | None
    starts_on: date
    ends_on: date | None


@dataclass(slots=True)
class SubscriptionTerms:
    """A subscription as its rows say. `version` is what the rating was read at."""

    id: str
    version: int
    status: State
    starts_on: date
    trial_ends_on: date | None
    anchor: Anchor
    interval: Interval
    ends_on: date | None
    charged_through: date
    arrears_through: date
    next_bill_on: date | None
    items: list[Item]
    discounts: Sequence[Discount] = ()


@dataclass(slots=True)
class Line:
    """A line of an invoice. Amounts are minor units; `parent` is the place of the line it belongs to, among the
    lines of the same invoice, and says what a discount or tax line is for; `charge_key` is made from its owner (the
    item, or the parent's key) and the text `charge`; `category` is what tax is looked up by."""

    kind: str
    item_id: str | None
    price_id: str | None
    part: str | None
    period_start: date | None
    period_end: date | None
    quantity: Decimal
    amount: int
    parent: int | None
    reference: str | None
    rate: Decimal | None
    charge_key: str
    charge: str
    category: str


class Step(NamedTuple):
    """One billing day of a subscription: `start` to `end` is charged in advance (None: nothing more), usage from
    `used_from` to `bill_on` in arrears."""

    bill_on: date
    used_from: date
    period: Period | None
    start: date
    end: date


class Rated(NamedTuple):
    """What a subscription owes, and where its row stands afterwards."""

    lines: list[Line]
    charged_through: date
    arrears_through: date
    next_bill_on: date | None


def due_steps(terms: SubscriptionTerms, has_usage: bool, as_of: date) -> tuple[list[Step], date | None]:
    """The billing days of `terms` up to and including `as_of`, oldest first, and the next one after them.

    Raises MoneyError when more than MOST_STEPS are due at once: that is a date mistaken by years, not a bill.
    """
    steps: list[Step] = []
    bill_on = terms.next_bill_on
    through = terms.charged_through
    used_from = terms.arrears_through
    ends_on = terms.ends_on
    while bill_on is not None and bill_on <= as_of:
        if len(steps) >= MOST_STEPS:
            raise MoneyError(
                f"more than {MOST_STEPS} billing periods are due at once by {as_of}: is the date right?"
            )
        if ends_on is not None and bill_on >= ends_on:
            steps.append(Step(bill_on, used_from, None, through, through))
            bill_on = None
            break
        period = period_at(terms.anchor, terms.interval, bill_on)
        end = period.end if ends_on is None or period.end < ends_on else ends_on
        steps.append(Step(bill_on, used_from, period, through, end))
        used_from = bill_on
        through = bill_on = end
    if bill_on is not None and bill_on == ends_on and not has_usage:
        bill_on = None
    return steps, bill_on


def usage_windows(
    book: PriceBook, currency: str, terms: SubscriptionTerms, as_of: date
) -> list[tuple[str, str, date | None, date]]:
    """The windows of usage that rating will ask for: (item id, meter, from, until). The first window of an item
    is open to the left, because late usage goes on the next invoice (law 8)."""
    windows = []
    for item in terms.items:
        version = book.version(item.plan, item.plan_version, currency)
        if not version.has_usage:
            continue
        steps, _ = due_steps(terms, True, as_of)
        reachable = [version, *(book.version(item.plan, newer.version, currency) for newer in version.newer)]
        meters = {price.meter for each in reachable for phase in each.phases for price in phase.usage}
        for meter in sorted(filter(None, meters)):
            lower: date | None = None
            for step in steps:
                if step.used_from < step.bill_on:
                    windows.append((item.id, meter, lower, step.bill_on))
                    lower = step.bill_on
    return windows


def rate_subscription(
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    as_of: date,
    usage: Mapping[UsageKey, Decimal] | None = None,
) -> Rated | None:
    """What `terms` owe on the local day `as_of`, or None when nothing is due.

    `usage` answers the windows of `usage_windows` by (item, meter, end). Raises MoneyError when the catalog has
    no price for what is subscribed to.
    """
    due = terms.next_bill_on
    if due is None or due > as_of:
        return None
    if terms.status is not State.ACTIVE or terms.ends_on is not None or due < terms.starts_on:
        state = state_on(
            terms.status,
            starts_on=terms.starts_on,
            trial_ends_on=terms.trial_ends_on,
            ends_on=terms.ends_on,
            day=due,
        )
        if state in (State.DRAFT, State.PAUSED, State.CANCELED):
            return None
    versions = [book.version(item.plan, item.plan_version, currency) for item in terms.items]
    has_usage = False
    for version in versions:
        if version.has_usage:
            has_usage = True
    steps, next_bill_on = due_steps(terms, has_usage, as_of)
    lines: list[Line] = []
    for step in steps:
        first = len(lines)
        for item, pinned in zip(terms.items, versions, strict=True):
            if has_usage and step.used_from < step.bill_on:
                _rate_usage(lines, book, currency, terms, item, pinned, step, usage or {})
            if step.period is not None:
                _rate_advance(lines, book, currency, terms, item, pinned, step, step.period)
        if terms.discounts and len(lines) > first:
            _discount(lines, first, terms.discounts, step.bill_on)
    last = steps[-1]
    return Rated(lines, last.end, last.bill_on, next_bill_on)


def _phase(
    book: PriceBook, currency: str, terms: SubscriptionTerms, item: Item, pinned: ReadyVersion, period: Period
) -> ReadyPhase:
    """The phase that `period` is charged by: of the version that the item's last renewal reached."""
    version = pinned
    if pinned.newer:
        renewed_on = _renewed_on(terms, pinned.term_periods, period)
        version = book.renewed(item.plan, pinned, currency, renewed_on)
    if len(version.phases) == 1:
        return version.phases[0]
    return version.phase(period.ordinal if period.ordinal > 0 else 0)


def _renewed_on(terms: SubscriptionTerms, term_periods: int | None, period: Period) -> date:
    """When the term that `period` lies in was entered or last renewed."""
    if period.ordinal <= 0:
        return terms.starts_on
    if term_periods is None:
        return period.start
    ordinal = period.ordinal - period.ordinal % term_periods
    return boundary(terms.anchor, terms.interval, ordinal) if ordinal > 0 else terms.starts_on


def _rate_advance(
    lines: list[Line],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    pinned: ReadyVersion,
    step: Step,
    period: Period,
) -> None:
    start = step.start if step.start >= item.starts_on else item.starts_on
    end = step.end if item.ends_on is None or step.end <= item.ends_on else item.ends_on
    if start >= end:
        return
    phase = _phase(book, currency, terms, item, pinned, period)
    override = item.price_override
    quantity = item.quantity
    item_id = item.id
    whole = start == period.start and end == period.end
    span = f"{iso(start)}|{iso(end)}"
    for price in phase.recurring:
        unit = price.terms.whole if override is None else override
        if whole and unit is not None and price.terms.model is PriceModel.FLAT:
            amount = unit
        else:
            amount = _recurring_amount(price, quantity, override, (end - start).days, period.days)
        override = None
        parts = price.parts
        shares = [amount] if len(parts) == 1 else allocate(amount, [part.weight for part in parts])
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
    if phase.one_time and start == max(item.starts_on, terms.trial_ends_on or item.starts_on):
        for price in phase.one_time:
            part = price.parts[0]
            amount = amount_for(price.terms, Fraction(quantity), 1, 1)
            lines.append(
                Line(
                    "one_time",
                    item_id,
                    price.id,
                    part.product,
                    None,
                    None,
                    quantity,
                    amount,
                    None,
                    None,
                    None,
                    charge_key(item_id, price.id),
                    price.id,
                    part.category,
                )
            )


def _recurring_amount(
    price: ReadyPrice, quantity: Decimal, override: int | None, days: int, whole_days: int
) -> int:
    terms = price.terms
    per_unit = terms.model is PriceModel.PER_UNIT
    unit = override if override is not None else terms.whole
    if unit is not None and (terms.model is PriceModel.FLAT or (per_unit and quantity == ONE)):
        return unit if days == whole_days else scaled(unit, days, whole_days)
    if override is not None:
        if not per_unit:
            raise MoneyError(
                f"a price override needs a flat or per-unit price, and {price.code!r} is {terms.model}"
            )
        numerator, denominator = quantity.as_integer_ratio()
        return scaled(override, numerator * days, denominator * whole_days)
    return amount_for(terms, Fraction(quantity), days, whole_days)


def _rate_usage(
    lines: list[Line],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    pinned: ReadyVersion,
    step: Step,
    usage: Mapping[UsageKey, Decimal],
) -> None:
    period = period_at(terms.anchor, terms.interval, step.used_from)
    phase = _phase(book, currency, terms, item, pinned, period)
    for price in phase.usage:
        quantity = usage.get((item.id, price.meter or "", step.bill_on))
        if not quantity:
            continue
        billable = max(Fraction(quantity) - price.allowance, Fraction(0))
        part = price.parts[0]
        charge = f"{price.id}|usage|{iso(step.used_from)}|{iso(step.bill_on)}"
        lines.append(
            Line(
                "usage",
                item.id,
                price.id,
                part.product,
                step.used_from,
                step.bill_on,
                quantity,
                amount_for(price.terms, billable, 1, 1),
                None,
                None,
                None,
                charge_key(item.id, charge),
                charge,
                part.category,
            )
        )


def _discount(lines: list[Line], first: int, discounts: Sequence[Discount], day: date) -> None:
    """Discounts in their stored order, each on what the ones before left; before tax (law 7)."""
    last = len(lines)
    remaining = [line.amount for line in lines[first:last]]
    for discount in discounts:
        if day < discount.starts_on or (discount.ends_on is not None and day >= discount.ends_on):
            continue
        if discount.percent is not None:
            numerator, denominator = discount.percent.as_integer_ratio()
            cuts = [scaled(left, numerator, denominator * 100) for left in remaining]
        else:
            whole = sum(left for left in remaining if left > 0)
            if whole <= 0:
                continue
            cuts = allocate(min(discount.amount or 0, whole), [max(left, 0) for left in remaining])
        for offset, cut in enumerate(cuts):
            if cut <= 0:
                continue
            parent = lines[first + offset]
            remaining[offset] -= cut
            charge = f"discount|{discount.code}"
            lines.append(
                Line(
                    "discount",
                    None,
                    None,
                    None,
                    None,
                    None,
                    ONE,
                    -cut,
                    first + offset,
                    discount.code,
                    discount.percent,
                    charge_key(parent.charge_key, charge),
                    charge,
                    parent.category,
                )
            )
