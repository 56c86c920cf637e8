"""The credit for a missed issue: what was billed for it, once, at the next bill or as a refund."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credits import BilledLine, CreditLine, TaxAmount, credit_gross, credit_time, left_of
from domain.media.deliveries import Issue
from domain.media.delivery_credits import Way, credit_issue, issue_credit_key, settle
from domain.media.holiday_stops import HolidayStop, Revision, creditable_issues
from tests.domain.media.stops import BERLIN, WEEKEND, WISHES, Wish, days, delivery, local, played

KEYS = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")


def line(
    net: int,
    tax: int = 0,
    start: date = date(2026, 1, 1),
    end: date = date(2026, 2, 1),
    key: str = KEYS[0],
) -> BilledLine:
    taxes = (TaxAmount("DE", Decimal("0.07"), tax),) if tax else ()
    return BilledLine(
        key, "invoice", "recurring", "print", "item", "price", "paper", start, end, Decimal(1), net, taxes
    )


def issue(day: int, month: int = 1) -> Issue:
    return Issue(date(2026, month, day), date(2026, month, day))


def stop(start: date, until: date, stop_id: str = "one") -> HolidayStop:
    return HolidayStop(stop_id, (Revision(local("2025-12-01T09:00"), start, until),))


AWAY = stop(date(2026, 1, 10), date(2026, 1, 18))  # the 10th, 11th and 17th


def test_the_credit_is_the_issues_share_of_price_and_tax() -> None:
    # law 5. Nine issues in January: net 111 each but the fifth (112); tax 8, 8, 7, 8, 8, 8, 7, 8, 8.
    found = [
        credit_issue(line(1000, 70), [], WEEKEND, issue(day)) for day in (3, 4, 10, 11, 17, 18, 24, 25, 31)
    ]
    assert [credit.net for credit in found if credit] == [
        -111,
        -111,
        -111,
        -111,
        -112,
        -111,
        -111,
        -111,
        -111,
    ]
    assert [credit.tax for credit in found if credit] == [-8, -8, -7, -8, -8, -8, -7, -8, -8]
    first = found[0]
    assert first == CreditLine(
        KEYS[0], "delivery_credit", None, None, -111, (TaxAmount("DE", Decimal("0.07"), -8),)
    )


@pytest.mark.parametrize(
    "missed", [issue(1, month=2), issue(5), Issue(date(2025, 12, 28), date(2025, 12, 28))]
)
def test_an_issue_that_the_line_did_not_bill_is_not_credited_from_it(missed: Issue) -> None:
    assert credit_issue(line(900), [], WEEKEND, missed) is None


def test_a_one_time_charge_pays_for_no_issue() -> None:
    once = replace(line(900), start=None, end=None)
    assert credit_issue(once, [], WEEKEND, issue(10)) is None
    assert settle(delivery(), [AWAY], [once], [], (), date(2026, 2, 1)).credits == ()


def test_what_was_free_is_not_credited() -> None:
    assert credit_issue(line(0), [], WEEKEND, issue(10)) is None
    # One cent over nine issues: the fifth has it.
    assert credit_issue(line(1), [], WEEKEND, issue(10)) is None
    assert credit_issue(line(1), [], WEEKEND, issue(17)) is not None


def test_tax_alone_is_credited_too() -> None:
    credit = credit_issue(line(0, 9), [], WEEKEND, issue(10))
    assert credit is not None
    assert (credit.net, credit.tax) == (0, -1)


def test_never_more_than_is_left() -> None:
    # law 5. 963 gross; 900 of it went back as goodwill: net 58.88 is 59 left, tax 4.
    charge = line(900, 63)
    goodwill = credit_gross(charge, [], 900)
    left = left_of(charge, [goodwill])
    assert (left.net, left.tax) == (59, 4)
    credit = credit_issue(charge, [goodwill], WEEKEND, issue(10))
    assert credit is not None
    assert (credit.net, credit.tax) == (-59, -4)
    assert credit_issue(charge, [goodwill, credit], WEEKEND, issue(11)) is None


def test_a_negative_line_takes_its_share_back() -> None:
    negative = line(-900, -63)
    credit = credit_issue(negative, [], WEEKEND, issue(10))
    assert credit is not None
    assert (credit.net, credit.tax) == (100, 7)
    rest = [replace(credit, net=850, taxes=(TaxAmount("DE", Decimal("0.07"), 60),))]
    capped = credit_issue(negative, rest, WEEKEND, issue(10))
    assert capped is not None
    assert (capped.net, capped.tax) == (50, 3)


def test_an_issue_of_time_that_was_given_back_is_not_credited_again() -> None:
    charge = line(930)
    canceled = credit_time(charge, [], date(2026, 1, 17), date(2026, 2, 1))
    assert canceled is not None
    assert credit_issue(charge, [canceled], WEEKEND, issue(17)) is None
    assert credit_issue(charge, [canceled], WEEKEND, issue(11)) is not None
    # The last day given back is the one before its end.
    back = credit_time(charge, [], date(2026, 1, 1), date(2026, 1, 10))
    assert back is not None
    assert credit_issue(charge, [back], WEEKEND, issue(10)) is not None
    assert credit_issue(charge, [back], WEEKEND, issue(4)) is None
    # Another line's credit says nothing of this one.
    assert credit_issue(charge, [replace(canceled, corrects=KEYS[1])], WEEKEND, issue(17)) is not None


def test_a_line_by_the_second_bills_the_issues_of_its_days() -> None:
    start, end = datetime(2026, 1, 3, 8, tzinfo=BERLIN), datetime(2026, 1, 11, 8, tzinfo=BERLIN)
    charge = replace(line(300), start=start, end=end)
    assert credit_issue(charge, [], WEEKEND, issue(10)) is not None
    assert credit_issue(charge, [], WEEKEND, issue(11)) is None
    found = settle(delivery(), [AWAY], [charge], [], (), date(2026, 2, 1))
    assert days([given.issue for given in found.credits]) == ["01-10"]


def test_a_missed_issue_is_credited_at_the_next_bill_after_it() -> None:
    # Truth: a credit per missed issue, at the next bill.
    to, charge = delivery(), line(900, 63)
    early = settle(to, [AWAY], [charge], [], (), date(2026, 1, 11))
    assert days([given.issue for given in early.credits]) == ["01-10"]
    assert days(early.waiting) == ["01-11", "01-17"]
    whole = settle(to, [AWAY], [charge], [], (), date(2026, 2, 1))
    assert whole.way is Way.NEXT_BILL
    assert days([given.issue for given in whole.credits]) == ["01-10", "01-11", "01-17"]
    assert whole.waiting == ()
    assert whole.gross == -3 * 107
    assert {given.credit.corrects for given in whole.credits} == {KEYS[0]}


def test_an_issue_is_credited_once() -> None:
    # law I3
    to, charge = delivery(), line(900)
    first = settle(to, [AWAY], [charge], [], (), date(2026, 1, 11))
    keys = {given.key for given in first.credits}
    assert keys == {issue_credit_key(charge, WEEKEND, issue(10))}
    then = settle(to, [AWAY], [charge], [given.credit for given in first.credits], keys, date(2026, 2, 1))
    assert days([given.issue for given in then.credits]) == ["01-11", "01-17"]
    assert len(keys | {given.key for given in then.credits}) == 3


def test_the_key_names_line_edition_and_issue() -> None:
    other = WEEKEND.model_copy(update={"edition": "weekday"})
    keys = {
        issue_credit_key(line(900), WEEKEND, issue(10)),
        issue_credit_key(line(900), WEEKEND, issue(11)),
        issue_credit_key(line(900), other, issue(10)),
        issue_credit_key(line(900, key=KEYS[1]), WEEKEND, issue(10)),
    }
    assert len(keys) == 4
    # Moving the delivery does not make another issue of it.
    moved = Issue(date(2026, 1, 10), date(2026, 1, 9))
    assert issue_credit_key(line(900), WEEKEND, moved) in keys


def test_an_issue_that_is_not_billed_yet_waits() -> None:
    to, february = delivery(), stop(date(2026, 1, 31), date(2026, 2, 2))
    found = settle(to, [february], [line(900)], [], (), date(2026, 2, 5))
    assert days([given.issue for given in found.credits]) == ["01-31"]
    assert days(found.waiting) == ["02-01"]
    billed = [line(900), line(800, start=date(2026, 2, 1), end=date(2026, 3, 1), key=KEYS[1])]
    later = settle(to, [february], billed, [], {found.credits[0].key}, date(2026, 3, 1))
    # February has eight issues.
    assert [(given.credit.corrects, given.credit.net) for given in later.credits] == [(KEYS[1], -100)]


def test_each_line_that_billed_the_issue_gives_its_share() -> None:
    surcharge = line(90, key=KEYS[1])
    found = settle(delivery(), [AWAY], [line(900), surcharge], [], (), date(2026, 1, 11))
    assert [(given.credit.corrects, given.credit.net) for given in found.credits] == [
        (KEYS[0], -100),
        (KEYS[1], -10),
    ]


def test_credits_of_one_settlement_share_what_is_left() -> None:
    goodwill = credit_gross(line(900), [], 750)
    found = settle(delivery(), [AWAY], [line(900)], [goodwill], (), date(2026, 2, 1))
    assert [given.credit.net for given in found.credits] == [-100, -50]


def test_a_canceled_subscriber_is_refunded_not_forgotten() -> None:
    # Truth. Canceled on the 17th (law 4: not billed): the 10th and 11th were missed, the 17th is given back as time.
    to, charge = delivery(ends_on=date(2026, 1, 17)), line(930)
    canceled = credit_time(charge, [], date(2026, 1, 17), date(2026, 2, 1))
    assert canceled is not None
    found = settle(to, [AWAY], [charge], [canceled], (), date(2026, 1, 17))
    assert found.way is Way.REFUND
    assert days([given.issue for given in found.credits]) == ["01-10", "01-11"]
    assert found.waiting == ()
    # Until then there is a next bill.
    before = settle(to, [AWAY], [charge], [], (), date(2026, 1, 16))
    assert (before.way, len(before.credits)) == (Way.NEXT_BILL, 2)


def test_beyond_the_allowance_nothing_is_credited() -> None:
    to = delivery(allowance=2, over_allowance="no_credit")
    found = settle(to, [AWAY], [line(900)], [], (), date(2026, 2, 1))
    assert days([given.issue for given in found.credits]) == ["01-10", "01-11"]


@given(WISHES, st.integers(0, 10**6), st.integers(0, 10**5), st.sampled_from(["refuse", "no_credit"]))
def test_no_issue_is_credited_twice_whatever_is_wished(
    wishes: list[Wish], net: int, tax: int, over: str
) -> None:
    to = delivery(allowance=4, over_allowance=over)
    lines = [
        line(net, tax, date(2025, 12, 1), date(2026, 1, 1), KEYS[0]),
        line(net, tax, date(2026, 1, 1), date(2026, 3, 1), KEYS[1]),
    ]
    history = played(to, wishes)
    given_now: list[str] = []
    credits: list[CreditLine] = []
    named: list[Issue] = []
    # A bill after every wish, and one at the end.
    ends = [(now.date(), stops) for now, stops in history] + [(date(2026, 6, 1), history[-1][1])]
    for as_of, stops in ends:
        found = settle(to, list(stops.values()), lines, credits, given_now, as_of)
        given_now += [each.key for each in found.credits]
        credits += [each.credit for each in found.credits]
        named += [each.issue for each in found.credits]
        assert all(each.delivered_on < as_of for each in named)
    assert len(set(given_now)) == len(given_now)
    assert len(set(named)) == len(named)
    due = creditable_issues(to, history[-1][1].values())
    if net >= 1000:
        assert set(named) == set(due)
    assert set(named) <= set(due)
    for charge in lines:
        left = left_of(charge, credits)
        assert 0 <= left.net <= charge.net
        assert all(amount.amount >= 0 for amount in left.taxes)


@given(
    st.integers(-(10**6), 10**6),
    st.integers(0, 10**5),
    st.dates(date(2026, 1, 1), date(2027, 1, 1)),
    st.integers(3, 90),
)
def test_missing_every_issue_gives_all_of_it_back(net: int, tax: int, start: date, length: int) -> None:
    charge = line(net, tax if net >= 0 else -tax, start, start + timedelta(days=length))
    to = delivery(starts_on=start)
    away = HolidayStop("one", (Revision(local("2025-06-01T09:00"), start, start + timedelta(days=length)),))
    found = settle(to, [away], [charge], [], (), date(2028, 1, 1))
    missed = creditable_issues(to, [away])
    whole = charge.gross if missed else 0
    assert found.gross == -whole
