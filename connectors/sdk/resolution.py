"""What to do about a write whose outcome is unknown: one pure rule, for the hub and for the conformance kit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.sdk.idempotency import ByFind, Idempotency, Native

# How long to wait before asking or sending again, by the number of tries so far: a moment, minutes, then hours.
PAUSES: tuple[timedelta, ...] = tuple(
    timedelta(seconds=seconds) for seconds in (2, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600)
)


@dataclass(frozen=True, slots=True)
class Resend:
    """Send it again with the same key, after `after`."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class Find:
    """Ask whether it was applied, after `after`."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing can be done automatically. reason: one sentence for the operator."""

    reason: str


Step = Resend | Find | Park


def pause(tries: int) -> timedelta:
    """How long to wait after the try number `tries` (from 1)."""
    return PAUSES[min(max(tries, 1), len(PAUSES)) - 1]


def after_unknown(
    idempotency: Idempotency, *, first_sent_at: datetime, last_sent_at: datetime, now: datetime, tries: int
) -> Step:
    """The step after a write of which nobody knows whether it was applied.

    first_sent_at: when the key first went out, and the other system began to remember it. tries: sends so far.
    """
    wait = pause(tries)
    if isinstance(idempotency, Native):
        lasts = idempotency.resend_for
        if lasts is None or now + wait < first_sent_at + lasts:
            return Resend(wait)
        return Park(
            "the other system may have forgotten the key by now, so that sending it again could do it twice; "
            "look there whether it was done, then skip or retry"
        )
    if isinstance(idempotency, ByFind):
        return Find(max(last_sent_at + idempotency.lag - now, timedelta()))
    return Park("it cannot be sent again without risk; look at the other system whether it was done")


def after_not_found(idempotency: ByFind, *, last_sent_at: datetime, now: datetime, tries: int) -> Step:
    """The step after the look-up found nothing: only once the lag has gone by does that mean that nothing was done."""
    left = last_sent_at + idempotency.lag - now
    if left > timedelta():
        return Find(left)
    return Resend(pause(tries))
