"""Named presets of activity options, so that a timeout is chosen once and with a reason."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy


class Options(TypedDict, total=False):
    """What workflows pass to execute_activity."""

    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy


# Short database work. Retried without end: the database comes back, and nothing else can go on meanwhile.
# A minute is for the work; that its worker is dead is known after ten seconds.
BOOKS = Options(
    start_to_close_timeout=timedelta(seconds=60),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)
    ),
)

# A chunk of a run: minutes at worst, and a dead worker is noticed in seconds.
CHUNK = Options(
    start_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)
    ),
)

# A chunk of charges: as long as the gateway's rate lets it take. While the gateway is away it is tried again, when that
# error says; what has been charged is not charged again.
CHARGES = Options(
    start_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)
    ),
)

# Selection reads every subscription once, in one statement.
SELECTION = Options(
    start_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=BOOKS["retry_policy"],
)

# One turn of sending to an endpoint: ten seconds, and what the last letters may take. Tried again without end: it
# fails where the database is away or a key is missing, and then nothing else can go on either.
WEBHOOKS = Options(
    start_to_close_timeout=timedelta(seconds=90),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=BOOKS["retry_policy"],
)

# One try of a call to another system: a look-up and a send of ninety seconds at most each, and short database work.
# How long until the next try is told by what went wrong (activities/errors.py); the policy is for what is not foreseen.
CALL = Options(
    start_to_close_timeout=timedelta(minutes=5),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5)),
)

# One turn of recording documents at a tax engine: five hundred calls, as fast as its budget lets them. Tried again
# without end: it fails only where the database is away.
TAX = Options(
    start_to_close_timeout=timedelta(minutes=20),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=BOOKS["retry_policy"],
)
