"""The credit for an issue that a holiday stop kept from the reader: computed from what was billed for that issue
(billing law 5), given at the next bill, or refunded to who has canceled and gets no bill any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from domain.charge_key import charge_key
from domain.credits import BilledLine, CreditLine, left_of
from domain.media.deliveries import DeliveryCalendar, Issue, issue_shares
from domain.media.holiday_stops import Delivery, HolidayStop, creditable_issues
from domain.proration import day_of

KIND = "delivery_credit"


class Way(StrEnum):
    """How the reader gets the money."""

    NEXT_BILL = "next_bill"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class IssueCredit:
    """The credit of one issue against one line. `key` is its charge key: one per line and issue (law I3)."""

    key: str
    issue: Issue
    credit: CreditLine


class Settlement(NamedTuple):
    """Credits to give now, how, and the issues that will be credited later: they are still to come, or what pays for
    them is not billed yet."""

    way: Way
    credits: tuple[IssueCredit, ...]
    waiting: tuple[Issue, ...]

    @property
    def gross(self) -> int:
        """What all credits come to with their taxes, minor units, negative."""
        return sum(given.credit.gross for given in self.credits)


def issue_credit_key(line: BilledLine, calendar: DeliveryCalendar, issue: Issue) -> str:
    """The charge key of the credit for `issue` against `line`: the database refuses a second one."""
    return charge_key(line.key, f"{KIND}|{calendar.edition}|{issue.day.isoformat()}")


def credit_issue(
    line: BilledLine, credits: Sequence[CreditLine], calendar: DeliveryCalendar, issue: Issue
) -> CreditLine | None:
    """The credit for `issue` out of `line`: its share of the net amount and of each tax, never more than the earlier
    `credits` leave. It gives back an amount and no time: the period stays covered. None when the line did not bill
    that issue, when its day was given back already (a cancellation), and when nothing was billed or is left."""
    if line.start is None or line.end is None or _given_back(line, credits, issue.day):
        return None
    start, end = line.start, line.end
    if issue not in issue_shares(calendar, 0, start, end):
        return None

    def share(whole: int, rest: int) -> int:
        wanted = issue_shares(calendar, whole, start, end)[issue]
        return -min(wanted, rest) if whole >= 0 else -max(wanted, rest)

    left = left_of(line, credits)
    net = share(line.net, left.net)
    taxes = tuple(
        tax._replace(amount=share(tax.amount, rest.amount))
        for tax, rest in zip(line.taxes, left.taxes, strict=True)
    )
    if not net and not any(tax.amount for tax in taxes):
        return None
    return CreditLine(line.key, KIND, None, None, net, taxes)


def settle(
    delivery: Delivery,
    stops: Sequence[HolidayStop],
    lines: Sequence[BilledLine],
    credits: Sequence[CreditLine],
    credited: Collection[str],
    as_of: date,
) -> Settlement:
    """The credits that are due on the day `as_of` for issues missed before it. `lines` are the live recurring lines of
    the delivered item, `credits` all earlier credits against them, `credited` the keys of issue credits already
    given. On the bill of that day, or as a refund where the subscription has ended by then."""
    ended = delivery.ends_on is not None and delivery.ends_on <= as_of
    given: list[IssueCredit] = []
    waiting: list[Issue] = []
    for issue in creditable_issues(delivery, stops):
        billed = [line for line in lines if _bills(line, issue)]
        if issue.delivered_on >= as_of or not billed:
            waiting.append(issue)
            continue
        for line in billed:
            key = issue_credit_key(line, delivery.calendar, issue)
            if key in credited:
                continue
            earlier = [*credits, *(each.credit for each in given)]
            credit = credit_issue(line, earlier, delivery.calendar, issue)
            if credit is not None:
                given.append(IssueCredit(key, issue, credit))
    return Settlement(Way.REFUND if ended else Way.NEXT_BILL, tuple(given), tuple(waiting))


def _bills(line: BilledLine, issue: Issue) -> bool:
    return (
        line.start is not None and line.end is not None and day_of(line.start) <= issue.day < day_of(line.end)
    )


def _given_back(line: BilledLine, credits: Sequence[CreditLine], day: date) -> bool:
    """Whether the time of `day` was credited: then the issue's price went back with it."""
    return any(
        credit.corrects == line.key
        and credit.start is not None
        and credit.end is not None
        and day_of(credit.start) <= day < day_of(credit.end)
        for credit in credits
    )
