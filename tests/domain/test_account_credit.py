"""Account credit: oldest first, gone on its day, back on a void, never below zero."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account_credit import (
    AccountCredit,
    AccountCreditError,
    Grant,
    Movement,
    MovementKind,
    Source,
    Statement,
    add_grant,
    balance_on,
    expire,
    return_uses,
    statement,
    use,
)

USE, RETURN, EXPIRY = MovementKind


def day(number: int) -> date:
    """Day `number` of 2026, from 0."""
    return date(2026, 1, 1) + timedelta(days=number)


def grant(name: str, on: int, amount: int, until: int | None = None) -> Grant:
    return Grant(name, day(on), amount, Source.GOODWILL, None if until is None else day(until))


def held(*grants: Grant) -> AccountCredit:
    credit = AccountCredit("USD")
    for each in grants:
        credit = add_grant(credit, each)
    return credit


def taken(credit: AccountCredit) -> list[tuple[str, int]]:
    return [(each.grant, each.amount) for each in credit.movements if each.kind is USE]


@pytest.mark.parametrize(("on", "balance"), [(9, 0), (10, 500), (19, 500), (20, 0), (21, 0)])
def test_a_grant_counts_from_its_day_until_it_expires(on: int, balance: int) -> None:
    # It is gone on the day it expires on: period ends are exclusive (law 1).
    assert balance_on(held(grant("g", 10, 500, 20)), day(on)) == balance


def test_a_grant_without_an_expiry_stays() -> None:
    assert balance_on(held(grant("g", 10, 500)), date.max) == 500


@pytest.mark.parametrize(
    ("amount", "until", "says"),
    [
        (0, None, "is of 0 minor units"),
        (-1, None, "is of -1 minor units"),
        (1, 10, "expires on 2026-01-11"),
        (1, 9, "ex"),
    ],
)
def test_grants_that_cannot_be(amount: int, until: int | None, says: str) -> None:
    with pytest.raises(AccountCreditError, match=says):
        grant("g", 10, amount, until)


def test_a_grant_of_one_day_can_be() -> None:
    assert balance_on(held(grant("g", 10, 1, 11)), day(10)) == 1


def test_the_same_grant_again_changes_nothing_and_another_one_is_refused() -> None:
    credit = held(grant("g", 10, 500), grant("h", 10, 500))
    assert add_grant(credit, grant("g", 10, 500)) == credit
    with pytest.raises(AccountCreditError, match="grant g exists with other terms"):
        add_grant(credit, grant("g", 10, 501))


@pytest.mark.parametrize(
    ("amount", "covered", "taken_of"),
    [
        (0, 0, []),
        (99, 99, [("old", 99)]),
        (100, 100, [("old", 100)]),
        (101, 101, [("old", 100), ("soon", 1)]),
        (350, 350, [("old", 100), ("soon", 100), ("a", 100), ("b", 50)]),
        (400, 400, [("old", 100), ("soon", 100), ("a", 100), ("b", 100)]),
        (401, 400, [("old", 100), ("soon", 100), ("a", 100), ("b", 100)]),
    ],
)
def test_oldest_first_then_what_expires_sooner_then_by_id(
    amount: int, covered: int, taken_of: list[tuple[str, int]]
) -> None:
    # The spec says oldest first: "old" never expires and goes before "soon".
    credit = held(grant("b", 5, 100), grant("a", 5, 100), grant("soon", 5, 100, 30), grant("old", 4, 100))
    after, used = use(credit, "invoice", amount, day(10))
    assert (used, taken(after)) == (covered, taken_of)
    assert balance_on(after, day(10)) == 400 - covered
    assert after.grants == credit.grants
    assert credit.movements == ()


def test_a_use_is_written_down() -> None:
    after, _ = use(held(grant("g", 1, 5)), "invoice", 3, day(2))
    assert after.movements == (Movement(USE, "g", day(2), 3, "invoice"),)


def test_what_has_not_begun_or_has_expired_is_not_used() -> None:
    credit = held(grant("gone", 1, 100, 10), grant("here", 2, 100), grant("later", 11, 100))
    after, used = use(credit, "invoice", 1000, day(10))
    assert (used, taken(after)) == (100, [("here", 100)])


@pytest.mark.parametrize("movement", ["use", "return"])
def test_movements_are_dated_in_order(movement: str) -> None:
    # A use on an earlier day could take what a later one took already.
    credit, _ = use(held(grant("g", 1, 100)), "invoice", 10, day(10))
    step = {
        "use": lambda on: use(credit, "next", 1, on),
        "return": lambda on: return_uses(credit, "invoice", on),
    }
    with pytest.raises(
        AccountCreditError, match="account credit moved on 2026-01-11: date this movement then"
    ):
        step[movement](day(9))
    assert step[movement](day(10))[1] > 0


def test_it_is_the_latest_movement_that_counts() -> None:
    credit, _ = use(held(grant("g", 1, 100)), "first", 10, day(5))
    credit, _ = use(credit, "second", 10, day(10))
    with pytest.raises(AccountCreditError, match="account credit moved on 2026-01-11"):
        use(credit, "third", 10, day(7))


def test_a_use_before_a_recorded_expiry_is_refused() -> None:
    # The expiry is in the books: the amount would be spent and lost as well.
    credit, _ = expire(held(grant("g", 1, 100, 10)), day(20))
    with pytest.raises(AccountCreditError):
        use(credit, "invoice", 1, day(9))


def test_an_amount_below_zero_is_not_used() -> None:
    with pytest.raises(AccountCreditError, match="-1 minor units of account credit cannot be used"):
        use(held(grant("g", 1, 100)), "invoice", -1, day(2))


def test_a_void_gives_back_to_the_grants_it_came_from_once() -> None:
    credit = held(grant("a", 1, 100), grant("b", 2, 100))
    credit, _ = use(credit, "void me", 70, day(10))
    credit, _ = use(credit, "another", 60, day(11))
    credit, _ = use(credit, "void me", 20, day(12))
    credit, returned = return_uses(credit, "void me", day(13))
    assert returned == 90
    assert credit.movements[-2:] == (
        Movement(RETURN, "a", day(13), 70, "void me"),
        Movement(RETURN, "b", day(13), 20, "void me"),
    )
    assert balance_on(credit, day(13)) == 140
    assert balance_on(credit, day(12)) == 50  # as it was
    assert return_uses(credit, "void me", day(14)) == (credit, 0)
    # Used and returned again.
    credit, _ = use(credit, "void me", 5, day(14))
    assert return_uses(credit, "void me", day(14))[1] == 5


def test_what_nobody_used_is_not_returned() -> None:
    credit = held(grant("a", 1, 100))
    assert return_uses(credit, "invoice", day(2)) == (credit, 0)


def test_expiry_takes_what_is_left_on_the_day_and_is_recorded_once() -> None:
    credit, _ = use(held(grant("g", 1, 100, 10), grant("h", 1, 100)), "invoice", 30, day(9))
    assert expire(credit, day(9)) == (credit, ())
    on_the_day, lost = expire(credit, day(10))
    assert lost == (Movement(EXPIRY, "g", day(10), 70, None),)
    assert on_the_day.movements == (*credit.movements, *lost)
    # A sweep that is late records the same.
    assert expire(credit, day(40)) == (on_the_day, lost)
    assert expire(on_the_day, day(40)) == (on_the_day, ())
    # The balance did not wait for the record.
    assert balance_on(credit, day(10)) == balance_on(on_the_day, day(10)) == 100


def test_a_grant_that_was_used_up_does_not_expire() -> None:
    credit, _ = use(held(grant("g", 1, 100, 10)), "invoice", 100, day(9))
    assert expire(credit, day(10)) == (credit, ())


def test_what_comes_back_to_an_expired_grant_expires_with_its_return() -> None:
    credit, _ = use(held(grant("g", 1, 100, 10)), "invoice", 30, day(9))
    credit, _ = expire(credit, day(10))
    credit, returned = return_uses(credit, "invoice", day(15))
    assert returned == 30
    assert balance_on(credit, day(15)) == 0
    # Not before it came back.
    assert expire(credit, day(14)) == (credit, ())
    credit, lost = expire(credit, day(20))
    assert lost == (Movement(EXPIRY, "g", day(15), 30, None),)
    assert statement(credit, day(20)) == Statement(100, 30, 30, 100)
    assert expire(credit, day(30)) == (credit, ())


def test_a_statement_tells_what_came_and_went() -> None:
    credit = held(grant("a", 1, 100, 10), grant("b", 2, 100), grant("c", 20, 100))
    credit, _ = use(credit, "one", 120, day(5))
    credit, _ = return_uses(credit, "one", day(6))
    credit, _ = use(credit, "two", 30, day(7))
    assert statement(credit, day(0)) == (0, 0, 0, 0)
    assert statement(credit, day(5)) == (200, 120, 0, 0)
    assert statement(credit, day(6)) == (200, 120, 120, 0)
    assert statement(credit, day(9)) == (200, 150, 120, 0)
    assert statement(credit, day(10)) == (200, 150, 120, 70)
    assert statement(credit, day(10)).balance == 100
    assert statement(credit, day(20)).balance == 200


grants = st.tuples(st.integers(0, 12), st.integers(1, 40), st.none() | st.integers(1, 8))
moves = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["use", "return", "expire"]),
    st.integers(0, 60),
    st.sampled_from("xyz"),
)


@given(st.lists(grants, max_size=4), st.lists(moves, max_size=12))
def test_the_balance_is_what_a_plain_purse_holds_and_never_below_zero(
    given_: list[tuple[int, int, int | None]], steps: list[tuple[int, str, int, str]]
) -> None:
    """Against a model without a log: one number per grant, emptied on its day."""
    credit = held(
        *(
            grant(f"g{n}", on, amount, None if life is None else on + life)
            for n, (on, amount, life) in enumerate(given_)
        )
    )
    left = {each.id: each.amount for each in credit.grants}
    lent: dict[tuple[str, str], int] = {}
    now, recorded = 0, 0
    for wait, kind, amount, target in steps:
        now += wait
        alive = {
            each.id
            for each in credit.grants
            if each.granted_on <= day(now) and (each.expires_on is None or day(now) < each.expires_on)
        }
        before = sum(left[name] for name in alive)
        if kind == "use":
            credit, used = use(credit, target, amount, day(now))
            assert used == min(amount, before)
            for each in credit.movements[recorded:]:
                left[each.grant] -= each.amount
                lent[each.grant, target] = lent.get((each.grant, target), 0) + each.amount
                assert each.grant in alive
        elif kind == "return":
            credit, returned = return_uses(credit, target, day(now))
            assert returned == sum(part for (_, what), part in lent.items() if what == target)
            for name, what in list(lent):
                if what == target:
                    left[name] += lent.pop((name, what))
        else:
            credit, lost = expire(credit, day(now))
            assert all(each.amount > 0 and each.grant not in alive for each in lost)
        recorded = len(credit.movements)
        stated = statement(credit, day(now))
        assert stated.balance == balance_on(credit, day(now)) == sum(left[name] for name in alive) >= 0
        assert min(left.values(), default=0) >= 0
        assert stated.balance == stated.granted - stated.used + stated.returned - stated.expired
    # Once everything is recorded, the expiries sum to what the statement says.
    credit, _ = expire(credit, day(now))
    gone = sum(each.amount for each in credit.movements if each.kind is EXPIRY)
    assert gone == statement(credit, day(now)).expired
