"""Retries: when a failed payment is tried again, under which key, or what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from domain.declines import Decline, DeclineClass
from domain.dunning_policy import RetryPolicy, Waiting
from domain.periods import start_of_day

# The shortest limit among the gateways on an idempotency key.
LONGEST_KEY = 64


class BadAttempts(ValueError):
    """A history of attempts that cannot be: out of order, before its run began, or without a number."""


class Next(StrEnum):
    """What a payment does next: it is tried again, waits for the gateway's answer, for another payment method or for
    the customer, or is given up."""

    RETRY = "retry"
    WAIT_FOR_GATEWAY = "wait_for_gateway"
    WAIT_FOR_METHOD = "wait_for_method"
    WAIT_FOR_CUSTOMER = "wait_for_customer"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class NextTry:
    """What comes next, and the local day of it: of the retry, of giving up, or, for a wait, the day on which waiting
    ends and the payment is given up (None: it does not end of itself)."""

    what: Next
    day: date | None = None

    @property
    def retry_on(self) -> date | None:
        """The day of the next retry, None when there is none."""
        return self.day if self.what is Next.RETRY else None


def next_retry(retry: RetryPolicy, decline: Decline | None, failed: Sequence[date], since: date) -> NextTry:
    """What a payment does after the attempts that failed on the local days `failed`.

    `since` is the day on which this run began: of the first failure, or, when the customer gave another payment method
    or did what was asked, of that; `failed` then has only the attempts after it, and when it has none the payment is
    tried on `since` itself. `decline` is that of the last attempt, None when its outcome is unknown: then nothing is
    tried or given up until the gateway was asked.

    Retry days are counted from `since`. An attempt that came late moves those after it: the policy's gaps are kept, so
    tries are never crowded together. Raises BadAttempts for days out of order.
    """
    if any(later < earlier for earlier, later in pairwise((since, *failed))):
        raise BadAttempts(
            f"the attempts must stand in order and none before {since}, when this run of tries began; "
            "pass only those made since"
        )
    if decline is None:
        return NextTry(Next.WAIT_FOR_GATEWAY)
    if not failed:
        return NextTry(Next.RETRY, since)
    if decline.decline_class is DeclineClass.SOFT:
        return _soft(retry, decline, failed, since)
    waiting = waits(retry, decline.decline_class)
    ends = failed[-1] + timedelta(days=waiting.give_up_after) if waiting.give_up_after else None
    hard = decline.decline_class is DeclineClass.HARD
    return NextTry(Next.WAIT_FOR_METHOD if hard else Next.WAIT_FOR_CUSTOMER, ends)


def reminders(retry: RetryPolicy, decline: Decline, failed_on: date) -> tuple[date, ...]:
    """The local days on which the customer is reminded after a hard or action decline on `failed_on`, as long as
    nothing else happens; none after a soft one."""
    if decline.decline_class is DeclineClass.SOFT:
        return ()
    return tuple(failed_on + timedelta(days=day) for day in waits(retry, decline.decline_class).reminder_days)


def waits(retry: RetryPolicy, decline_class: DeclineClass) -> Waiting:
    """How a hard or action decline is waited out."""
    return retry.hard if decline_class is DeclineClass.HARD else retry.action


def retry_at(retry: RetryPolicy, day: date, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which the retry of the local `day` is made for an account in `zone`: at the preferred
    hour, or when the day begins. An hour that the clock skips is an hour later."""
    if retry.preferred_hour is None:
        return start_of_day(day, zone)
    local = datetime(day.year, day.month, day.day, retry.preferred_hour, tzinfo=zone)
    return local.astimezone(ZoneInfo("UTC"))


def attempt_key(payment: str, number: int) -> str:
    """The idempotency key of attempt `number` (1 is the first) of the payment with the id `payment`: the same for every
    try of one attempt, another for each attempt, or the gateway replays the old decline (laws I6, I7).

    Number all attempts of a payment through, whatever changes between them. Raises BadAttempts for a number below 1
    and for an id that makes the key longer than gateways take."""
    key = f"{payment}-{number}"
    if number < 1:
        raise BadAttempts(f"attempts are numbered from 1; {number} is none")
    if not payment or len(key) > LONGEST_KEY:
        raise BadAttempts(f"a payment id must have 1 to {LONGEST_KEY - len(key) + len(payment)} characters")
    return key


def _soft(retry: RetryPolicy, decline: Decline, failed: Sequence[date], since: date) -> NextTry:
    days = retry.soft.days
    limits = [len(days) + 1, retry.soft.max_tries, decline.max_tries]
    if not decline.known:
        limits.append(retry.soft.unknown_code_tries)
    if len(failed) >= min(limit for limit in limits if limit is not None):
        return NextTry(Next.GIVE_UP, failed[-1])
    retries = len(failed) - 1
    gap = days[retries] - (days[retries - 1] if retries else 0)
    return NextTry(Next.RETRY, max(since + timedelta(days=days[retries]), failed[-1] + timedelta(days=gap)))
