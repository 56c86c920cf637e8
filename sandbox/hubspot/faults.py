"""The faults of HubSpot: those of every stand-in and two of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sandbox.faults import FAULTS, Fault

DAILY_LIMIT = "daily_limit"
EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a fault


@dataclass
class HubSpotFault(Fault):
    """A fault of the HubSpot stand-in. `rate_limited_*` name TEN_SECONDLY_ROLLING; `daily_limit` names DAILY."""

    known: ClassVar[Mapping[str, str]] = {
        **FAULTS,
        DAILY_LIMIT: "429 with policyName DAILY and no Retry-After: no use to ask again today",
        EXPIRED_TOKEN: "401 EXPIRED_AUTHENTICATION, nothing applied",
    }
