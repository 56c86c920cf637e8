"""Keeping another system in step across process borders: which connection, what came of a turn, how to hold it."""

from __future__ import annotations

from pydantic import BaseModel, Field

CONNECTOR_SYNC_WORKFLOW = "ConnectorSync"


class SyncRequest(BaseModel):
    """Keep the system behind `connection` in step. A turn reads the log for so long at most, and comes to its end
    earlier, after `report_seconds`, when it has written something: then there is something to show.

    paused: by whom and why, kept through continue-as-new; None while it runs. turns: so many made by earlier runs.
    """

    connection: str
    queue: str = "masthead-sync"
    turn_seconds: float = Field(default=1800, gt=0)
    report_seconds: float = Field(default=30, gt=0)
    paused: str | None = None
    written: int = 0
    rejected: int = 0


class TurnInput(BaseModel):
    """One turn of a connection."""

    connection: str
    turn_seconds: float
    report_seconds: float


class LaneReport(BaseModel):
    """How a lane stands: records by outcome since the lane began, and events that it has before it (counted up to
    10,000). trouble: why nothing more is sent, None when all is well."""

    flow: str
    lane: str
    written: int = 0
    unchanged: int = 0
    parked: int = 0
    behind: int = 0
    trouble: str | None = None


class TurnOutput(BaseModel):
    """What a turn did. ended: the connection is gone, disabled, or without flows, so that nothing is left to do."""

    lanes: list[LaneReport]
    written: int = 0
    rejected: int = 0
    ended: bool = False


class SyncControl(BaseModel):
    """Who pauses or resumes, and why; both go into the audit table."""

    actor: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=1000)


class SyncControlRecord(SyncControl):
    """A control as it is written down."""

    connection: str
    action: str


class SyncStatus(BaseModel):
    """What the query `status` answers."""

    connection: str
    paused: str | None
    lanes: list[LaneReport]
