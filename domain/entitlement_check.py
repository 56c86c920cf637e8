"""The answer to a paywall: whether a reader may use a feature at an instant, why, and until when that holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain.allowances import more_generous
from domain.catalog import FeatureAllowance
from domain.entitlements import Grant


class Reason(StrEnum):
    """Why. granted: by a plan without limit; allowance: within what a plan or the free metering gives. not_yet: access
    begins later; ended: it is over; allowance_used_up: nothing is left of it; no_grant: there never was any."""

    GRANTED = "granted"
    ALLOWANCE = "allowance"
    NOT_YET = "not_yet"
    ENDED = "ended"
    ALLOWANCE_USED_UP = "allowance_used_up"
    NO_GRANT = "no_grant"


class Standing(NamedTuple):
    """How a reader stands with a feature: `grant` is the one that counts (with NOT_YET the next one, with ENDED the
    last), None where there is none."""

    reason: Reason
    grant: Grant | None

    @property
    def open(self) -> bool:
        """Whether a grant is open, whatever its allowance has left."""
        return self.reason in (Reason.GRANTED, Reason.ALLOWANCE)


def standing(grants: Sequence[Grant], at: datetime) -> Standing:
    """How the reader who has `grants` of one feature stands at the instant `at`. Of several open ones the most
    generous counts, and of those the one that lasts longest."""
    best: Grant | None = None
    coming: Grant | None = None
    last: Grant | None = None
    for grant in grants:
        if grant.ends_at is not None and grant.ends_at <= at:
            if last is None or last.ends_at is None or last.ends_at < grant.ends_at:
                last = grant
        elif at < grant.starts_at:
            if coming is None or grant.starts_at < coming.starts_at:
                coming = grant
        elif best is None or _better(grant, best):
            best = grant
    if best is not None:
        return Standing(Reason.GRANTED if best.allowance is None else Reason.ALLOWANCE, best)
    if coming is not None:
        return Standing(Reason.NOT_YET, coming)
    return Standing(Reason.NO_GRANT if last is None else Reason.ENDED, last)


def _better(one: Grant, other: Grant) -> bool:
    if one.allowance != other.allowance:
        return _wins(one.allowance, other.allowance)
    return other.ends_at is not None and (one.ends_at is None or other.ends_at < one.ends_at)


def _wins(one: FeatureAllowance | None, other: FeatureAllowance | None) -> bool:
    return more_generous(one, other) == one
