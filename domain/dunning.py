"""Dunning: the state of an account by its unpaid invoices, what that state blocks, and when it changes.

A state is never stored as a truth of its own: it follows from the policy, the invoices and the day, so paying or
crediting clears it at once, whenever the money comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from domain.dunning_policy import Blocked, DunningPolicy


@dataclass(frozen=True, slots=True)
class UnpaidInvoice:
    """An open invoice. `due_on` is a local day of the account, and the last one in time; `open_amount` is what is left
    to pay, in minor units. `unknown_since` is the day of a payment whose outcome is not known yet: until it is, the
    invoice grows no older than it was then."""

    due_on: date
    open_amount: int
    currency: str
    unknown_since: date | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Why an account is dunned no further for a while (a promise to pay, a dispute, a pause): nothing comes worse than
    the state called `state`, through the local day `until`; for None, until the hold is lifted. Coming clear is never
    held."""

    state: str
    until: date | None = None

    def on(self, day: date) -> bool:
        """Whether it holds on the local `day`."""
        return self.until is None or day <= self.until


def dunning_state(
    policy: DunningPolicy, unpaid: Iterable[UnpaidInvoice], day: date, holds: Sequence[Hold] = ()
) -> str:
    """The name of the account's state on the local `day`: the last state of `policy` whose conditions hold, the first
    state when none do, and none worse than `holds` allow on that day.

    Counted are invoices past due (from the day after `due_on`) that have more than the tolerance left to pay. A gateway
    timeout is unknown, not declined: the invoice's clock stands still from that day, and the state neither worsens nor
    clears by it.
    """
    standing = _standing(policy, unpaid, day)
    last = min((rank(policy, hold.state) for hold in holds if hold.on(day)), default=len(policy.states) - 1)
    for state in reversed(policy.states):
        if state.when is not None and state.when.hold(*standing):
            return policy.states[min(last, rank(policy, state.name))].name
    return policy.clear.name


def rank(policy: DunningPolicy, state: str) -> int:
    """How bad the state called `state` is, 0 for the clear one, and for one that the policy does not have any more: its
    account is taken as clear, and judged anew."""
    return next((place for place, each in enumerate(policy.states) if each.name == state), 0)


def blocked(policy: DunningPolicy, state: str, what: Blocked) -> bool:
    """Whether an account in the state called `state` is kept from `what`. Raises UnknownState."""
    return what in policy.state(state).blocks


def next_state_change(
    policy: DunningPolicy, unpaid: Sequence[UnpaidInvoice], day: date, holds: Sequence[Hold] = ()
) -> date | None:
    """The first local day after `day` on which the state differs from that of `day` if nothing is paid, credited,
    billed or lifted meanwhile; None when it stays. For the timer of a dunning case."""
    now = dunning_state(policy, unpaid, day, holds)
    ages = {1} | {state.when.age_days for state in policy.states if state.when and state.when.age_days}
    turns = {invoice.due_on + timedelta(days=age) for invoice in unpaid for age in ages}
    turns |= {hold.until + timedelta(days=1) for hold in holds if hold.until is not None}
    for turn in sorted(turns):
        if turn > day and dunning_state(policy, unpaid, turn, holds) != now:
            return turn
    return None


def _standing(
    policy: DunningPolicy, unpaid: Iterable[UnpaidInvoice], day: date
) -> tuple[int, int, dict[str, int]]:
    """Age in days of the oldest counted invoice, their number, and their sum per currency in minor units."""
    oldest = count = 0
    amounts: dict[str, int] = {}
    for invoice in unpaid:
        as_of = day if invoice.unknown_since is None else min(day, invoice.unknown_since)
        age = (as_of - invoice.due_on).days
        if age < 1 or invoice.open_amount <= policy.clearing.tolerance.get(invoice.currency, 0):
            continue
        oldest = max(oldest, age)
        count += 1
        amounts[invoice.currency] = amounts.get(invoice.currency, 0) + invoice.open_amount
    return oldest, count, amounts
