"""What comes back of time that was moved, divided, or is counted by the second, when a change is undone (law I9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from domain.credits import CreditLine, TaxAmount
from tests.domain.amended import (
    FEB,
    credited,
    jan,
    reader,
    there_and_back,
    told,
)
from tests.domain.books import percent

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = st.integers(1, 31).map(jan)


# --- time that was moved, and time that was divided ---


def test_after_a_pause_that_kept_time() -> None:
    # Paid for 1 January to 1 February, paused for ten days: the last 12 of 31 days are those from the 31st on.
    who = reader("odd")
    who.bill(jan(1))
    who.pause(jan(10), keep=True)
    who.resume(jan(20))
    made = who.change(jan(30), "plus")
    assert credited(made.credits) == [("2026-01-20..2026-02-01", -387)]  # 1001 - 613.5
    assert told(made.charges) == [("recurring", "2026-01-30..2026-02-11", 2400)]
    made = who.change(jan(30), "odd")
    assert told(made.charges) == [("recurring", "2026-01-30..2026-02-11", 387)]
    assert who.net == 1001
    # And a day later, from the restored charge: 1 of 12 days of 387 is kept, 32.25.
    assert credited(who.change(jan(31), "plus").credits) == [("2026-01-31..2026-02-11", -355)]


@pytest.mark.parametrize("later", [True, False])
def test_a_charge_in_two_parts_comes_back_in_two_parts(later: bool) -> None:
    # With the billing day moved to the 15th, the time that is charged has a boundary on the 15th.
    who = reader("basic", start=date(2026, 1, 10), later=later)
    who.bill(jan(10))
    who.bill_cycle_day(jan(11), 15)
    made = who.change(jan(12), "odder")
    assert told(made.charges) == [
        ("recurring", "2026-01-12..2026-01-15", 174),
        ("recurring", "2026-01-15..2026-02-10", 1509),
    ]
    there_and_back(who, jan(13), "plus", back="odder")
    before = who.net
    there_and_back(who, jan(13), "plus", "odder", "basic", back="odder")
    assert who.net == before == 200 + 174 + 1509
    assert who.uncovered() == []


def test_parts_that_wait_come_back_with_their_discounts() -> None:
    who = reader("basic", start=date(2026, 1, 10), later=True, discounts=[percent("50")])
    who.bill(jan(10))
    who.bill_cycle_day(jan(11), 15)
    who.change(jan(12), "odder")
    there_and_back(who, jan(13), "plus", back="odder")
    # 17.99 is 58.03 a day, half of it off: one day is kept, two come back in one sum, 26 are rated again.
    assert [[line.amount for line in each.lines] for each in who.pending] == [
        [58, -29],
        [58],
        [1509, -755],
    ]


def test_an_amount_that_was_given_back_for_no_time_is_not_charged_again() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.credits.append(CreditLine(who.billed[0].key, "unused_credit", None, None, -100))
    there_and_back(who, jan(16), "plus", back="basic")
    assert who.net == 3000


def test_of_two_items_each_gets_back_its_own() -> None:
    # Both are `odd`; the add-on began on the 11th, and was charged 678 for its 21 days.
    who = reader("odd")
    who.bill(jan(1))
    second = replace(who.items[0], id="second", starts_on=jan(11), replaces=None)
    who.items.append(second)
    who.bill(jan(1))
    first = who.items[0]
    who.change(jan(16), "plus", old=first)
    plus_one = who.last
    who.change(jan(16), "plus", old=second)
    made = who.change(jan(16), "odd", old=plus_one)
    assert told(made.charges) == [("recurring", "2026-01-16..2026-02-01", 517)]


# --- by the second ---


def test_there_and_back_at_one_instant_nets_zero() -> None:
    at = datetime(2026, 1, 16, 9, 30, tzinfo=BERLIN)
    who = reader("odd")
    who.bill(jan(1))
    there_and_back(who, at, "plus", "odder", back="odd")
    assert who.net == 1001


def test_at_one_instant_what_was_not_billed_yet_goes_on() -> None:
    who = reader("odd", start=date(2026, 2, 1))
    there_and_back(who, datetime(2026, 2, 15, tzinfo=BERLIN), "plus", back="odd")
    assert who.items[0].end is None
    assert [line[2] for line in who.bill(FEB)] == [1001]


def test_half_an_hour_of_another_plan_is_charged() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(datetime(2026, 1, 16, 9, 30, tzinfo=BERLIN), "plus")
    who.change(datetime(2026, 1, 16, 10, 0, tzinfo=BERLIN), "basic")
    assert who.net == 3100 + 2  # a dollar a day more, for half an hour


def test_the_hour_that_comes_twice_is_two_moments() -> None:
    # On 25 October 2026 the clock of Berlin shows 2:30 twice, an hour apart.
    october = date(2026, 10, 1)
    who = reader("basic", start=october)
    who.bill(october)
    at = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    who.change(at, "plus")
    made = who.change(at.replace(fold=1), "basic")
    assert not [line for line in made.charges if line.charge.endswith("|restored")]
    assert who.net == 3100 + 4  # an hour at a dollar a day of 24, or 25, hours


def test_taxes_of_a_restored_charge_that_waits_are_divided_with_it() -> None:
    # Restored on the 11th (678 and its taxes 33 and 27), left again on the 21st, back on the 21st.
    who = reader("odd", region="NY", later=True)
    who.bill(jan(1))
    there_and_back(who, jan(11), "plus", back="odd")
    (waits,) = who.pending
    assert [line.amount for line in waits.lines] == [678, 33, 27]
    there_and_back(who, jan(21), "plus", back="odd")
    kept, back = who.pending
    assert [line.amount for line in kept.lines] == [323, 16, 13]  # 10 of 21 days
    assert [line.amount for line in back.lines] == [355, 17, 14]
    billed = who.bill(FEB)
    assert sum(amount for _, _, amount in billed[:6]) == 678 + 33 + 27
    assert who.billed[1].taxes == (
        TaxAmount("City", Decimal("0.04875"), 16),
        TaxAmount("State", Decimal("0.04"), 13),
    )
