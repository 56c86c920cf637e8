"""What all amendments share: who may be amended, unused time, a stretch that is closed, periods counted anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.amendments import (
    Account,
    History,
    Moved,
    Refused,
    boundary_from,
    charged_at,
    close_stretch,
    closing,
    in_whole_days,
    must_run,
    period_end,
    running_items,
    time_of_line,
    unused_credits,
    with_anchor,
)
from domain.credits import CreditLine
from domain.periods import Anchor, Interval, Unit
from domain.rating import Item, Usage, usage_windows
from domain.subscriptions import State
from tests.domain.amended import FEB, MAR, SHOP, Reader, credited, jan, reader, told
from tests.domain.billed import amounts, billed
from tests.domain.books import MONTH, YEAR, item, terms, uid

BERLIN = ZoneInfo("Europe/Berlin")


# --- who may be amended ---


@pytest.mark.parametrize(
    ("fields", "day", "message"),
    [
        ({"status": State.PAUSED}, jan(10), "is paused and cannot be moved; resume it first"),
        ({"status": State.CANCELED}, jan(10), "has ended and cannot be moved; reactivate it first"),
        ({"status": State.EXPIRED}, jan(10), "has ended and cannot be moved"),
        ({"ends_on": jan(10)}, jan(10), "has ended and cannot be moved"),
        ({"ends_on": jan(10)}, jan(11), "has ended and cannot be moved"),
        ({}, date(2025, 12, 31), "starts on 2026-01-01 and cannot be moved on 2025-12-31, before that"),
    ],
)
def test_only_what_runs_is_amended(fields: dict[str, Any], day: date, message: str) -> None:
    with pytest.raises(Refused, match=message):
        must_run(replace(terms(jan(1)), **fields), day, "moved")


@pytest.mark.parametrize(
    ("fields", "day"),
    [
        ({}, jan(1)),
        ({"ends_on": jan(10)}, jan(9)),
        ({"status": State.PAST_DUE}, jan(10)),
        ({"trial_ends_on": jan(15)}, jan(10)),
    ],
)
def test_what_runs_may_be_amended(fields: dict[str, Any], day: date) -> None:
    must_run(replace(terms(jan(1)), **fields), day, "moved")


def test_running_items_are_those_of_today_and_of_later() -> None:
    names = {
        "now": item(name="now"),
        "ends tomorrow": item(name="1", ends_on=jan(11)),
        "later": item(name="2", starts_on=FEB),
        "ended today": item(name="3", ends_on=jan(10)),
        "replaced at once": item(name="4", starts_on=FEB, ends_on=FEB),
    }
    found = running_items(terms(jan(1), *names.values()), jan(10))
    assert [name for name, each in names.items() if each in found] == ["now", "ends tomorrow", "later"]


def test_for_a_command_by_the_day_what_came_earlier_on_it_came_with_it() -> None:
    # Changed at 9:30 and, before that, on the 5th at 8:00.
    early, at = datetime(2026, 1, 5, 8, tzinfo=BERLIN), datetime(2026, 1, 10, 9, 30, tzinfo=BERLIN)
    first = item(name="1", ends_on=jan(5), ends_at=early)
    second = item(name="2", starts_on=jan(5), starts_at=early, ends_on=jan(10), ends_at=at)
    third = item(name="3", starts_on=jan(10), starts_at=at)
    running = terms(jan(1), first, second, third)
    whole, ended = in_whole_days(running, jan(10))
    assert whole.items == [first, replace(second, ends_at=None), replace(third, starts_at=None)]
    assert ended == [second]
    assert in_whole_days(running, jan(11)) == (running, [])
    alone, ended = in_whole_days(terms(jan(1), third), jan(10))
    assert (alone.items, ended) == ([replace(third, starts_at=None)], [])
    to_end, ended = in_whole_days(terms(jan(1), replace(second, starts_at=None)), jan(10))
    assert ([each.end for each in to_end.items], len(ended)) == ([jan(10)], 1)


# --- unused time ---


def test_unused_time_is_credited_line_by_line_from_what_was_billed() -> None:
    # law 5: 16 of the 31 days of each, tax with it; usage and one-time charges are no time.
    line = replace(billed(3100, "a", start=jan(1), end=FEB, City=31), item_id=uid("item"))
    history = History(
        [
            line,
            replace(line, key="b", net=31),
            replace(line, key="c", kind="usage"),
            replace(line, key="d", item_id="another"),
            replace(line, key="e", start=None, end=None),
            replace(line, key="f", start=date(2025, 12, 1), end=jan(1)),
        ]
    )
    found = unused_credits(history, [item()], jan(16))
    assert [(each.corrects, *amounts(each)) for each in found] == [("a", -1600, -16), ("b", -16, -16)]
    assert credited(found) == [("2026-01-16..2026-02-01", -1600), ("2026-01-16..2026-02-01", -16)]


def test_a_line_that_was_credited_by_amount_gives_its_days_back_for_nothing() -> None:
    line = replace(billed(3100, "a", start=jan(1), end=FEB), item_id=uid("item"))
    given = CreditLine("a", "adjustment", None, None, -3100)
    found = unused_credits(History([line], [given]), [item()], jan(16))
    assert credited(found) == [("2026-01-16..2026-02-01", 0)]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (jan(5), jan(5)),  # before the first pause
        (jan(10), jan(10)),  # on the day of it
        (jan(19), jan(19)),  # during it nothing was moved yet
        (jan(20), jan(10)),  # on resuming
        (jan(24), jan(14)),
        (jan(25), jan(15)),  # on the day of the second pause, counted in the time that was moved once
        (jan(27), jan(12)),  # on the day of the second resuming: ten and five days
        (jan(30), jan(15)),
    ],
)
def test_time_that_pauses_moved_is_counted_where_it_was_billed(at: date, expected: date) -> None:
    line = billed(3100, start=jan(1), end=FEB)
    moved = [Moved(jan(10), jan(20)), Moved(jan(22), jan(27))]
    assert time_of_line(line, moved, at) == expected


@pytest.mark.parametrize(
    ("start", "expected"), [(jan(9), jan(20)), (jan(10), jan(20)), (jan(11), jan(30)), (None, jan(30))]
)
def test_only_lines_that_were_billed_before_a_pause_are_moved_by_it(
    start: date | None, expected: date
) -> None:
    line = billed(3100, start=start, end=FEB)
    assert time_of_line(line, [Moved(jan(10), jan(20))], jan(30)) == expected


def test_an_instant_keeps_its_time_of_the_day() -> None:
    line = billed(3100, start=jan(1), end=FEB)
    at = datetime(2026, 1, 30, 9, 30, tzinfo=BERLIN)
    assert time_of_line(line, [Moved(jan(10), jan(20))], at) == datetime(2026, 1, 20, 9, 30, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("at", "keys"), [(jan(1), ["a"]), (jan(15), ["a"]), (jan(16), ["b"]), (FEB, []), (date(2025, 12, 31), [])]
)
def test_which_lines_charged_a_day(at: date, keys: list[str]) -> None:
    first = replace(billed(1500, "a", start=jan(1), end=jan(16)), item_id=uid("item"))
    history = History(
        [first, replace(first, key="b", start=jan(16), end=FEB), replace(first, key="c", start=None)]
    )
    assert [line.key for line in charged_at(history, item(), at)] == keys
    assert charged_at(history, item(name="another"), at) == []


def test_which_lines_charged_a_day_that_was_moved() -> None:
    line = replace(billed(3100, "a", start=jan(1), end=FEB), item_id=uid("item"))
    history = History([line], moved=[Moved(jan(10), jan(20))])
    assert charged_at(history, item(), date(2026, 2, 10)) == [line]
    assert charged_at(history, item(), date(2026, 2, 11)) == []


# --- a stretch that is closed ---


def close(who: Reader, day: date) -> list[tuple[str, str, int]]:
    return told(close_stretch(who.account(day), who.terms, day))


def test_nothing_is_closed_of_what_is_paid_in_advance() -> None:
    who = reader("basic")
    who.bill(jan(1))
    assert close(who, jan(16)) == []
    assert close(who, FEB) == []


def test_arrears_are_closed_by_the_day() -> None:
    # law 4: the day itself is not charged: 15 of 31.
    who = reader("arrears", next_bill_on=FEB)
    assert close(who, jan(16)) == [("recurring", "2026-01-01..2026-01-16", 1500)]
    assert close(who, jan(1)) == []


def test_usage_is_closed() -> None:
    who = reader("metered", used=20)
    who.bill(jan(1))
    assert close(who, jan(16)) == [("usage", "2026-01-01..2026-01-16", 200)]


def test_the_usage_to_answer_for_is_that_of_the_terms_as_they_close() -> None:
    who = reader("usage", next_bill_on=FEB)
    assert usage_windows(SHOP, "USD", who.terms, jan(16)) == []
    ending = closing(who.terms, jan(16))
    assert (ending.ends_on, ending.next_bill_on) == (jan(16), jan(1))
    (window,) = usage_windows(SHOP, "USD", ending, jan(16))
    answer = {(window.item_id, window.meter, window.until): Usage(Decimal(5), (Decimal(5),))}
    assert window.until == jan(16)
    assert told(close_stretch(Account(SHOP, "USD", answer), who.terms, jan(16))) == [
        ("usage", "2026-01-01..2026-01-16", 50)
    ]


def test_what_was_not_billed_in_time_is_closed() -> None:
    # Late billing: January was never billed; February neither, and ends on the 10th: 9 of 28 days.
    who = reader("basic")
    assert close(who, date(2026, 2, 10)) == [
        ("recurring", "2026-01-01..2026-02-01", 3100),
        ("recurring", "2026-02-01..2026-02-10", 996),
    ]


def test_a_stretch_is_closed_no_later_than_the_subscription_ends() -> None:
    who = reader("arrears", ends_on=jan(11), next_bill_on=jan(11))
    assert close(who, jan(16)) == [("recurring", "2026-01-01..2026-01-11", 1000)]
    assert closing(who.terms, jan(16)).ends_on == jan(11)
    assert closing(who.terms, jan(5)).ends_on == jan(5)
    assert closing(who.terms, jan(5)).next_bill_on == jan(1)


def test_what_is_not_billed_any_more_has_nothing_to_close() -> None:
    who = reader("arrears", next_bill_on=None)
    assert closing(who.terms, jan(16)).next_bill_on is None
    assert close(who, jan(16)) == []


# --- periods counted anew ---


@pytest.mark.parametrize(
    ("day", "ends_on", "through", "expected"),
    [
        (jan(1), None, jan(1), FEB),
        (jan(31), None, jan(1), FEB),
        (FEB, None, jan(1), MAR),
        (jan(10), None, MAR, MAR),  # more is charged already
        (jan(10), jan(20), jan(1), jan(20)),
        (jan(10), FEB, jan(1), FEB),
        (jan(10), MAR, jan(1), FEB),
    ],
)
def test_the_end_of_the_period(day: date, ends_on: date | None, through: date, expected: date) -> None:
    assert period_end(terms(jan(1), ends_on=ends_on, charged_through=through), day) == expected


def test_periods_that_were_had_count_on() -> None:
    before = terms(jan(1), item(phase_shift=1))
    after = with_anchor(before, Anchor.at(date(2026, 3, 15)), MONTH, MAR)
    assert (after.anchor, after.interval) == (Anchor(date(2026, 3, 15), 15), MONTH)
    assert [each.phase_shift for each in after.items] == [3]
    assert [each.phase_shift for each in before.items] == [1]
    early = with_anchor(terms(jan(1), anchor=Anchor.at(jan(15))), Anchor.at(jan(20)), YEAR, jan(1))
    assert [each.phase_shift for each in early.items] == [0]


def test_changes_that_wait_wait_for_the_end_of_a_new_period() -> None:
    def span(each: Item) -> tuple[date, date | None]:
        return each.starts_on, each.ends_on

    items = [
        item(name="old", starts_on=jan(1), ends_on=MAR),
        item(name="new", starts_on=MAR, replaces=uid("old")),
        item(name="served", starts_on=jan(10), replaces=uid("gone")),
        item(name="today", starts_on=FEB, replaces=uid("served")),
        item(name="not a change", starts_on=date(2026, 3, 2)),
    ]
    after = with_anchor(terms(jan(1), *items), Anchor.at(date(2026, 2, 15)), MONTH, FEB)
    aligned = date(2026, 3, 15)
    assert [span(each) for each in after.items] == [
        (jan(1), aligned),
        (aligned, None),
        (jan(10), None),
        (FEB, None),
        (date(2026, 3, 2), None),
    ]
    same = with_anchor(terms(jan(1), *items), Anchor.at(MAR), MONTH, FEB)
    assert [span(each) for each in same.items] == [span(each) for each in items]


@pytest.mark.parametrize(
    ("day", "expected"),
    [(jan(15), jan(15)), (jan(14), jan(15)), (jan(16), date(2026, 2, 15)), (jan(1), jan(15))],
)
def test_the_first_boundary_from_a_day_on(day: date, expected: date) -> None:
    assert boundary_from(Anchor.at(jan(15)), Interval(Unit.MONTH), day) == expected
