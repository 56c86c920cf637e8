"""A dunning run foretold: every dated step from a first failure on, for display and simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from domain.declines import Decline, DeclineClass
from domain.dunning import UnpaidInvoice, dunning_state, next_state_change
from domain.dunning_policy import Action, DunningPolicy, GiveUp
from domain.retries import next_retry, reminders, waits


class StepKind(StrEnum):
    """What happens on the day of a step."""

    STATE = "state"
    FAILURE = "failure"
    RETRY = "retry"
    REMINDER = "reminder"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, on a local day. `attempt` is the number of a failure or retry (1 is the first), `state` and `actions`
    are what an account enters and what is done then, `template` is a reminder's mail, `give_up` what becomes of the
    payment."""

    day: date
    kind: StepKind
    attempt: int | None = None
    state: str | None = None
    actions: tuple[Action, ...] = ()
    template: str | None = None
    give_up: GiveUp | None = None


# The order within a day: states turn when it begins, then the payment is tried.
_ORDER = {kind: place for place, kind in enumerate(StepKind)}


def plan_run(
    policy: DunningPolicy,
    invoice: UnpaidInvoice,
    decline: Decline,
    failed_on: date,
    others: Sequence[UnpaidInvoice] = (),
) -> tuple[Step, ...]:
    """All steps, in order, after the payment of `invoice` was first declined on `failed_on`, if the customer does
    nothing and every retry is declined in the same way. `others` are the account's further unpaid invoices.

    States are those entered from `failed_on` on. A write-off ends what it settles: by a state, everything; by giving
    up, this invoice, after which the states follow `others` alone.
    """
    entries = list(_entries(policy, (invoice, *others), failed_on - timedelta(days=1)))
    tries = list(_tries(policy, decline, failed_on))
    for entry in entries:
        if any(action.do == "write_off" for action in entry.actions):
            tries = [step for step in tries if step.kind is StepKind.FAILURE or step.day < entry.day]
    last = tries[-1]
    if last.give_up is not GiveUp.WRITE_OFF:
        return _ordered(entries + tries)
    held = dunning_state(policy, (invoice, *others), last.day)
    left = dunning_state(policy, others, last.day)
    return (
        *_ordered([entry for entry in entries if entry.day <= last.day] + tries),
        *([_entry(policy, left, last.day)] if left != held else []),
        *_entries(policy, others, last.day),
    )


def _ordered(steps: list[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: (step.day, _ORDER[step.kind])))


def _entry(policy: DunningPolicy, name: str, day: date) -> Step:
    return Step(day, StepKind.STATE, state=name, actions=policy.state(name).on_entry)


def _entries(policy: DunningPolicy, unpaid: Sequence[UnpaidInvoice], after: date) -> Iterator[Step]:
    day = next_state_change(policy, unpaid, after)
    while day is not None:
        yield _entry(policy, dunning_state(policy, unpaid, day), day)
        day = next_state_change(policy, unpaid, day)


def _tries(policy: DunningPolicy, decline: Decline, failed_on: date) -> Iterator[Step]:
    failed = [failed_on]
    yield Step(failed_on, StepKind.FAILURE, attempt=1)
    coming = next_retry(policy.retry, decline, failed, failed_on)
    while coming.retry_on is not None:
        failed.append(coming.retry_on)
        yield Step(coming.retry_on, StepKind.RETRY, attempt=len(failed))
        coming = next_retry(policy.retry, decline, failed, failed_on)
    if decline.decline_class is not DeclineClass.SOFT:
        template = waits(policy.retry, decline.decline_class).template
        for day in reminders(policy.retry, decline, failed_on):
            yield Step(day, StepKind.REMINDER, template=template)
    if coming.day is not None:
        yield Step(coming.day, StepKind.GIVE_UP, give_up=policy.give_up)
