"""Changes undone at the moment at which they were made: an item that goes and comes back at once costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce

from domain.amendments import History, time_of_line
from domain.credits import BilledLine, CreditLine, credit_rest
from domain.invoice_lines import restored_lines
from domain.lines import Line
from domain.pending import UNCUT
from domain.proration import Moment, before, day_of, distances, later
from domain.subscription_terms import Item, SubscriptionTerms


def replaced_now(terms: SubscriptionTerms, old: Item, at: Moment) -> list[Item]:
    """The items that changes at this very moment put `old` in the place of, the last one first."""
    items = {item.id: item for item in terms.items}
    found: list[Item] = []
    item = old
    while item.replaces in items and _at_once(item.start, at) and _at_once(items[item.replaces].end, at):
        item = items[item.replaces]
        found.append(item)
    return found


def same_terms(one: Item, other: Item) -> bool:
    """Whether both cost the same, but for the phase that they are in."""
    return (one.plan, one.plan_version, one.quantity, one.price_override) == (
        other.plan,
        other.plan_version,
        other.quantity,
        other.price_override,
    )


def charged_from(history: History, item: Item, at: Moment) -> bool:
    """Whether time of `item` from `at` on was billed, be it given back since: by a pause, an end or a restart at this
    very moment. It cannot be billed for `item` again (I3)."""
    return any(
        line.end is not None and before(time_of_line(line, history.moved, at), line.end)
        for line in history.recurring([item])
    )


def unearned_fees(history: History, old: Item, replaced: Sequence[Item]) -> list[CreditLine]:
    """Credits of the one-time charges of an item that was never served, because it came in the place of `replaced`, and
    goes, at one moment."""
    if not replaced:
        return []
    fees = [line for line in history.billed if line.kind == "one_time" and line.item_id == old.id]
    credits = [credit_rest(line, history.credits, "unused_credit") for line in fees]
    return [credit for credit in credits if credit is not None]


def restored(
    history: History, same: Sequence[Item], new: Item, at: Moment
) -> tuple[list[Line], Moment | None]:
    """The charge of an item that ended at this very moment and comes back as `new`: exactly what was credited for it,
    or cut off what was not billed yet; and until when that is charged (None: it is for no time): what was dropped,
    because it was not billed and begins later, has to be rated. `same` are such items, the last one first."""
    for item in same:
        lines: list[Line] = []
        for line in history.billed:
            if line.item_id != item.id:
                continue
            then = time_of_line(line, history.moved, at)
            moved = day_of(at) - day_of(then)
            for credit in _given_back(history, line, then):
                again = replace(
                    credit, start=credit.start and credit.start + moved, end=credit.end and credit.end + moved
                )
                charged = replace(line, kind="recurring") if line.kind == UNCUT else line
                lines += restored_lines(again, charged, new.id, len(lines))
        if lines:
            ends = [line.period_end for line in lines if line.period_end is not None]
            return lines, reduce(later, ends) if ends else None
    return [], at


def _given_back(history: History, line: BilledLine, then: Moment) -> Iterator[CreditLine]:
    """What a change at the moment `then` gave back of `line`."""
    since = line.start and later(then, line.start)
    if line.kind == UNCUT:
        for rest in history.billed:
            if rest.key == line.key and rest is not line and _at_once(rest.end, since):
                taxes = [
                    tax._replace(amount=kept.amount - tax.amount)
                    for tax, kept in zip(line.taxes, rest.taxes, strict=True)
                ]
                yield CreditLine(
                    line.key, "unused_credit", since, line.end, rest.net - line.net, tuple(taxes)
                )
        return
    for credit in history.credits:
        if credit.corrects == line.key and credit.kind == "unused_credit" and _at_once(credit.start, since):
            yield credit


def _at_once(one: Moment | None, other: Moment | None) -> bool:
    """Whether both are the same moment, or neither is one."""
    if one is None or other is None:
        return one is other
    return not any(distances(one, other))
