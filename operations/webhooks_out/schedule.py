"""When a message is tried again, and when an endpoint is left in peace or given up.

The delays are those of the Standard Webhooks specification's example schedule, each counted from the failure before.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

DELAYS = (
    timedelta(),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
JITTER = 0.1
LONGEST_RETRY_AFTER = timedelta(hours=24)

# A message is given up after 76 to 84 hours; an endpoint that answered none in this time is switched off.
GIVEN_UP_AFTER = timedelta(days=5)

# So many turns in a row that ended with a failure, and it is the endpoint that is down, not a message that is bad: from
# here on one message at a time is tried, with growing pauses, so that a backlog is not spent on it. The pauses are
# shorter than a message's own delays.
DOWN_AFTER_FAILURES = 3
_FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)


def next_attempt(message_id: str, tries: int, at: datetime, retry_after: timedelta | None) -> datetime | None:
    """The instant of the next attempt after `tries` of them, the last of which failed at `at`; None when there is
    none any more.

    The jitter, up to a tenth of the delay, is a function of the message and the attempt, so that a repetition of the
    same step answers the same. What the endpoint asked for by Retry-After is kept, up to a day.
    """
    if tries >= len(DELAYS):
        return None
    drawn = hashlib.sha256(f"{message_id}/{tries}".encode()).digest()
    share = int.from_bytes(drawn[:4], "big") / 2**32
    delay = DELAYS[tries] * (1 + JITTER * share)
    if retry_after is not None:
        delay = max(delay, min(retry_after, LONGEST_RETRY_AFTER))
    return at + delay


def pause_after(failures: int) -> timedelta | None:
    """How long an endpoint is left in peace after `failures` turns in a row that ended with a failure; None below
    `DOWN_AFTER_FAILURES`."""
    if failures < DOWN_AFTER_FAILURES:
        return None
    doublings = min(failures - DOWN_AFTER_FAILURES, 9)
    return min(_FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)


def is_given_up(failing_since: datetime | None, now: datetime) -> bool:
    """Whether an endpoint that has failed since `failing_since` is to be switched off."""
    return failing_since is not None and now - failing_since >= GIVEN_UP_AFTER
