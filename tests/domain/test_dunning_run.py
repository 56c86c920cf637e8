"""A dunning run foretold: every dated step from a first failure on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.declines import Decline
from domain.dunning import UnpaidInvoice, dunning_state
from domain.dunning_default import DEFAULT_POLICY
from domain.dunning_policy import DunningPolicy, GiveUp
from domain.dunning_run import Step, StepKind, plan_run
from tests.domain.dunned import DUE, INVOICES, declined, on, owed, policies, policy, state

SOFT, HARD, ACTION = (
    declined("insufficient_funds"),
    declined("lost_card"),
    declined("authentication_required"),
)
WRITTEN_OFF = state("gone", age_days=20, do=("cancel", "write_off"))


def shown(steps: tuple[Step, ...]) -> list[tuple[int, str, object]]:
    """Day after the due day, kind, and what matters of each step."""
    return [
        ((step.day - DUE).days, step.kind.value, step.attempt or step.state or step.template or step.give_up)
        for step in steps
    ]


def test_a_soft_decline_under_the_default_policy() -> None:
    steps = plan_run(DEFAULT_POLICY, owed(), SOFT, DUE)
    assert shown(steps) == [
        (0, "failure", 1),
        (1, "state", "overdue"),
        (1, "retry", 2),
        (3, "retry", 3),
        (5, "retry", 4),
        (7, "state", "restricted"),
        (7, "retry", 5),
        (7, "give_up", GiveUp.LEAVE_UNPAID),
        (14, "state", "suspended"),
        (30, "state", "canceled"),
        (60, "state", "written_off"),
    ]
    assert [[action.do for action in step.actions] for step in steps if step.kind is StepKind.STATE] == [
        ["mail"], ["mail", "restrict"], ["mail", "suspend"], ["mail", "cancel"], ["write_off"],
    ]  # fmt: skip


def test_a_hard_decline_is_reminded_and_not_retried() -> None:
    steps = shown(plan_run(DEFAULT_POLICY, owed(), HARD, DUE))
    assert [step for step in steps if step[1] != "state"] == [
        (0, "failure", 1),
        *((day, "reminder", "payment-method-needed") for day in (1, 3, 7, 14)),
    ]


def test_an_action_is_reminded_from_the_failure_on_until_waiting_ends() -> None:
    waiting = policy(
        action={"reminder_days": [2, 4], "template": "confirm", "give_up_after": 6}, give_up="cancel"
    )
    assert shown(plan_run(waiting, owed(), ACTION, on(3))) == [
        (3, "failure", 1),
        (5, "reminder", "confirm"),
        (7, "reminder", "confirm"),
        (9, "give_up", GiveUp.CANCEL),
    ]


def test_states_entered_before_the_failure_are_no_steps() -> None:
    steps = shown(plan_run(DEFAULT_POLICY, owed(), SOFT, on(14)))
    assert [step for step in steps if step[1] == "state"] == [
        (14, "state", "suspended"),  # entered on that very day
        (30, "state", "canceled"),
        (60, "state", "written_off"),
    ]
    assert shown(plan_run(DEFAULT_POLICY, owed(), SOFT, on(15)))[0] == (15, "failure", 1)


def test_after_the_write_off_nothing_is_tried() -> None:
    plan = policy(WRITTEN_OFF, soft={"days": [1, 5, 6, 7]})
    assert shown(plan_run(plan, owed(), SOFT, on(14))) == [
        (14, "failure", 1),
        (15, "retry", 2),
        (19, "retry", 3),
        (20, "state", "gone"),  # the retry of day 20 comes too late
    ]
    late = policy(WRITTEN_OFF, hard={"reminder_days": [5, 6, 7]})
    assert shown(plan_run(late, owed(), HARD, on(14)))[1:] == [
        (19, "reminder", "payment-reminder"),
        (20, "state", "gone"),
    ]


def test_a_failure_on_the_day_of_the_write_off_is_told_nevertheless() -> None:
    steps = shown(plan_run(policy(WRITTEN_OFF), owed(), SOFT, on(20)))
    assert steps == [(20, "state", "gone"), (20, "failure", 1)]


def test_giving_up_by_write_off_ends_the_run() -> None:
    plan = policy(
        state("overdue", age_days=1),
        state("late", age_days=3),
        state("very_late", age_days=4),
        give_up="write_off",
    )
    assert shown(plan_run(plan, owed(), SOFT, DUE)) == [
        (0, "failure", 1),
        (1, "state", "overdue"),
        (1, "retry", 2),
        (3, "state", "late"),
        (3, "retry", 3),
        (3, "give_up", GiveUp.WRITE_OFF),
        (3, "state", "current"),
    ]


def test_after_giving_up_by_write_off_the_other_invoices_say_the_state() -> None:
    plan = policy(state("overdue", age_days=1), state("late", age_days=4), give_up="write_off")
    # The other one is due two days later, so it is late on day 6.
    assert shown(plan_run(plan, owed(), SOFT, DUE, [owed(due=on(2))]))[4:] == [
        (3, "give_up", GiveUp.WRITE_OFF),
        (6, "state", "late"),
    ]


def test_the_other_invoices_count_too() -> None:
    plan = policy(state("many", unpaid_invoices=2))
    assert (21, "state", "many") in shown(plan_run(plan, owed(), HARD, DUE, [owed(due=on(20))]))
    assert shown(plan_run(plan, owed(), HARD, DUE)) == [(0, "failure", 1)]


@given(policies(), INVOICES, st.integers(-30, 60).map(on), st.sampled_from([SOFT, HARD, ACTION]))
def test_a_plan_is_in_order_and_its_states_are_those_of_their_days(
    of: DunningPolicy, others: list[UnpaidInvoice], failed_on: object, decline: Decline
) -> None:
    invoice = owed()
    steps = plan_run(of, invoice, decline, failed_on, others)  # type: ignore[arg-type]
    assert [step.day for step in steps] == sorted(step.day for step in steps)
    assert all(step.day >= failed_on for step in steps)  # type: ignore[operator]
    for step in steps:
        if step.kind is StepKind.STATE:
            assert step.state == dunning_state(of, [invoice, *others], step.day)
    attempts = [step.attempt for step in steps if step.attempt is not None]
    assert attempts == list(range(1, len(attempts) + 1))


@pytest.mark.parametrize("code", ["insufficient_funds", "lost_card", "call_issuer"])
def test_the_first_failure_is_attempt_one(code: str) -> None:
    first = plan_run(DEFAULT_POLICY, owed(), declined(code), DUE)[0]
    assert first == Step(DUE, StepKind.FAILURE, attempt=1)
