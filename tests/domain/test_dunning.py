"""The state of an account by its unpaid invoices, what it blocks, and when it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dunning import UnpaidInvoice, blocked, dunning_state, next_state_change
from domain.dunning_default import DEFAULT_POLICY
from domain.dunning_policy import Blocked, DunningPolicy, UnknownState
from tests.domain.dunned import DUE, INVOICES, on, owed, policies, policy, state

OVERDUE = state("overdue", age_days=1)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (-1, "current"), (0, "current"), (1, "overdue"), (6, "overdue"), (7, "restricted"), (13, "restricted"),
        (14, "suspended"), (29, "suspended"), (30, "canceled"), (59, "canceled"), (60, "written_off"),
        (999, "written_off"),
    ],
)  # fmt: skip
def test_the_default_policy_goes_by_age(age: int, expected: str) -> None:
    assert dunning_state(DEFAULT_POLICY, [owed()], on(age)) == expected


def test_the_oldest_unpaid_invoice_gives_the_age() -> None:
    unpaid = [owed(due=on(10)), owed(), owed(due=on(5))]
    assert dunning_state(DEFAULT_POLICY, unpaid, on(14)) == "suspended"
    assert dunning_state(DEFAULT_POLICY, unpaid[:1] + unpaid[2:], on(14)) == "restricted"


def test_paying_or_crediting_clears_at_once() -> None:
    assert dunning_state(DEFAULT_POLICY, [owed(1)], on(45)) == "canceled"
    assert dunning_state(DEFAULT_POLICY, [owed(0)], on(45)) == "current"
    assert dunning_state(DEFAULT_POLICY, [owed(-5)], on(45)) == "current"
    assert dunning_state(DEFAULT_POLICY, [], on(45)) == "current"


def test_paying_the_oldest_only_falls_back_to_what_the_rest_says() -> None:
    assert dunning_state(DEFAULT_POLICY, [owed(), owed(due=on(20))], on(30)) == "canceled"
    assert dunning_state(DEFAULT_POLICY, [owed(due=on(20))], on(30)) == "restricted"


@pytest.mark.parametrize(("number", "expected"), [(0, "current"), (2, "current"), (3, "late"), (4, "late")])
def test_a_number_of_invoices(number: int, expected: str) -> None:
    late = policy(state("late", unpaid_invoices=3))
    assert dunning_state(late, [owed()] * number, on(1)) == expected


def test_an_invoice_that_is_not_past_due_does_not_count() -> None:
    late = policy(state("late", unpaid_invoices=2))
    assert dunning_state(late, [owed(), owed(due=on(3))], on(3)) == "current"
    assert dunning_state(late, [owed(), owed(due=on(3))], on(4)) == "late"


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ([("EUR", 4999)], "current"),
        ([("EUR", 5000)], "late"),
        ([("EUR", 2500), ("EUR", 2500)], "late"),
        ([("EUR", 2500), ("USD", 5999)], "current"),  # currencies are not added together
        ([("USD", 6000)], "late"),
        ([("EUR", 1), ("USD", 6000)], "late"),
        ([("GBP", 999_999)], "current"),  # a currency that is not named
    ],
)
def test_an_amount_per_currency(amounts: list[tuple[str, int]], expected: str) -> None:
    late = policy(state("late", unpaid_amount={"EUR": 5000, "USD": 6000}))
    unpaid = [owed(amount, currency=currency) for currency, amount in amounts]
    assert dunning_state(late, unpaid, on(1)) == expected


@pytest.mark.parametrize(
    ("age", "number", "amount", "any_of", "all_of"),
    [
        (9, 1, 100, "current", "current"),
        (10, 1, 100, "late", "current"),
        (9, 2, 100, "late", "current"),
        (9, 1, 1000, "late", "current"),
        (10, 2, 100, "late", "current"),
        (10, 1, 1000, "late", "current"),
        (9, 2, 1000, "late", "current"),
        (10, 2, 1000, "late", "late"),
    ],
)
def test_any_and_all_of_the_conditions(age: int, number: int, amount: int, any_of: str, all_of: str) -> None:
    unpaid = [owed(amount // number)] * number
    for match, expected in (("any", any_of), ("all", all_of)):
        late = policy(state("late", match=match, age_days=10, unpaid_invoices=2, unpaid_amount={"EUR": 1000}))
        assert dunning_state(late, unpaid, on(age)) == expected


def test_any_is_meant_where_nothing_is_said() -> None:
    late = policy(state("late", age_days=10, unpaid_invoices=2))
    assert dunning_state(late, [owed()], on(10)) == "late"


def test_the_worst_state_that_holds_is_the_account_s() -> None:
    # 'big' does not need the age that 'old' has
    both = policy(state("old", age_days=30), state("big", unpaid_amount={"EUR": 5000}))
    assert dunning_state(both, [owed(5000)], on(1)) == "big"
    assert dunning_state(both, [owed(4999)], on(30)) == "old"
    assert dunning_state(both, [owed(5000)], on(30)) == "big"


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [(50, "EUR", "current"), (51, "EUR", "overdue"), (1, "USD", "overdue"), (50, "USD", "overdue")],
)
def test_a_small_rest_does_not_count(amount: int, currency: str, expected: str) -> None:
    lenient = policy(OVERDUE, clearing={"tolerance": {"EUR": 50}})
    assert dunning_state(lenient, [owed(amount, currency=currency)], on(5)) == expected


def test_small_rests_do_not_add_up() -> None:
    lenient = policy(
        state("late", unpaid_invoices=2, unpaid_amount={"EUR": 100}), clearing={"tolerance": {"EUR": 50}}
    )
    assert dunning_state(lenient, [owed(50)] * 3, on(5)) == "current"
    assert dunning_state(lenient, [owed(50), owed(51), owed(51)], on(5)) == "late"


def test_a_payment_in_doubt_stops_the_clock() -> None:
    """A gateway timeout is unknown, not declined: no dunning until it is resolved, and no clearing either."""
    unpaid = [owed(unknown_since=on(8))]
    assert dunning_state(DEFAULT_POLICY, unpaid, on(7)) == "restricted"
    assert dunning_state(DEFAULT_POLICY, unpaid, on(40)) == "restricted"
    assert next_state_change(DEFAULT_POLICY, unpaid, on(8)) is None
    # Charged on the due day: it never begins.
    assert dunning_state(DEFAULT_POLICY, [owed(unknown_since=DUE)], on(40)) == "current"
    # Resolved as declined: the age is whole again.
    assert dunning_state(DEFAULT_POLICY, [replace(unpaid[0], unknown_since=None)], on(40)) == "canceled"


def test_a_doubt_stops_its_own_invoice_only() -> None:
    unpaid = [owed(unknown_since=on(8)), owed(due=on(5))]
    assert dunning_state(DEFAULT_POLICY, unpaid, on(18)) == "restricted"
    assert dunning_state(DEFAULT_POLICY, unpaid, on(19)) == "suspended"
    assert next_state_change(DEFAULT_POLICY, unpaid, on(8)) == on(19)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("current", set()),
        ("overdue", set()),
        ("restricted", {Blocked.PLAN_CHANGE}),
        ("suspended", {Blocked.PLAN_CHANGE, Blocked.ENTITLEMENT}),
        ("canceled", set(Blocked)),
        ("written_off", set(Blocked)),
    ],
)
def test_what_the_default_policy_blocks(name: str, expected: set[Blocked]) -> None:
    assert {what for what in Blocked if blocked(DEFAULT_POLICY, name, what)} == expected


def test_a_state_that_the_policy_lost_is_said() -> None:
    with pytest.raises(UnknownState, match="no state 'frozen'; it has: current, overdue, restricted"):
        blocked(DEFAULT_POLICY, "frozen", Blocked.BILLING)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (-9, 1),
        (0, 1),
        (1, 7),
        (6, 7),
        (7, 14),
        (13, 14),
        (14, 30),
        (30, 60),
        (59, 60),
        (60, None),
        (61, None),
    ],
)
def test_the_next_change_of_the_default_policy(day: int, expected: int | None) -> None:
    change = next_state_change(DEFAULT_POLICY, [owed()], on(day))
    assert change == (None if expected is None else on(expected))


def test_the_next_change_by_an_invoice_that_falls_due() -> None:
    late = policy(state("late", unpaid_invoices=2))
    assert next_state_change(late, [owed(), owed(due=on(20))], on(1)) == on(21)
    assert next_state_change(late, [owed(), owed(0, due=on(20))], on(1)) is None


def test_who_owes_nothing_has_no_next_change() -> None:
    assert next_state_change(DEFAULT_POLICY, [], DUE) is None
    assert next_state_change(policy(), [owed()], DUE) is None


DAYS = st.integers(-80, 160).map(on)


def _rank(of: DunningPolicy, unpaid: list[UnpaidInvoice], day: date) -> int:
    return [one.name for one in of.states].index(dunning_state(of, unpaid, day))


@given(policies(), INVOICES, DAYS, st.integers(0, 60))
def test_age_alone_never_improves_the_state(
    of: DunningPolicy, unpaid: list[UnpaidInvoice], day: date, more: int
) -> None:
    assert _rank(of, unpaid, day) <= _rank(of, unpaid, day + timedelta(days=more))


@given(policies(), INVOICES, DAYS)
def test_paying_everything_always_clears(of: DunningPolicy, unpaid: list[UnpaidInvoice], day: date) -> None:
    paid = [replace(invoice, open_amount=0) for invoice in unpaid]
    assert dunning_state(of, paid, day) == dunning_state(of, [], day) == "current"


@given(policies(), INVOICES, DAYS, st.integers(0, 3000))
def test_paying_never_worsens_the_state(
    of: DunningPolicy, unpaid: list[UnpaidInvoice], day: date, amount: int
) -> None:
    paid = [replace(invoice, open_amount=invoice.open_amount - amount) for invoice in unpaid]
    assert _rank(of, paid, day) <= _rank(of, unpaid, day)


@given(policies(), INVOICES, DAYS)
def test_the_next_change_is_the_first_day_with_another_state(
    of: DunningPolicy, unpaid: list[UnpaidInvoice], day: date
) -> None:
    now = dunning_state(of, unpaid, day)
    # No invoice is due later than day 70 and no age is above 60: after 131 days nothing can change.
    later = (day + timedelta(days=n) for n in range(1, 300))
    first = next((one for one in later if dunning_state(of, unpaid, one) != now), None)
    assert next_state_change(of, unpaid, day) == first
