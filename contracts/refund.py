"""A refund across process borders: ids, statuses and minor units. Its reason and its invoices lie in its row."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from contracts.connector_call import CallRef

REFUND_WORKFLOW = "Refund"
TOLD = "told"


class RefundStatus(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"  # promised; the gateway is being asked
    PROCESSING = "processing"  # the gateway has taken it; a webhook tells how it ends
    BY_HAND = "by_hand"  # came in by no gateway: a person pays it back, and says so
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self in (RefundStatus.SUCCEEDED, RefundStatus.FAILED)


class RefundInput(BaseModel):
    """Which refund. look: how often its row is looked at without news. late: after how long without an outcome a
    person is asked to look at the gateway."""

    refund_id: str
    account_id: str
    look: timedelta = timedelta(hours=6)
    late: timedelta = timedelta(days=14)


class RefundRef(BaseModel):
    """A refund, at the instant `now` of whoever goes on with it. late: a person shall look at the gateway."""

    refund_id: str
    now: datetime
    late: bool = False


class RefundStanding(BaseModel):
    """Where it stands. call: what has to be asked of the gateway; None where nothing has to."""

    status: RefundStatus
    promise: str
    call: CallRef | None = None


class RefundResult(BaseModel):
    """How it ended. promise: what became of the money: paid, credited, or standing for a person to decide."""

    refund_id: str
    status: RefundStatus
    promise: str
