"""How far the readers of the event log are behind, as answers of the API tell it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from storage.events import LAG_COUNTED_UP_TO, ReaderLag


class EventReaders(BaseModel):
    """What waits to be carried to other systems and workflows."""

    events_behind: int = Field(
        description=f"events that the slowest reader has before it, counted up to {LAG_COUNTED_UP_TO:,}"
    )
    oldest_transaction_seconds: float = Field(
        description="age of the oldest open transaction of the server, which holds every reader back; 0: there is none"
    )

    @classmethod
    def of(cls, lag: ReaderLag) -> EventReaders:
        """`lag` as the API tells it."""
        return cls(
            events_behind=lag.events_behind,
            oldest_transaction_seconds=round(lag.oldest_transaction_seconds, 3),
        )
