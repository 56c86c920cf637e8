"""When what was billed is revenue, and what a credit takes back, with figures worked out by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.credits import BilledLine, CreditLine, TaxAmount, credit_gross, credit_rest, credit_time
from domain.ledger import RECEIVABLE, REVENUE, Posting, settle
from domain.proration import Moment
from domain.revenue import (
    Credit,
    Schedule,
    ScheduleRefused,
    Split,
    billed,
    credit_amounts,
    credit_of,
    credited,
    deferred_on,
    earned_at_issue,
    last_day,
    recognised_through,
    schedule_of,
    split_credit,
    to_recognise,
    with_credit,
    withdraw_credit,
)
from tests.domain.books import line as drafted

JAN = date(2026, 1, 1)
FEB = date(2026, 2, 1)
END_OF_TIME = date(2099, 1, 1)
BERLIN = ZoneInfo("Europe/Berlin")
VAT = Decimal("0.19")


def jan(day: int) -> date:
    return date(2026, 1, day)


def bill(
    net: int = 3100, kind: str = "recurring", start: Moment | None = JAN, end: Moment | None = FEB
) -> BilledLine:
    taxes = (TaxAmount("DE", VAT, net * 19 // 100),)
    return BilledLine(
        "k", "doc", kind, "digital", "item", "price", "digital", start, end, Decimal(1), net, taxes
    )


def january(net: int = 3100, billed_on: date = JAN, **more: Any) -> Schedule:
    """A month of 31 days: 100 a day."""
    return schedule_of(bill(net), currency="EUR", billed_on=billed_on, **more)


def daily(schedule: Schedule, first: date, days: int) -> list[int]:
    """What each day earns."""
    steps = [first + timedelta(days=day) for day in range(days)]
    through = [recognised_through(schedule, step + timedelta(days=1)) for step in steps]
    return [b - a for a, b in zip([recognised_through(schedule, first), *through], through, strict=False)]


# --- what is earned when


@pytest.mark.parametrize(
    ("through", "recognised", "deferred"),
    [
        (date(2025, 12, 31), 0, 0),
        (JAN, 0, 0),
        (jan(2), 100, 3000),
        (jan(31), 3000, 100),
        (FEB, 3100, 0),
        (date(2026, 2, 2), 3100, 0),
    ],
)
def test_a_recurring_line_is_earned_day_by_day(through: date, recognised: int, deferred: int) -> None:
    assert recognised_through(january(), through) == recognised
    assert deferred_on(january(), through) == deferred


@pytest.mark.parametrize(
    ("net", "days", "parts"),
    [
        # Running amounts of 1000/3: 333.3, 666.7, 1000.
        (1000, 3, [333, 334, 333]),
        # A half goes away from zero: 0.5 → 1, 1 → 1.
        (1, 2, [1, 0]),
        (5, 4, [1, 2, 1, 1]),
        (-1000, 3, [-333, -334, -333]),
        (-1, 2, [-1, 0]),
        (0, 2, [0, 0]),
        (2, 5, [0, 1, 0, 1, 0]),
    ],
)
def test_parts_are_rounded_as_running_amounts(net: int, days: int, parts: list[int]) -> None:
    line = bill(net, end=JAN + timedelta(days=days))
    assert daily(schedule_of(line, currency="EUR", billed_on=JAN), JAN, days) == parts


def test_what_is_billed_ahead_is_deferred_until_the_service_begins() -> None:
    schedule = january(billed_on=date(2025, 12, 15))
    assert deferred_on(schedule, date(2025, 12, 15)) == 0
    assert deferred_on(schedule, date(2025, 12, 16)) == 3100
    assert deferred_on(schedule, JAN) == 3100
    assert deferred_on(schedule, jan(2)) == 3000


def test_nothing_is_recognised_before_it_is_billed() -> None:
    schedule = january(billed_on=jan(10))
    assert recognised_through(schedule, jan(10)) == 0
    assert recognised_through(schedule, jan(11)) == 1000
    assert recognised_through(january(billed_on=date(2026, 3, 1)), date(2026, 3, 1)) == 0


BY_SECOND = datetime(2026, 1, 20, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("end", "billed_on", "over"),
    [
        # The end is exclusive: on its day the time is over.
        (FEB, jan(31), False),
        (FEB, FEB, True),
        (FEB, date(2026, 3, 15), True),
        # A day that is used in part is a day.
        (BY_SECOND, jan(19), False),
        (BY_SECOND, jan(20), True),
        (BY_SECOND + timedelta(seconds=1), jan(20), False),
        (BY_SECOND + timedelta(seconds=1), jan(21), True),
    ],
)
def test_time_that_is_over_when_it_is_billed_is_earned_with_its_document(
    end: Moment, billed_on: date, over: bool
) -> None:
    charge = bill(3100, end=end)
    schedule = schedule_of(charge, currency="EUR", billed_on=billed_on, deliveries=[jan(3), jan(10)])
    assert schedule.opening == (Split(0, 3100) if over else Split(3100, 0))
    assert (schedule.start, schedule.deliveries) == (JAN, () if over else (jan(3), jan(10)))
    assert recognised_through(schedule, billed_on) == 0
    if over:
        # Nothing is left for the journal run, and nothing is ever deferred.
        the_next_day = billed_on + timedelta(days=1)
        assert to_recognise(schedule, the_next_day, schedule.opening.earned) == 0
        assert (recognised_through(schedule, the_next_day), deferred_on(schedule, the_next_day)) == (3100, 0)
        assert last_day(schedule) == billed_on
        # The document posts the same, the charge's discount with it.
        lines = [
            replace(drafted(3500), period_start=JAN, period_end=end),
            drafted(-400, "discount", 0),
        ]
        assert settle(lines, earned_at_issue(lines, billed_on))[2] == [
            Posting(RECEIVABLE, 3100, 0),
            Posting(REVENUE, 0, 3100),
        ]


def test_only_recurring_lines_of_time_that_is_over_are_earned_against_their_kind() -> None:
    gift = schedule_of(bill(kind="gift"), currency="EUR", billed_on=FEB)
    assert gift.opening == Split(3100, 0)  # its redemption has put it into deferred revenue
    kinds = ["recurring", "unused_credit", "usage", "recurring", "recurring", "delivery_credit", "discount"]
    ends = [FEB, FEB, FEB, FEB + timedelta(days=1), None, JAN, FEB]
    lines = [
        replace(drafted(100, kind), period_start=JAN, period_end=end)
        for kind, end in zip(kinds, ends, strict=True)
    ]
    assert earned_at_issue(lines, FEB) == {0: 0}
    assert earned_at_issue(lines, jan(31)) == {}
    assert earned_at_issue([], FEB) == {}


def test_a_credit_of_time_that_was_over_when_billed_reverses_revenue() -> None:
    charged = bill(3100)
    schedule = schedule_of(charged, currency="EUR", billed_on=FEB)
    tail = credit_time(charged, [], jan(21), FEB, "unused_credit")
    assert tail is not None
    assert split_credit(schedule, credit_of(tail, date(2026, 2, 10)), 3100) == Split(0, 1100)
    after = with_credit(schedule, credit_of(tail, date(2026, 2, 10)))
    assert (after.left, deferred_on(after, date(2026, 2, 11))) == (2000, 0)


@pytest.mark.parametrize("kind", ["usage", "minimum", "one_time", "adjustment"])
def test_what_was_delivered_already_is_earned_with_its_document(kind: str) -> None:
    schedule = schedule_of(bill(500, kind, date(2025, 12, 1), JAN), currency="EUR", billed_on=JAN)
    assert schedule.opening == Split(0, 500)
    assert (recognised_through(schedule, JAN), recognised_through(schedule, jan(2))) == (0, 500)
    assert deferred_on(schedule, jan(2)) == 0
    assert to_recognise(schedule, jan(2), schedule.opening.earned) == 0
    assert to_recognise(schedule, JAN, schedule.opening.earned) == 0
    assert (schedule.start, schedule.end, last_day(schedule)) == (JAN, jan(2), JAN)


def test_a_purchase_that_is_delivered_later_is_deferred_until_then() -> None:
    line = bill(500, "one_time", None, None)
    schedule = schedule_of(line, currency="EUR", billed_on=JAN, delivered_on=jan(9))
    assert schedule.opening == Split(500, 0)
    assert daily(schedule, jan(7), 4) == [0, 0, 500, 0]
    for sooner in (JAN, date(2025, 12, 1)):
        at_once = schedule_of(line, currency="EUR", billed_on=JAN, delivered_on=sooner)
        assert at_once.opening == Split(0, 500)
    assert (
        schedule_of(bill(5, "usage"), currency="EUR", billed_on=JAN, delivered_on=jan(9)).opening.deferred
        == 0
    )


def test_print_is_earned_by_issue() -> None:
    # Four issues within the period, out of order; those of other periods are not its own.
    issues = [jan(24), jan(3), date(2025, 12, 27), jan(10), jan(17), FEB]
    schedule = january(1000, deliveries=issues)
    assert schedule.deliveries == (jan(3), jan(10), jan(17), jan(24))
    assert [recognised_through(schedule, day) for day in (jan(3), jan(4), jan(10), jan(11), jan(18), jan(25))] == [
        0, 250, 250, 500, 750, 1000,
    ]  # fmt: skip
    assert last_day(schedule) == jan(24)
    # The first day is in the period; two issues of one day count twice; thirds are rounded as running amounts.
    thirds = january(1000, deliveries=[JAN, JAN, jan(9)])
    assert daily(thirds, JAN, 9) == [667, 0, 0, 0, 0, 0, 0, 0, 333]


def test_print_without_issues_is_earned_daily() -> None:
    assert january(deliveries=[date(2025, 12, 31), FEB]) == january()


def test_a_redeemed_gift_is_earned_over_its_access() -> None:
    gift = schedule_of(bill(kind="gift"), currency="EUR", billed_on=jan(1))
    assert gift.opening == Split(3100, 0)
    assert recognised_through(gift, jan(16)) == 1500
    by_issue = schedule_of(bill(kind="gift"), currency="EUR", billed_on=JAN, deliveries=[jan(5)])
    assert daily(by_issue, jan(4), 3) == [0, 3100, 0]


def test_a_line_billed_by_the_second_is_earned_on_the_days_it_touches() -> None:
    since = datetime(2026, 1, 5, 14, 30, tzinfo=BERLIN)
    until = datetime(2026, 1, 7, 0, 0, 1, tzinfo=BERLIN)
    schedule = schedule_of(bill(300, start=since, end=until), currency="EUR", billed_on=jan(5))
    assert (schedule.start, schedule.end) == (jan(5), jan(8))
    midnight = datetime(2026, 1, 7, tzinfo=BERLIN)
    assert schedule_of(bill(300, start=since, end=midnight), currency="EUR", billed_on=JAN).end == jan(7)


def test_discounts_lessen_what_is_recognised() -> None:
    # 3100 less a discount of 310: the line's net is 2790, 90 a day (law 7)
    assert daily(january(3100 - 310), JAN, 2) == [90, 90]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            bill(-100, "unused_credit"),
            "line k is a credit (unused_credit): take it off the schedule of the line",
        ),
        (bill(-100, "delivery_credit"), "line k is a credit (delivery_credit)"),
        (bill(100, "surcharge"), "not laid down when lines of kind 'surcharge' are earned"),
        (
            bill(100, start=None),
            "line k (recurring) has no service period: it cannot be recognised over time",
        ),
        (bill(100, end=None), "has no service period"),
        (bill(100, "gift", None, None), "recognised over time before the gift is redeemed"),
        (bill(100, start=FEB), "a service period that ends on 2026-02-01 and starts on 2026-02-01"),
    ],
)
def test_a_line_without_schedule_is_refused(line: BilledLine, message: str) -> None:
    with pytest.raises(ScheduleRefused, match=re.escape(message)):
        schedule_of(line, currency="EUR", billed_on=JAN)


# --- what a credit takes back


def test_a_tail_given_back_ends_the_schedule() -> None:
    # Canceled on the 11th: 21 of 31 days are given back (law 4), as credits compute it (law 5).
    line = credit_time(bill(), [], jan(11), FEB)
    assert line is not None
    credit = credit_of(line, jan(11))
    assert credit == Credit(jan(11), 2100, FEB)
    schedule = with_credit(january(), credit)
    assert schedule.left == 1000
    assert [recognised_through(schedule, jan(day)) for day in (5, 11, 12, 31)] == [400, 1000, 1000, 1000]
    assert [deferred_on(schedule, jan(day)) for day in (11, 12, 31)] == [2100, 0, 0]
    assert [credited(schedule, jan(day)) for day in (11, 12)] == [0, 2100]
    # Deferred revenue goes down by exactly the credit: nothing of it was recognised.
    assert split_credit(january(), credit, 1000) == Split(2100, 0)
    assert split_credit(january(), credit, 0) == Split(2100, 0)
    assert to_recognise(schedule, FEB, 1000) == 0
    assert to_recognise(schedule, FEB, 0) == 1000


def test_days_recognised_already_reverse_revenue() -> None:
    # Given on the 21st from the 11th on, when 2000 are recognised: 1000 of them were right.
    credit = Credit(jan(21), 2100, FEB)
    assert split_credit(january(), credit, 2000) == Split(1100, 1000)
    assert split_credit(january(), credit, 1001) == Split(2099, 1)
    schedule = with_credit(january(), credit)
    assert [recognised_through(schedule, jan(day)) for day in (11, 21, 22)] == [1000, 2000, 1000]
    # As it would have been, had the credit been known:
    assert recognised_through(schedule, jan(16), END_OF_TIME) == 1000
    assert recognised_through(schedule, jan(16), jan(21)) == 1500


def test_days_before_the_credit_keep_what_they_earned_to_the_unit() -> None:
    # 1000 over 31 days, 20 kept: their running amounts are those of the whole.
    line = bill(1000)
    tail = credit_time(line, [], jan(21), FEB)
    assert tail is not None
    schedule = with_credit(january(1000), credit_of(tail, jan(21)))
    assert daily(schedule, JAN, 20) == daily(january(1000), JAN, 20)
    assert recognised_through(schedule, FEB) == schedule.left == 1000 + tail.net


def test_a_gap_stops_the_schedule_and_lets_it_go_on() -> None:
    # A pause from the 11th to the 15th: five days given back.
    schedule = with_credit(january(), Credit(jan(11), 500, jan(16)))
    assert daily(schedule, jan(9), 9) == [100, 100, 0, 0, 0, 0, 0, 100, 100]
    assert recognised_through(schedule, FEB) == 2600
    # Known in advance or only afterwards, with the same outcome.
    assert daily(with_credit(january(), Credit(JAN, 500, jan(16))), jan(9), 9) == daily(schedule, jan(9), 9)
    after = Credit(jan(28), 500, jan(16))
    assert split_credit(january(), after, 2700) == Split(0, 500)
    assert split_credit(january(), after, 1200) == Split(300, 200)
    assert recognised_through(with_credit(january(), after), jan(29)) == 2300


def test_a_missed_issue_earns_nothing() -> None:
    print_ = january(1000, deliveries=[jan(3), jan(10), jan(17), jan(24)])
    missed = Credit(jan(10), 250, jan(11))
    schedule = with_credit(print_, missed)
    assert daily(schedule, jan(9), 3) == [0, 0, 0]
    assert recognised_through(schedule, jan(18)) == 500
    assert split_credit(print_, missed, 250) == Split(250, 0)
    # Reported late, when it is recognised: it reverses revenue, and the issues to come stay.
    late = missed._replace(on=jan(20))
    assert split_credit(print_, late, 750) == Split(0, 250)
    assert recognised_through(with_credit(print_, late), jan(25)) == 750


def test_a_tail_with_a_gap_in_it_gives_back_what_is_left() -> None:
    gap = with_credit(january(), Credit(jan(2), 500, jan(21)))
    # From the 11th on, without the 16th to the 20th, which were given back already: 16 days.
    schedule = with_credit(gap, Credit(jan(5), 1600, FEB))
    assert daily(schedule, jan(8), 5) == [100, 100, 100, 0, 0]
    assert recognised_through(schedule, FEB) == 1000
    assert split_credit(gap, Credit(jan(5), 1600, FEB), 400) == Split(1600, 0)
    # Days 1 to 10 earned 1000, 11 to 15 were recognised too: 500 of revenue are reversed.
    assert split_credit(gap, Credit(jan(18), 1600, FEB), 1500) == Split(1100, 500)


def test_a_price_lowered_after_the_fact_is_lowered_for_all_days() -> None:
    # 310 of 3100: a tenth, of the ten days recognised and of those to come.
    line = credit_gross(bill(), [], 369)
    assert (line.net, line.tax) == (-310, -59)
    credit = credit_of(line, jan(11))
    assert credit == Credit(jan(11), 310, None)
    assert split_credit(january(), credit, 1000) == Split(210, 100)
    schedule = with_credit(january(), credit)
    assert [recognised_through(schedule, jan(day)) for day in (11, 12)] == [1000, 990]
    assert daily(schedule, jan(12), 3) == [90, 90, 90]
    assert recognised_through(schedule, FEB) == 2790
    assert to_recognise(schedule, jan(12), 900) == 90


def test_a_half_is_rounded_away_from_zero_when_a_price_is_lowered() -> None:
    # Recognised 1 of 2, one credited: 0.5 stays recognised, rounded to 1.
    schedule = schedule_of(bill(2, end=jan(3)), currency="EUR", billed_on=JAN)
    assert split_credit(schedule, Credit(jan(2), 1, None), 1) == Split(1, 0)


def test_all_that_is_left_given_back_takes_all_revenue_back() -> None:
    rest = credit_rest(bill(), [])
    assert rest is not None
    credit = credit_of(rest, jan(11))
    assert split_credit(january(), credit, 1000) == Split(2100, 1000)
    schedule = with_credit(january(), credit)
    assert (schedule.left, recognised_through(schedule, jan(12)), deferred_on(schedule, jan(12))) == (0, 0, 0)
    assert split_credit(january(), Credit(jan(11), 3100, None), 1000) == Split(2100, 1000)


def test_a_credit_of_usage_reverses_revenue() -> None:
    usage = schedule_of(bill(500, "usage"), currency="EUR", billed_on=JAN)
    for until in (None, FEB, date(2025, 12, 1)):
        assert split_credit(usage, Credit(jan(5), 200, until), 500) == Split(0, 200)
        assert recognised_through(with_credit(usage, Credit(jan(5), 200, until)), jan(6)) == 300


def test_a_credit_by_the_second_leaves_part_of_a_day() -> None:
    # From noon of the 11th: 20.5 of 31 days are given back; half of that day is earned.
    noon = datetime(2026, 1, 11, 12, tzinfo=BERLIN)
    line = credit_time(bill(), [], noon, FEB)
    assert line is not None
    assert line.net == -2050
    schedule = with_credit(january(), credit_of(line, jan(11)))
    assert daily(schedule, jan(10), 3) == [100, 50, 0]
    # A time that ends within a day ends with that day.
    assert credit_of(CreditLine("k", "unused_credit", jan(1), noon, -1), JAN).until == jan(12)


def test_a_credit_beyond_its_time_comes_out_of_the_days_before() -> None:
    # 700 for a gap that ends when only 500 are earned: two days more.
    schedule = with_credit(january(), Credit(JAN, 700, jan(6)))
    assert daily(schedule, JAN, 9) == [0, 0, 0, 0, 0, 0, 0, 100, 100]
    assert recognised_through(schedule, FEB) == 2400


def test_a_negative_line_turns_every_sign_round() -> None:
    line = bill(-3100)
    schedule = schedule_of(line, currency="EUR", billed_on=JAN)
    assert (recognised_through(schedule, jan(11)), deferred_on(schedule, jan(11))) == (-1000, -2100)
    tail = credit_time(line, [], jan(11), FEB)
    assert tail is not None
    credit = credit_of(tail, jan(21))
    assert credit.amount == -2100
    assert split_credit(schedule, credit, -2000) == Split(-1100, -1000)
    after = with_credit(schedule, credit)
    assert (after.left, recognised_through(after, jan(22)), deferred_on(after, jan(22))) == (-1000, -1000, 0)
    assert to_recognise(schedule, jan(11), -300) == -700
    assert to_recognise(schedule, jan(11), -1200) == 0


def test_a_withdrawn_credit_counts_until_it_was_withdrawn() -> None:
    credit = Credit(jan(11), 2100, FEB)
    schedule = withdraw_credit(with_credit(january(), credit), credit, jan(15))
    assert [recognised_through(schedule, jan(day)) for day in (12, 15, 16)] == [1000, 1000, 1500]
    assert [deferred_on(schedule, jan(day)) for day in (12, 15, 16)] == [0, 0, 1600]
    assert schedule.left == 3100
    # The amount went back to deferred revenue, 1000 were recognised: the next run catches up.
    assert to_recognise(schedule, FEB, 1000) == 2100
    # What is left may be credited anew, and one of two equal credits stands.
    assert with_credit(schedule, credit._replace(on=jan(15))).left == 1000
    twice = with_credit(with_credit(january(), Credit(JAN, 5, None)), Credit(JAN, 5, None))
    assert withdraw_credit(twice, Credit(JAN, 5, None), JAN).left == 3095
    # The credit in the middle goes, those around it stay.
    some = january()
    for amount in (1, 2, 4):
        some = with_credit(some, Credit(JAN, amount, None))
    assert withdraw_credit(some, Credit(JAN, 2, None), jan(3)).left == 3095


def test_what_cannot_be_withdrawn_is_refused() -> None:
    credit = Credit(jan(11), 2100, FEB)
    schedule = with_credit(january(), credit)
    with pytest.raises(
        ScheduleRefused, match="cannot be withdrawn on 2026-01-10: it was credited on 2026-01-11"
    ):
        withdraw_credit(schedule, credit, jan(10))
    gone = withdraw_credit(schedule, credit, jan(11))
    for each in (credit, gone.credits[0]):
        with pytest.raises(ScheduleRefused, match="no credit of 2100 from 2026-01-11 stands against line k"):
            withdraw_credit(gone, each, jan(12))


@pytest.mark.parametrize(
    ("net", "credit", "message"),
    [
        (
            3100,
            Credit(jan(6), 3001, FEB),
            "3001 minor units are to be credited on line k, and 3000 are left of it",
        ),
        (3100, Credit(jan(6), -1, FEB), "-1 minor units are to be credited"),
        (-3100, Credit(jan(6), 1, FEB), "1 minor units are to be credited"),
        (-3100, Credit(jan(6), -3001, FEB), "and -3000 are left"),
        (
            3100,
            Credit(jan(4), 1, FEB),
            "a credit on line k cannot be dated 2026-01-04: it was billed or credited on 2026-01-05",
        ),
    ],
)
def test_a_credit_that_does_not_fit_is_refused(net: int, credit: Credit, message: str) -> None:
    # law 5: never more than was billed
    schedule = with_credit(january(net), Credit(jan(5), net // 31, FEB))
    with pytest.raises(ScheduleRefused, match=re.escape(message)):
        with_credit(schedule, credit)


def test_a_credit_may_take_all_that_is_left_on_the_day_of_billing_and_no_earlier() -> None:
    assert with_credit(january(), Credit(JAN, 3100, FEB)).left == 0
    assert with_credit(january(-3100), Credit(JAN, -3100, FEB)).left == 0
    with pytest.raises(ScheduleRefused, match="billed or credited on 2026-01-01"):
        with_credit(january(), Credit(date(2025, 12, 31), 1, FEB))
    same_day = with_credit(january(), Credit(jan(5), 1, None))
    assert with_credit(same_day, Credit(jan(5), 1, None)).left == 3098


def test_a_credit_of_nothing_changes_nothing() -> None:
    # Also on a line that was free, and dated before it.
    free = january(0)
    assert with_credit(free, Credit(JAN, 0, FEB)) is free
    assert split_credit(free, Credit(JAN, 0, None), 0) == Split(0, 0)


@pytest.mark.parametrize("recognised", [-1, 3101])
def test_books_cannot_have_recognised_more_than_is_left(recognised: int) -> None:
    with pytest.raises(
        ScheduleRefused, match=f"{recognised} minor units of line k are said to be recognised"
    ):
        split_credit(january(), Credit(jan(11), 2100, FEB), recognised)
    for bound in (0, 3100):
        assert sum(split_credit(january(), Credit(jan(11), 2100, FEB), bound)) == 2100


def test_the_parts_of_a_credit_note() -> None:
    tail = credit_time(bill(), [], jan(11), FEB)
    usage = credit_rest(bill(500, "usage"), [])
    assert tail is not None
    assert usage is not None
    parts = credit_amounts([(tail, Split(1100, 1000)), (usage, Split(0, 500))])
    # 19 % of 2100 is 399, of 500 is 95
    assert parts == {"deferred": 1100, "revenue": 1500, "tax": 494}
    assert credit_amounts([]) == {"deferred": 0, "revenue": 0, "tax": 0}


def test_a_run_adds_what_is_not_recognised_yet_and_takes_nothing_back() -> None:
    assert to_recognise(january(), jan(11), 0) == 1000
    assert to_recognise(january(), jan(11), 400) == 600
    assert to_recognise(january(), jan(11), 1000) == 0
    assert to_recognise(january(), jan(11), 1100) == 0
    # A credit that is known counts, though it is dated after the run's last day.
    assert to_recognise(with_credit(january(), Credit(FEB, 2100, FEB)), FEB, 0) == 1000


def test_billed_from_the_day_after_on() -> None:
    assert (billed(january(), JAN), billed(january(), jan(2))) == (0, 3100)


def test_the_last_day_on_which_anything_moves() -> None:
    assert last_day(january()) == jan(31)
    assert last_day(january(billed_on=date(2026, 3, 4))) == date(2026, 3, 4)
    credit = Credit(date(2026, 3, 5), 100, FEB)
    assert last_day(with_credit(january(), credit)) == date(2026, 3, 5)
    assert last_day(withdraw_credit(with_credit(january(), credit), credit, date(2026, 3, 6))) == date(
        2026, 3, 6
    )
