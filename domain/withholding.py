"""When an account's debts keep its readers out: what dunning kept from them so far, and from which day on it will, if
nothing is paid meanwhile. So that a grant knows its end beforehand, and no timer has to take it away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from domain.dunning import Hold, UnpaidInvoice, dunning_state, next_state_change
from domain.dunning_policy import Blocked, DunningPolicy
from domain.entitlements import Span
from domain.policy import AccessPolicy, Policy


def gives_access(dunning: DunningPolicy, access: AccessPolicy, state: str) -> bool:
    """Whether readers of an account in the dunning state called `state` have access. A state that the policy does not
    have any more is taken for one that gives it."""
    reached = False
    measures: set[str] = set()
    for each in dunning.states:
        measures |= {action.do for action in each.on_entry}
        if each.name == state:
            reached = True
            if Blocked.ENTITLEMENT in each.blocks:
                return False
            break
    if not reached:
        return True
    if "suspend" in measures and access.suspended == "none":
        return False
    return not ("restrict" in measures and access.restricted == "none")


def withheld(
    policy: Policy,
    history: Sequence[tuple[date, str]],
    unpaid: Sequence[UnpaidInvoice],
    today: date,
    holds: Sequence[Hold] = (),
) -> tuple[Span, ...]:
    """The stretches of local days in which access is withheld from an account: before `today` as `history` tells (the
    dunning states in order, each with its first day), from then on as `unpaid` will have it if nothing is paid, under
    the `holds` that keep it from being dunned."""
    states = [(day, name) for day, name in history if day < today]
    day: date | None = today
    while day is not None:
        states.append((day, dunning_state(policy.dunning, unpaid, day, holds)))
        day = next_state_change(policy.dunning, unpaid, day, holds)
    found: list[Span] = []
    for (start, name), following in pairwise([*states, (None, "")]):
        end = following[0]
        if start is None or gives_access(policy.dunning, policy.access, name) or start == end:
            continue
        if found and found[-1].end == start:
            found[-1] = Span(found[-1].start, end)
        else:
            found.append(Span(start, end))
    return tuple(found)
