"""Lanes as operators handle them: opened with a flow, held up by trouble, begun anew, filled from the beginning."""

from __future__ import annotations

from collections.abc import Sequence

from operations.sync.batch import PARK_KIND, Plan
from storage.database import PgConnection
from storage.parked import Park, park
from storage.sync import (
    BACKFILL,
    LIVE,
    end_of_log,
    forget_written,
    note_trouble,
    open_lanes,
    read_lane,
    resolve_parks,
    restart_lane,
)

REMEDIES = {
    "drift": "Correct the flow's map, or the field at the other system; it is tried again every minute.",
    "rejected": "Correct the flow's map, or the connection's configuration and rights; it is tried again every minute.",
    "broken": (
        "The answers do not have the agreed shape: compare them with the connector's version. It is tried again every "
        "minute."
    ),
}


class TellsNoHistory(ValueError):
    """The flow does not tell what was before it, and to begin it anew would. The message says what to do."""


def open_lanes_of(connection: PgConnection, plans: Sequence[Plan]) -> None:
    """Make the lanes of flows that have none yet."""
    for plan in plans:
        open_lanes(connection, plan.connection, plan.flow.name, history=plan.flow.tells_history)


def park_lane(connection: PgConnection, plan: Plan, lane: str, error_kind: str, message: str) -> None:
    """The whole flow cannot go on: said once among the parked work, and where the lane is looked at."""
    with connection.transaction():
        note_trouble(connection, plan.lane(lane), f"{error_kind}: {message}"[:300])
        park(
            connection,
            Park(
                kind=PARK_KIND,
                trace_key=f"{plan.connection}/{plan.flow.name}",
                error_kind=error_kind,
                message=message[:1000],
                remedy=REMEDIES.get(error_kind, REMEDIES["rejected"]),
                mode=plan.mode,
                connection=plan.connection,
                method=plan.flow.to or plan.flow.source,
                workflow_id=f"sync/{plan.connection}",
            ),
        )


def resolve_lane(connection: PgConnection, plan: Plan, lane: str) -> None:
    """It goes on."""
    row = read_lane(connection, plan.lane(lane))
    if row is not None and row.trouble is not None:
        with connection.transaction():
            note_trouble(connection, plan.lane(lane), None)
            resolve_parks(connection, plan.mode, [f"{plan.connection}/{plan.flow.name}"], "it goes on")


def reset_flow(connection: PgConnection, plan: Plan) -> int:
    """Let the flow read the whole log anew and write every record again, whatever was written before. A flow that does
    a thing once only never does it twice. Answers how many records were forgotten. Raises TellsNoHistory."""
    _check_history(plan)
    with connection.transaction():
        forgotten = 0 if plan.flow.once else forget_written(connection, plan.connection, plan.flow.name)
        restart_lane(connection, plan.lane(LIVE))
        return forgotten


def backfill_flow(connection: PgConnection, plan: Plan) -> None:
    """Let a second reading of the whole log bring what differs from what was written, behind everything that is new.
    Raises TellsNoHistory."""
    _check_history(plan)
    with connection.transaction():
        restart_lane(connection, plan.lane(BACKFILL), until=end_of_log(connection))


def _check_history(plan: Plan) -> None:
    if not plan.flow.tells_history:
        raise TellsNoHistory(
            f"{plan.flow.name} does not tell what was before it, and from the beginning of the log it would. If all of "
            "that shall be told, write `history: true` into the flow; single records that are parked are tried again "
            "with masthead errors retry ID"
        )
