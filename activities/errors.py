"""What an error of a connector becomes in Temporal: one table, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from connectors.sdk.config import MissingSecret
from connectors.sdk.errors import ConnectorError, DefinitionError, RateLimited

# How long until the next try, by the tries so far; the last holds for all that follow.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 5, 15, 30, 60, 120, 300))
# A wait is looked at again after this long: it may be a mistake, and a person may have ended it.
LONGEST_PAUSE = timedelta(hours=1)


# How often what is held asks whether it still is.
HELD_LOOK = timedelta(seconds=15)


class Held(RateLimited):
    """External writes are held, after a restore: nothing was sent, and it is tried again for as long as that lasts."""

    def __init__(self, message: str) -> None:
        super().__init__(message, after=HELD_LOOK)


@dataclass(frozen=True, slots=True)
class Handling:
    """retried: Temporal tries the activity again. expected: a "not yet", which is no failure in logs and metrics."""

    retried: bool
    expected: bool = False


HANDLING: Mapping[str, Handling] = {
    "transient": Handling(retried=True),
    "rate_limited": Handling(retried=True, expected=True),
    # None of these is better the next time by itself: what calls for them parks them.
    "unknown": Handling(retried=False),
    "unauthorized": Handling(retried=False),
    "rejected": Handling(retried=False),
    "broken": Handling(retried=False),
    "definition": Handling(retried=False),
}


def kind_of(error: Exception) -> str:
    """The row of the table for an error; what no connector should raise counts as broken."""
    if isinstance(error, ConnectorError):
        return error.kind
    return "definition" if isinstance(error, (DefinitionError, MissingSecret)) else "broken"


def pause_after(error: Exception, tries: int) -> timedelta:
    """How long to wait before the next try: what the other system asks for, an hour at most, else more and more."""
    usual = PAUSES[min(max(tries, 1), len(PAUSES)) - 1]
    if isinstance(error, RateLimited) and error.after is not None:
        return min(max(error.after, timedelta(seconds=1)), LONGEST_PAUSE)
    return usual


def as_temporal(error: Exception, *, tries: int, subject: str = "") -> ApplicationError:
    """The error as an activity raises it. tries: of the activity so far, from 1. subject: whose call, without personal
    data. The other system's words stay out: they would stand in the history."""
    kind = kind_of(error)
    handling = HANDLING[kind]
    code = f" ({error.code})" if isinstance(error, ConnectorError) and _is_code(error.code) else ""
    waiting = "waiting for its turn" if kind == "rate_limited" else kind
    if isinstance(error, Held):
        waiting = "external writes are held until `masthead reconcile` has asked the gateways"
    return ApplicationError(
        f"{subject}: {waiting}{code}" if subject else f"{waiting}{code}",
        type=type(error).__name__,
        non_retryable=not handling.retried,
        next_retry_delay=pause_after(error, tries) if handling.retried else None,
        category=ApplicationErrorCategory.BENIGN
        if handling.expected
        else ApplicationErrorCategory.UNSPECIFIED,
    )


def _is_code(code: str | None) -> bool:
    return (
        code is not None
        and len(code) <= 80
        and code.replace("_", "").replace("-", "").replace(".", "").isalnum()
    )
