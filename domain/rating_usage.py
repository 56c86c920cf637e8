"""Usage: the windows in which it is asked for, what it costs, and the minimum that it has to come to (law 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from domain.billing_steps import Step, Stretch, due_steps, stretches
from domain.charge_key import charge_key
from domain.lines import ONE, Line
from domain.money import MoneyError
from domain.periods import iso, period_at
from domain.phases import phase_of
from domain.price_book import PriceBook, ReadyPrice, ReadyVersion
from domain.pricing import amount_for, round_fraction, share_of_events
from domain.proration import day_of
from domain.proration import part as part_of
from domain.subscription_terms import Item, SubscriptionTerms

# (item id, meter, the day on which its window ends)
UsageKey = tuple[str, str, date]


class Usage(NamedTuple):
    """What was used in a window: its sum, and the quantity of each event in the order of their time."""

    quantity: Decimal
    events: tuple[Decimal, ...]


# What a window holds: the sum alone, or with its events where the window asked for them.
UsageAnswers = Mapping[UsageKey, Decimal | Usage]


class Window(NamedTuple):
    """A window of usage to be asked for: of an item on a meter, from the local day `since` (None: whatever came before,
    too) until `until`."""

    item_id: str
    meter: str
    since: date | None
    until: date


def usage_windows(book: PriceBook, currency: str, terms: SubscriptionTerms, as_of: date) -> list[Window]:
    """The windows of usage that rating will ask for. The first window of an item is open to the left, because late
    usage goes on the next invoice (law 8)."""
    windows = []
    for item in terms.items:
        version = book.version(item.plan, item.plan_version, currency)
        if not version.has_usage:
            continue
        steps, _ = due_steps(terms, True, as_of)
        meters = {price.meter for price in _usage_prices(book, currency, item)}
        for meter in sorted(filter(None, meters)):
            lower: date | None = None
            for step in steps:
                if step.used_from < step.bill_on:
                    windows.append(Window(item.id, meter, lower, step.bill_on))
                    lower = step.bill_on
    return windows


def metered_by_event(book: PriceBook, currency: str, terms: SubscriptionTerms) -> set[tuple[str, str]]:
    """The (item id, meter) whose windows have to be answered by a Usage with its events, because a price depends on the
    single event; for all others the sum is enough."""
    return {
        (item.id, price.meter)
        for item in terms.items
        for price in _usage_prices(book, currency, item)
        if price.by_event and price.meter is not None
    }


def _usage_prices(book: PriceBook, currency: str, item: Item) -> Iterator[ReadyPrice]:
    """The usage prices of the version that `item` has, and of those that renewal leads to."""
    version = book.version(item.plan, item.plan_version, currency)
    reachable = [version, *(book.version(item.plan, newer.version, currency) for newer in version.newer)]
    return (price for each in reachable for phase in each.phases for price in phase.usage)


def charge_usage(
    lines: list[Line],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    pinned: ReadyVersion,
    step: Step,
    usage: UsageAnswers,
) -> None:
    """Append what `item` used until the billing day `step`, by the prices of the phase that the window lies in, and
    what is missing to a minimum. Raises MoneyError when a price goes by event and `usage` holds the sum only."""
    period = period_at(terms.anchor, terms.interval, step.used_from)
    phase = phase_of(book, currency, terms, item, pinned, period)
    served: list[Stretch] | None = None
    charged = 0
    for price in phase.usage:
        answer = usage.get((item.id, price.meter or "", step.bill_on))
        quantity = answer.quantity if isinstance(answer, Usage) else answer
        if not quantity:
            if not price.zero_line:
                continue
            if served is None:
                served = list(stretches(terms, item, step.used_from, step.bill_on))
            if not served:
                continue
        amount = _amount(price, answer)
        charged += amount
        charge = f"{price.id}|usage|{iso(step.used_from)}|{iso(step.bill_on)}"
        used = quantity or Decimal(0)
        lines.append(_line("usage", item, price, step.used_from, step.bill_on, used, amount, charge))
    if phase.minimum:
        if served is None:
            served = list(stretches(terms, item, step.used_from, step.bill_on))
        for price in phase.minimum:
            charged += _charge_minimum(lines, item, price, served, charged)


def _charge_minimum(
    lines: list[Line], item: Item, price: ReadyPrice, served: list[Stretch], charged: int
) -> int:
    """Append what is missing from `charged` to the minimum of the time that the item was served, and answer it."""
    whole = Fraction(0)
    for stretch in served:
        whole += Fraction(*part_of(stretch.start, stretch.end, stretch.period.start, stretch.period.end))
    missing = round_fraction(price.terms.unit * whole) - charged
    if missing <= 0:
        return 0
    start, end = day_of(served[0].start), day_of(served[-1].end)
    charge = f"{price.id}|minimum|{iso(start)}|{iso(end)}"
    lines.append(_line("minimum", item, price, start, end, ONE, missing, charge))
    return missing


def _amount(price: ReadyPrice, answer: Decimal | Usage | None) -> int:
    """What a window's usage costs, in minor units, rounded once."""
    if not answer:
        return 0
    share = price.terms.share
    if share is not None and price.by_event:
        if not isinstance(answer, Usage):
            raise MoneyError(
                f"price {price.code!r} is charged by event, and only the sum of its usage was given"
            )
        return round_fraction(share_of_events(share, map(Fraction, answer.events)))
    quantity = answer.quantity if isinstance(answer, Usage) else answer
    return amount_for(price.terms, max(Fraction(quantity) - price.allowance, Fraction(0)), 1, 1)


def _line(
    kind: str,
    item: Item,
    price: ReadyPrice,
    start: date,
    end: date,
    quantity: Decimal,
    amount: int,
    charge: str,
) -> Line:
    part = price.parts[0]
    return Line(
        kind,
        item.id,
        price.id,
        part.product,
        start,
        end,
        quantity,
        amount,
        None,
        None,
        None,
        charge_key(item.id, charge),
        charge,
        part.category,
    )
