"""One step of a lane: which records the next events concern, and writing down what came of them.

What was written to the other system is recorded and the cursor moved in one transaction, after the answers are there.
A process that dies in between leaves both as they were: the step is done again, with the state of then, which does no
harm. A record that is refused is parked and holds up no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from operations.sync.flow import FlowDocument, fits
from operations.sync.states import Loaded, load_states, subjects_of
from operations.webhooks_out.kinds import like_patterns
from storage.database import PgConnection
from storage.events import Cursor, read_batch
from storage.parked import Park, park
from storage.storable import storable
from storage.sync import (
    BACKFILL,
    INBOUND,
    LIVE,
    Lane,
    LaneRow,
    SyncedChange,
    SyncedRow,
    count_lane,
    due_subjects,
    events_behind,
    make_due,
    move_lane,
    note_trouble,
    read_lane,
    record_synced,
    resolve_parks,
    synced,
)

PARK_KIND = "sync"
EVENTS_AT_ONCE = 500
DUE_AT_ONCE = 100
BEHIND_COUNTED_UP_TO = 10_000
TRIES_BEFORE_PARKING = 8
_PAUSES = (2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0)

REMEDIES = {
    "rejected": "Correct the record here or there, then masthead errors retry ID. Its next change is sent anyway.",
    "drift": "Correct the flow's map, or the field at the other system, then masthead errors retry ID.",
    "transient": "The other system did not take it for long. Once it does: masthead errors retry ID.",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A flow as one connection carries it out. mode: the connection's; only accounts of that mode are told of."""

    connection: str
    mode: str
    flow: FlowDocument

    def lane(self, lane: str) -> Lane:
        """The flow's lane of that name."""
        return Lane(self.connection, self.flow.name, lane)

    def trace_key(self, subject: str) -> str:
        """By which what is parked of a record is found again."""
        return str(storable(f"{self.connection}/{self.flow.name}/{subject}"))


class Work(NamedTuple):
    """The records of a step, each with what it was last brought to. moves: whether rows of the log are gone by;
    if not, and no records: there is nothing to do. gone: subjects to be looked at that no longer concern the flow."""

    lane: Lane
    seen: LaneRow
    upto: Cursor
    moves: bool
    records: list[Loaded]
    before: dict[str, SyncedRow]
    gone: list[str]
    ends: bool


class Status(StrEnum):
    """What came of a record."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    PARKED = "parked"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a record. fingerprint: of what was sent; error: of one that is parked, a kind in REMEDIES."""

    record: Loaded
    status: Status
    fingerprint: bytes = b""
    vendor_id: str | None = None
    error: str = "rejected"
    code: str | None = None
    message: str = field(default="", repr=False)
    fields: Mapping[str, str] = field(default_factory=dict)
    payload: Any = field(default=None, repr=False)


class Recorded(NamedTuple):
    """What a step came to. moved: the cursor went on; else it was reset meanwhile, and the next step begins there."""

    written: int
    unchanged: int
    parked: int
    moved: bool


def next_work(connection: PgConnection, plan: Plan, lane: str) -> Work | None:
    """What the lane has to do next; None where there is no such lane, or a backfill that is done."""
    place = plan.lane(lane)
    seen = read_lane(connection, place)
    if seen is None or (lane == BACKFILL and seen.until is None):
        return None
    batch = read_batch(connection, seen.cursor, limit=EVENTS_AT_ONCE, kinds=like_patterns(plan.flow.on or ()))
    state = plan.flow.state or ""
    subjects = subjects_of(connection, state, batch.events)
    due = due_subjects(connection, place, DUE_AT_ONCE) if lane == LIVE else []
    wanted = list(dict.fromkeys([*due, *subjects]))
    loaded = load_states(connection, state, wanted) if wanted else {}
    records = [
        found for subject in wanted if (found := loaded.get(subject)) is not None and _concerns(plan, found)
    ]
    here = {record.subject for record in records}
    return Work(
        lane=place,
        seen=seen,
        upto=batch.upto,
        moves=batch.upto != seen.cursor,
        records=records,
        before=synced(connection, place, [record.subject for record in records]) if records else {},
        gone=[subject for subject in due if subject not in here],
        ends=seen.until is not None and (batch.upto == seen.cursor or batch.upto >= seen.until),
    )


def _concerns(plan: Plan, record: Loaded) -> bool:
    """Whether the connection is to be told: of accounts of its own mode only, and of what the flow names."""
    if record.account_id is not None and record.state.get("mode") != plan.mode:
        return False
    return fits(record.state, dict(plan.flow.where))


def record_work(connection: PgConnection, plan: Plan, work: Work, results: Sequence[Result]) -> Recorded:
    """Write down what came of a step, park what was refused, close what was parked of records that went through, and
    move the cursor."""
    changes = [_change(work, result) for result in results]
    changes += [_looked_at(subject) for subject in work.gone]
    record_synced(connection, work.lane, [change for change in changes if change is not None])
    parked = [result for result in results if result.status is Status.PARKED or _is_tired(work, result)]
    for result in sorted(parked, key=lambda each: each.record.subject):
        park(connection, _park(plan, result))
    through = [each for each in results if each.status in (Status.WRITTEN, Status.UNCHANGED)]
    resolve_parks(
        connection,
        plan.mode,
        [plan.trace_key(each.record.subject) for each in through],
        "superseded: a newer state went through",
    )
    moved = True
    if work.moves or work.ends:
        moved = move_lane(connection, work.lane, work.seen, work.upto, ends=work.ends)
    written = sum(result.status is Status.WRITTEN for result in results)
    unchanged = len(through) - written
    if results:
        count_lane(connection, work.lane, written=written, unchanged=unchanged, parked=len(parked))
    return Recorded(written, unchanged, len(parked), moved)


def _is_tired(work: Work, result: Result) -> bool:
    before = work.before.get(result.record.subject)
    return result.status is Status.RETRY and (before.tries if before else 0) + 1 >= TRIES_BEFORE_PARKING


def _change(work: Work, result: Result) -> SyncedChange | None:
    before = work.before.get(result.record.subject)
    tries, due = 0, None
    if result.status is Status.UNCHANGED and (before is None or before.due_at is None):
        return None
    if result.status is Status.RETRY and not _is_tired(work, result):
        tries = (before.tries if before else 0) + 1
        due = _PAUSES[min(tries, len(_PAUSES)) - 1]
    return SyncedChange(
        subject=result.record.subject,
        account_id=result.record.account_id,
        fingerprint=result.fingerprint if result.status is Status.WRITTEN else None,
        version=int(result.record.state.get("version") or 0),
        vendor_id=result.vendor_id,
        due_in_seconds=due,
        tries=tries,
    )


def _looked_at(subject: str) -> SyncedChange:
    return SyncedChange(subject, None, None, 0, None, None, 0)


def _park(plan: Plan, result: Result) -> Park:
    error = "transient" if result.status is Status.RETRY else result.error
    return Park(
        kind=PARK_KIND,
        trace_key=plan.trace_key(result.record.subject),
        error_kind=error,
        message=result.message,
        remedy=REMEDIES.get(error, REMEDIES["rejected"]),
        mode=plan.mode,
        account_id=result.record.account_id,
        connection=plan.connection,
        method=plan.flow.to,
        payload=result.payload,
        fields=result.fields,
        error_code=result.code,
        workflow_id=f"sync/{plan.connection}",
    )


class Decisions(NamedTuple):
    """What people decided. woken: the flows that shall be tried again as a whole, at once."""

    taken: int
    woken: frozenset[str]


def take_decisions(connection: PgConnection, name: str, flows: Sequence[FlowDocument]) -> Decisions:
    """Carry out what people decided about parked work of a connection's flows, in one transaction: records to be tried
    again are looked at next, an edited one is sent as it was edited, and a flow that was held goes on."""
    known = {flow.name: flow for flow in flows}
    woken = set()
    with connection.transaction():
        rows = connection.execute(
            """
            update parked set next_retry_at = now()
            where kind = %(kind)s and connection = %(name)s and resolution in ('retry', 'edit')
              and next_retry_at is null and starts_with(trace_key, %(name)s || '/')
              and split_part(substr(trace_key, length(%(name)s) + 2), '/', 1) = any(%(flows)s)
            returning trace_key, resolution, payload
            """,
            {"kind": PARK_KIND, "name": name, "flows": sorted(known)},
        ).fetchall()
        for trace_key, resolution, payload in sorted(rows, key=lambda row: row[0]):
            flow, _, subject = trace_key.removeprefix(f"{name}/").partition("/")
            if not subject:
                woken.add(flow)
                for lane in (LIVE, BACKFILL, INBOUND):
                    note_trouble(connection, Lane(name, flow, lane), None)
            elif known[flow].outbound:
                make_due(connection, name, flow, subject, payload if resolution == "edit" else None)
    return Decisions(len(rows), frozenset(woken))


def behind(connection: PgConnection, plan: Plan, lane: str) -> int:
    """How many events the lane has before it, counted up to `BEHIND_COUNTED_UP_TO`."""
    row = read_lane(connection, plan.lane(lane))
    if row is None or (lane == BACKFILL and row.until is None):
        return 0
    return events_behind(connection, row.cursor, like_patterns(plan.flow.on or ()), BEHIND_COUNTED_UP_TO)
