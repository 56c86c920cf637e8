"""The faults of AvaTax: those of every stand-in and one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sandbox.faults import FAULTS, Fault

NO_CORRELATION_ID = "no_correlation_id"


@dataclass
class AvaTaxFault(Fault):
    """A fault of AvaTax. Without the header, Avalara's own SDK raises KeyError after the call was applied."""

    known: ClassVar[Mapping[str, str]] = {
        **FAULTS,
        NO_CORRELATION_ID: "applied, then answered without the x-correlation-id header",
    }
