"""Holding the dunning of an account: a promise to pay, a dispute, a pause; and what lifts them."""

from __future__ import annotations

from datetime import date

from domain.account import collecting
from domain.account.state import AccountState
from domain.amendments import Refused
from domain.dunning import Hold

PROMISE = "promise"


def hold(account: AccountState, why: str, until: date | None) -> None:
    """Let nothing come worse than it is today, through `until`. Raises Refused where nothing is open, for a promise
    without a day, and for a day that has passed."""
    if not account.open_invoices():
        raise Refused("nothing is open, so there is no dunning to hold")
    if why == PROMISE and until is None:
        raise Refused("a promise to pay names the day by which the money comes: give `until`")
    if until is not None and until < account.today:
        raise Refused(f"{until} has passed: name a day from {account.today} on")
    account.holds[why] = Hold(account.dunning[-1][1], until)
    account.tell(f"dunning held ({why})" + (f" through {until}" if until else ""))


def release(account: AccountState, why: str | None) -> None:
    """Lift the hold `why`, or all of them, and judge anew. Raises Refused where there is none."""
    lifted = [name for name in account.holds if why in (None, name)]
    if not lifted:
        raise Refused("dunning is not held" + (f" by a {why}" if why else ""))
    for name in lifted:
        del account.holds[name]
    account.tell(f"dunning goes on ({', '.join(lifted)} lifted)")
    collecting.judge(account)
