"""A pause, a restart and a new start count from the beginning of their day, also where a change by the second came
earlier on it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from domain.policy import Behaviour
from tests.domain.amended import jan, reader

HALF_PAST_NINE = datetime(2026, 1, 16, 9, 30, tzinfo=ZoneInfo("America/New_York"))


def test_a_pause_gives_back_the_hours_of_its_day() -> None:
    # laws 1, I13: 15 of January's 31 days were served, whoever was served in the hours of the 16th.
    who = reader("basic")
    who.bill(jan(1))
    who.change(HALF_PAST_NINE, "plus")
    who.pause(jan(16))
    assert who.net == 1500
    assert who.uncovered() == []


def test_a_restart_gives_back_the_hours_of_its_day() -> None:
    # law 6: the new period has the whole of its first day.
    who = reader("basic")
    who.bill(jan(1))
    who.change(HALF_PAST_NINE, "plus")
    who.change(jan(16), "basic", Behaviour.RESTART)
    assert who.net == 1500
    assert who.bill(jan(16)) == [("recurring", "2026-01-16..2026-02-16", 3100)]


def test_a_resume_after_it_charges_from_the_beginning_of_the_day() -> None:
    # law I3: one charge for each span, named by the change that opened it.
    who = reader("basic")
    who.bill(jan(1))
    who.change(HALF_PAST_NINE, "basic")
    who.pause(jan(16))
    who.resume(jan(16))
    who.bill(jan(16))
    assert who.net == 3100
    assert who.uncovered() == []


def test_a_reactivation_on_the_day_charges_no_hour_under_a_name_that_charged_it() -> None:
    # law I3: what was served until the cancel keeps its charge, and the new start opens one of its own.
    who = reader("basic")
    who.bill(jan(1))
    who.change(HALF_PAST_NINE, "basic")
    who.cancel(HALF_PAST_NINE)
    served = who.net
    who.reactivate(jan(16))
    assert who.bill(jan(16)) == [("recurring", "2026-01-16..2026-02-16", 3100)]
    assert who.net == served + 3100
