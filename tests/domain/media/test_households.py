"""Household seats: never more readers than seats, and who gives way is no matter of chance."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.media.households import (
    Household,
    HouseholdPolicy,
    HouseholdRefused,
    Invitation,
    Member,
    Shrinking,
    accept,
    entitled_on,
    invite,
    open_household,
    pass_on,
    remove,
    seats_free,
    set_seats,
    who_gives_way,
    withdraw,
)

AT_ONCE = HouseholdPolicy()
COOLING = HouseholdPolicy(cooling_off_days=30, invitation_days=7)


def jan(day: int) -> date:
    return date(2026, 1, 1) + timedelta(days=day - 1)


def family(seats: int, *readers: str, policy: HouseholdPolicy = AT_ONCE) -> Household:
    """The owner from 1 January, then one reader more a day."""
    household = open_household("owner", seats, jan(1))
    for day, reader in enumerate(readers, start=2):
        household = accept(invite(policy, household, reader, jan(day)), reader, jan(day))
    return household


def test_a_household_begins_with_its_owner_in_the_first_seat() -> None:
    household = open_household("owner", 3, jan(1))
    assert household == Household(3, "owner", jan(1), (Member("owner", jan(1)),))
    assert seats_free(AT_ONCE, household, jan(1)) == 2
    assert entitled_on(household, jan(1)) == ("owner",)
    assert entitled_on(household, date(2025, 12, 31)) == ()


def test_no_household_without_a_seat() -> None:
    assert open_household("owner", 1, jan(1)).seats == 1
    with pytest.raises(HouseholdRefused, match="one seat at least"):
        open_household("owner", 0, jan(1))
    with pytest.raises(HouseholdRefused, match="one seat at least"):
        set_seats(family(2), 0, jan(5))
    with pytest.raises(HouseholdRefused, match="one seat at least"):
        who_gives_way(family(2), 0, jan(5))


def test_who_is_invited_reads_from_the_day_of_accepting() -> None:
    invited = invite(COOLING, open_household("owner", 2, jan(1)), "ann", jan(2))
    assert invited.invitations == (Invitation("ann", jan(2), jan(9)),)
    assert entitled_on(invited, jan(2)) == ("owner",)
    household = accept(invited, "ann", jan(8))
    assert household.invitations == ()
    assert entitled_on(household, jan(7)) == ("owner",)
    assert entitled_on(household, jan(8)) == ("owner", "ann")
    assert accept(household, "ann", jan(9)).members == household.members


def test_an_invitation_lapses_and_can_be_made_again() -> None:
    invited = invite(COOLING, open_household("owner", 2, jan(1)), "ann", jan(2))
    with pytest.raises(HouseholdRefused, match="ann has no open invitation; the owner has to invite"):
        accept(invited, "ann", jan(9))
    renewed = invite(COOLING, invited, "ann", jan(8))
    assert renewed.invitations == (Invitation("ann", jan(8), jan(15)),)
    assert accept(renewed, "ann", jan(14)).members[-1] == Member("ann", jan(14))


def test_an_open_invitation_holds_a_seat_until_it_lapses() -> None:
    invited = invite(COOLING, open_household("owner", 2, jan(1)), "ann", jan(2))
    assert seats_free(COOLING, invited, jan(8)) == 0
    assert seats_free(COOLING, invited, jan(9)) == 1
    with pytest.raises(HouseholdRefused, match="none of the 2 seats is free on 2026-01-08"):
        invite(COOLING, invited, "bob", jan(8))
    assert invite(COOLING, invited, "bob", jan(9)).invitations == (Invitation("bob", jan(9), jan(16)),)


def test_an_invitation_taken_back_frees_its_seat_at_once() -> None:
    invited = invite(COOLING, open_household("owner", 2, jan(1)), "ann", jan(2))
    free = withdraw(invited, "ann", jan(2))
    assert seats_free(COOLING, free, jan(2)) == 1
    for gone, day in ((free, 2), (invited, 9)):
        with pytest.raises(HouseholdRefused, match="ann has no open invitation"):
            withdraw(gone, "ann", jan(day))


def test_nobody_has_two_seats() -> None:
    with pytest.raises(HouseholdRefused, match="ann has a seat already"):
        invite(AT_ONCE, family(4, "ann"), "ann", jan(5))


def test_the_day_of_leaving_belongs_to_the_next_reader() -> None:
    # as law 4
    household = remove(family(2, "ann"), "ann", jan(10))
    household = accept(invite(AT_ONCE, household, "bob", jan(10)), "bob", jan(10))
    assert entitled_on(household, jan(9)) == ("owner", "ann")
    assert entitled_on(household, jan(10)) == ("owner", "bob")


def test_a_freed_seat_cools_off_before_another_reader_has_it() -> None:
    household = remove(family(2, "ann", policy=COOLING), "ann", jan(10))
    assert seats_free(COOLING, household, jan(39)) == 0
    assert seats_free(COOLING, household, jan(40)) == 1
    with pytest.raises(HouseholdRefused, match="cooled off \\(30 days\\)"):
        invite(COOLING, household, "bob", jan(39))
    assert invite(COOLING, household, "bob", jan(40)).invitations
    # With no cooling-off it is free the same day.
    assert seats_free(AT_ONCE, household, jan(10)) == 1


def test_the_last_reader_may_come_back_into_a_seat_that_cools_off() -> None:
    household = remove(family(2, "ann", policy=COOLING), "ann", jan(10))
    assert seats_free(COOLING, household, jan(11), "ann") == 1
    back = accept(invite(COOLING, household, "ann", jan(11)), "ann", jan(11))
    assert entitled_on(back, jan(10)) == ("owner",)
    assert entitled_on(back, jan(11)) == ("owner", "ann")
    assert seats_free(COOLING, back, jan(11)) == 0


def test_who_comes_back_sits_in_one_seat_and_leaves_the_other_free() -> None:
    household = remove(family(3, "ann", policy=COOLING), "ann", jan(10))
    assert seats_free(COOLING, household, jan(11)) == 1
    invited = invite(COOLING, household, "ann", jan(11))
    assert seats_free(COOLING, invited, jan(11)) == 1
    assert seats_free(COOLING, accept(invited, "ann", jan(11)), jan(11)) == 1


def test_the_owner_stays_until_somebody_else_owns_the_household() -> None:
    household = family(3, "ann")
    with pytest.raises(HouseholdRefused, match="make somebody else the owner first"):
        remove(household, "owner", jan(5))
    passed = pass_on(household, "ann", jan(5))
    assert (passed.owner, entitled_on(passed, jan(5))) == ("ann", ("owner", "ann"))
    assert entitled_on(remove(passed, "owner", jan(6)), jan(6)) == ("ann",)


def test_who_has_no_seat_can_neither_leave_nor_own() -> None:
    gone = remove(family(3, "ann"), "ann", jan(5))
    for reader in ("ann", "bob"):
        with pytest.raises(HouseholdRefused, match=f"{reader} has no seat"):
            remove(gone, reader, jan(6))
        with pytest.raises(HouseholdRefused, match=f"{reader} has no seat"):
            pass_on(gone, reader, jan(6))


def test_who_joined_last_gives_way_first() -> None:
    household = family(4, "ann", "bob", "cid")
    assert who_gives_way(household, 2, jan(10)) == Shrinking((), ("cid", "bob"))
    smaller = set_seats(household, 2, jan(10))
    assert smaller.seats == 2
    assert entitled_on(smaller, jan(9)) == ("owner", "ann", "bob", "cid")
    assert entitled_on(smaller, jan(10)) == ("owner", "ann")


def test_of_two_who_joined_on_one_day_the_later_gives_way() -> None:
    household = open_household("owner", 3, jan(1))
    for reader in ("zoe", "ann"):
        household = accept(invite(AT_ONCE, household, reader, jan(1)), reader, jan(1))
    assert who_gives_way(household, 2, jan(1)).readers == ("ann",)


def test_who_came_back_joined_last() -> None:
    household = remove(family(4, "ann", "bob"), "ann", jan(5))
    household = accept(invite(AT_ONCE, household, "ann", jan(6)), "ann", jan(6))
    assert who_gives_way(household, 2, jan(7)).readers == ("ann",)


def test_the_owner_never_gives_way() -> None:
    household = pass_on(family(3, "ann", "bob"), "bob", jan(5))
    assert who_gives_way(household, 1, jan(6)).readers == ("ann", "owner")
    assert entitled_on(set_seats(household, 1, jan(6)), jan(6)) == ("bob",)


def test_invitations_give_way_before_readers_and_the_last_one_first() -> None:
    household = invite(COOLING, invite(COOLING, family(5, "ann"), "bob", jan(5)), "cid", jan(6))
    assert who_gives_way(household, 4, jan(7)) == Shrinking((), ())
    assert who_gives_way(household, 3, jan(7)) == Shrinking(("cid",), ())
    assert who_gives_way(household, 1, jan(7)) == Shrinking(("cid", "bob"), ("ann",))
    assert set_seats(household, 3, jan(7)).invitations == (Invitation("bob", jan(5), jan(12)),)
    # One that has lapsed takes nobody's place.
    assert who_gives_way(household, 3, jan(12)) == Shrinking((), ())


def test_empty_seats_go_first() -> None:
    assert who_gives_way(family(5, "ann"), 2, jan(7)) == Shrinking((), ())
    assert set_seats(family(5, "ann"), 2, jan(7)).seats == 2


def test_a_downgrade_and_back_is_no_way_round_the_cooling_off() -> None:
    household = set_seats(family(2, "ann", policy=COOLING), 1, jan(10))
    again = set_seats(household, 2, jan(11))
    assert seats_free(COOLING, again, jan(39)) == 0
    assert seats_free(COOLING, again, jan(11), "ann") == 1
    assert seats_free(COOLING, again, jan(40)) == 1
    assert seats_free(COOLING, set_seats(household, 3, jan(11)), jan(11)) == 1


def test_changes_come_in_the_order_of_time() -> None:
    household = remove(family(2, "ann"), "ann", jan(10))
    with pytest.raises(HouseholdRefused, match="was changed on 2026-01-10, after 2026-01-09"):
        set_seats(household, 3, jan(9))
    assert set_seats(household, 3, jan(10)).seats == 3


def test_the_policy_refuses_keys_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        HouseholdPolicy.model_validate({"seats": 5})


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["invite", "invite", "accept", "accept", "remove", "withdraw", "pass_on", "seats"]),
        st.sampled_from(["owner", "ann", "bob", "cid", "dan", "eve"]),
        st.integers(1, 5),
        st.integers(0, 12),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 20), st.integers(1, 5))
def test_never_more_readers_than_seats_on_any_day(
    steps: list[tuple[str, str, int, int]], cooling: int, seats: int
) -> None:
    policy = HouseholdPolicy(cooling_off_days=cooling, invitation_days=10)
    household = open_household("owner", seats, jan(1))
    day, seats_on = jan(1), {jan(1): seats}
    for do, reader, wanted, later in steps:
        for _ in range(later):
            day += timedelta(days=1)
            seats_on[day] = household.seats
        try:
            if do == "invite":
                household = invite(policy, household, reader, day)
            elif do == "seats":
                household = set_seats(household, wanted, day)
            else:
                steps_of = {"accept": accept, "remove": remove, "withdraw": withdraw, "pass_on": pass_on}
                household = steps_of[do](household, reader, day)
        except HouseholdRefused:
            continue
        seats_on[day] = household.seats
        assert household.owner in entitled_on(household, day)
        assert len(entitled_on(household, day)) + len(household.invitations) <= household.seats
    for each, most in seats_on.items():
        readers = entitled_on(household, each)
        assert len(readers) <= most
        assert len(set(readers)) == len(readers)
    # A seat is another reader's only after the cooling-off: so many different readers within it, and no more.
    for each, most in seats_on.items():
        if most == max(seats_on.values()) == min(seats_on.values()):
            window = [each + timedelta(days=ahead) for ahead in range(cooling + 1)]
            assert len({reader for one in window for reader in entitled_on(household, one)}) <= most
