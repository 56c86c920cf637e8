"""The parts of an account that nobody queries but its own rules, each kept as one document of JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pydantic import TypeAdapter

from domain.account.state import AccountState, Books, Collecting, Subscription
from domain.amendments import Moved
from domain.dunning import Hold
from domain.media.gifts import Gift
from domain.media.holiday_stops import HolidayStop
from domain.pending import Waiting
from domain.plan_changes import Swap


@dataclass(slots=True)
class SubscriptionHistory:
    """What a subscription's rules look back on; see `domain.account.state.Subscription`."""

    moved: list[Moved] = field(default_factory=list)
    pauses: list[tuple[date, date | None]] = field(default_factory=list)
    entitled: list[tuple[date, str]] = field(default_factory=list)
    stops: list[HolidayStop] = field(default_factory=list)
    issue_credits: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AccountHistory:
    """What an account's rules look back on. `revenue` holds the schedules that credits or a gift's claim have made
    other than their line says; `freed` the keys of charges whose time a void gave back."""

    dunning: list[tuple[date, str]] = field(default_factory=list)
    collecting: Collecting | None = None
    gifts: dict[str, Gift] = field(default_factory=dict)
    freed: list[str] = field(default_factory=list)
    revenue: dict[str, Books] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)


_SUBSCRIPTION: TypeAdapter[SubscriptionHistory] = TypeAdapter(SubscriptionHistory)
_ACCOUNT: TypeAdapter[AccountHistory] = TypeAdapter(AccountHistory)
_SWAP: TypeAdapter[Swap] = TypeAdapter(Swap)
_WAITING: TypeAdapter[Waiting] = TypeAdapter(Waiting)


def subscription_history(subscription: Subscription) -> SubscriptionHistory:
    """What is kept of `subscription` as its history."""
    return SubscriptionHistory(
        [*subscription.moved],
        [*subscription.pauses],
        [*subscription.entitled],
        [*subscription.stops],
        sorted(subscription.issue_credits),
    )


def account_history(account: AccountState, revenue: dict[str, Books]) -> AccountHistory:
    """What is kept of `account` as its history; `revenue` are the schedules that its lines do not tell."""
    return AccountHistory(
        [*account.dunning],
        account.collecting,
        {**account.gifts},
        sorted(account.voided),
        revenue,
        {**account.holds},
    )


def dump_subscription(history: SubscriptionHistory) -> str:
    """As JSON."""
    return _SUBSCRIPTION.dump_json(history).decode()


def load_subscription(stored: Any) -> SubscriptionHistory:
    """From JSON as the database answers it; None for a subscription that has none."""
    return SubscriptionHistory() if stored is None else _SUBSCRIPTION.validate_json(stored)


def dump_account(history: AccountHistory) -> str:
    """As JSON."""
    return _ACCOUNT.dump_json(history).decode()


def load_account(stored: Any) -> AccountHistory:
    """From JSON as the database answers it; None for an account that has none."""
    return AccountHistory() if stored is None else _ACCOUNT.validate_json(stored)


def dump_swap(swap: Swap) -> str:
    """As JSON."""
    return _SWAP.dump_json(swap).decode()


def load_swap(stored: Any) -> Swap:
    """From JSON as the database answers it."""
    return _SWAP.validate_json(stored)


def dump_waiting(waiting: Waiting) -> tuple[str, str]:
    """Its lines and what they were before a cut, as JSON each."""
    found = _WAITING.dump_python(waiting, mode="json")
    return _json(found["lines"]), _json(found["uncut"])


def load_waiting(lines: str, uncut: str) -> Waiting:
    """From the two columns of JSON, as text."""
    return _WAITING.validate_json(f'{{"lines": {lines}, "uncut": {uncut}}}')


def _json(value: Any) -> str:
    return str(_ANY.dump_json(value).decode())


_ANY: TypeAdapter[Any] = TypeAdapter(Any)
